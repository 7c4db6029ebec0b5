//! Rows with a round trip to the node: a facilitator whose only way to the chain is a slow one.

use std::time::{Duration, Instant};

use super::facilitator::{self, is_settled, is_valid};
use super::say;
use crate::delay;
use crate::load::{Connection, Feed};
use crate::node::PAYEE;
use crate::product::Server;
use crate::report::{Report, Sample};
use crate::sign::Key;
use crate::stage::{self, Serve, Stage};
use crate::{Fallible, Options, Part, stats};

/// Enough for a median that does not move.
const VERIFICATIONS: usize = 1_000;
const FIRST_SIGHTS: usize = 40;
const SETTLEMENTS: usize = 60;
/// Payers that no other row has used.
const STRANGERS_FROM: usize = 10_000_000;

/// Measures what is wanted of it.
pub(super) fn measure(stage: &mut Stage, options: &Options, report: &mut Report) {
    say("with a node far away");
    let started = delay::start(stage.node.address, options.rtt()).and_then(|delay| {
        let server = stage.serve(&Serve {
            rpc: Some(delay.address),
            ..Serve::FACILITATOR
        })?;
        Ok((delay, server))
    });
    let (_delay, server) = match started {
        Ok(started) => started,
        Err(error) => {
            for (part, row) in [
                (Part::Verify, &mut report.verify_rtt),
                (Part::Settle, &mut report.settle_rtt),
            ] {
                if options.wants(part) {
                    row.fill(Err(error.to_string().into()));
                }
            }
            return;
        }
    };
    if options.wants(Part::Verify) {
        match verify(stage, &server) {
            Ok((warm, first)) => {
                report.verify_rtt.fill(Ok(warm));
                report.verify_rtt.add_first(first);
            }
            Err(error) => report.verify_rtt.fill(Err(error)),
        }
    }
    if options.wants(Part::Settle) {
        let row = settle(stage, &server);
        report.settle_rtt.fill(row);
    }
}

/// The sample of warm payers, and the median of payers who come for the first time.
fn verify(stage: &mut Stage, server: &Server) -> Fallible<(Sample, f64)> {
    let count = stage.payments(FIRST_SIGHTS);
    let strangers = (STRANGERS_FROM..STRANGERS_FROM + count)
        .map(Key::payer)
        .collect::<Fallible<Vec<_>>>()?;
    stage.node.fund(&strangers)?;
    // A first request of a known payer opens the connections to the node.
    facilitator::warm(stage, server)?;
    let known = std::mem::replace(&mut stage.payers, strangers);
    let first = one_by_one(stage, server, count);
    stage.payers = known;
    let first = first?.p50_ms.unwrap_or_default();
    facilitator::warm(stage, server)?;
    let count = stage.payments(VERIFICATIONS);
    Ok((one_by_one(stage, server, count)?, first))
}

/// Verifications, one after the other.
fn one_by_one(stage: &mut Stage, server: &Server, count: usize) -> Fallible<Sample> {
    let feed = Feed::Each(facilitator::requests(stage, "/verify", count));
    let (sample, measured) = stage::timed(&server.process, server.address, 1, feed, is_valid)?;
    stage::all_good(&measured)?;
    Ok(sample)
}

/// Settlements, one after the other, each right after its verification, as sellers do it: only the settlement counts.
fn settle(stage: &mut Stage, server: &Server) -> Fallible<Sample> {
    let count = stage.payments(SETTLEMENTS);
    let pairs = facilitator::pairs(stage, count);
    let before = stage.node.balance(PAYEE)?;
    let cpu = server.process.cpu()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut times = runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        let mut times = Vec::with_capacity(count);
        for (verify, settle) in &pairs {
            if !is_valid(&connection.ask(verify).await?) {
                return Err("a verification before a settlement said no".into());
            }
            let began = Instant::now();
            let answer = connection.ask(settle).await?;
            times.push(began.elapsed());
            if !is_settled(&answer) {
                let said = String::from_utf8_lossy(answer.body);
                return Err(format!("a settlement failed with {} {said}", answer.status).into());
            }
        }
        Fallible::Ok(times)
    })?;
    let cpu = server.process.cpu()?.saturating_sub(cpu);
    stage.check_books(before, count)?;
    times.sort_unstable();
    let whole: Duration = times.iter().sum();
    Ok(Sample {
        ops: count as f64 / whole.as_secs_f64(),
        limit: None,
        cpu_us: Some(cpu.as_secs_f64() * 1e6 / count as f64),
        p50_ms: stats::percentile(&times, 0.5).map(stats::ms),
        p99_ms: stats::percentile(&times, 0.99).map(stats::ms),
    })
}
