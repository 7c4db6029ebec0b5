//! Rows with a round trip to the node: a facilitator whose only way to the chain is a slow one.

use super::{facilitator, say};
use crate::delay::Delay;
use crate::node::PAYEE;
use crate::product::Server;
use crate::report::{Report, Sample};
use crate::sign::Key;
use crate::stage::{Serve, Stage};
use crate::{Fallible, Options, Part};

/// Enough for a median that does not move.
const VERIFICATIONS: usize = 1_000;
const FIRST_SIGHTS: usize = 40;
const SETTLEMENTS: usize = 60;
/// Payers that no other row has used.
const STRANGERS_FROM: usize = 10_000_000;

/// Measures what is wanted of it.
pub(super) fn measure(stage: &mut Stage, options: &Options, report: &mut Report) {
    say("with a node far away");
    let started = Delay::start(stage.node.address, options.rtt()).and_then(|delay| {
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
    let first = facilitator::one_by_one(stage, server, "/verify", count);
    stage.payers = known;
    facilitator::warm(stage, server)?;
    let count = stage.payments(VERIFICATIONS);
    let warm = facilitator::one_by_one(stage, server, "/verify", count)?;
    Ok((warm, first?.p50_ms.unwrap_or_default()))
}

fn settle(stage: &mut Stage, server: &Server) -> Fallible<Sample> {
    facilitator::warm(stage, server)?;
    let count = stage.payments(SETTLEMENTS);
    let before = stage.node.balance(PAYEE)?;
    let sample = facilitator::one_by_one(stage, server, "/settle", count)?;
    stage.check_books(before, count)?;
    Ok(sample)
}
