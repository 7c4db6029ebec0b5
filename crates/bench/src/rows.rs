//! The rows, part by part. A part that cannot be measured fails its own rows and no others.

pub(crate) mod facilitator;
mod far;
mod gate;
mod solana;
mod token;

use std::time::Duration;

use crate::load::{Answer, Connection};
use crate::product::Server;
use crate::report::{Report, Sample};
use crate::stage::{self, Stage};
use crate::{Fallible, Options, Part};

/// Batches of 200 that measure the node's ceiling.
const CEILING_BATCHES: usize = 40;
const CEILING_RUNS: usize = 3;
/// Runs of a row without a chain.
const RUNS: usize = 5;
/// Of one of them.
const TIME: Duration = Duration::from_millis(1200);
/// Connections, caches and pools fill before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// Measures all that is wanted.
pub(crate) fn measure(options: &Options) -> Fallible<Report> {
    let mut report = Report::new();
    if options.wants_svm() {
        solana::measure(options, &mut report)?;
    }
    if options.wants_others() {
        measure_others(options, &mut report)?;
    }
    Ok(report)
}

/// Everything but Solana.
fn measure_others(options: &Options, report: &mut Report) -> Fallible<()> {
    let mut stage = Stage::build(options)?;
    let wants = |part| options.wants(part);
    let ceiling = match wants(Part::Settle) || wants(Part::Paid) {
        true => Some(ceiling(&mut stage)?),
        false => None,
    };
    if wants(Part::Challenge) || wants(Part::Proxy) || wants(Part::Paid) {
        stage.renew_chain()?;
        gate::measure(&mut stage, options, ceiling, report)?;
    }
    if wants(Part::Token) {
        token::measure(&mut stage, report);
    }
    if wants(Part::Verify) || wants(Part::Settle) {
        stage.renew_chain()?;
        facilitator::measure(&mut stage, options, ceiling, report);
        stage.renew_chain()?;
        far::measure(&mut stage, options, report);
    }
    Ok(())
}

/// What the node can carry out at most.
fn ceiling(stage: &mut Stage) -> Fallible<f64> {
    say("the node's ceiling");
    let batches = stage.payments(CEILING_BATCHES);
    let mut runs = Vec::new();
    for _ in 0..stage.runs(CEILING_RUNS) {
        stage.renew_chain()?;
        runs.push(
            stage
                .node
                .ceiling(&stage.payers, &mut stage.cashier, batches)?,
        );
    }
    crate::stats::median(runs).ok_or_else(|| "nothing was measured".into())
}

/// Says what is being measured, because it takes minutes.
fn say(what: &str) {
    eprintln!("farebox-bench: measuring {what}");
}

/// The product and its limit in turn, so that whatever else the machine does slows both.
fn in_turn(
    stage: &Stage,
    mut product: impl FnMut(Duration) -> Fallible<Sample>,
    mut limit: impl FnMut(Duration) -> Fallible<Sample>,
) -> Fallible<Sample> {
    product(WARM_UP)?;
    limit(WARM_UP)?;
    let mut samples = Vec::new();
    for _ in 0..stage.runs(RUNS) {
        let sample = product(TIME)?;
        let limit = limit(TIME)?;
        samples.push(Sample {
            limit: Some(limit.ops),
            ..sample
        });
    }
    stage::median(samples)
}

/// Sends one request and reads something off the answer.
fn ask<T>(
    server: &Server,
    request: &[u8],
    read: impl FnOnce(&Answer<'_>) -> Option<T>,
) -> Fallible<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        let answer = connection.ask(request).await?;
        read(&answer).ok_or_else(|| {
            format!(
                "{}: {}",
                answer.status,
                String::from_utf8_lossy(answer.body)
            )
            .into()
        })
    })
}

/// A header's value, the first where there are several.
fn header(head: &[u8], name: &str) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(this, _)| this.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_whatever_its_case() {
        let head = b"HTTP/1.1 402 Payment Required\r\nPayment-Required: abc=\r\n\r\n";
        assert_eq!(header(head, "payment-required").as_deref(), Some("abc="));
        assert_eq!(header(head, "payment-response"), None);
    }
}
