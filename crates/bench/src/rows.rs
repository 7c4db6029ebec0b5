//! The rows, part by part. A part that cannot be measured fails its own rows and no others.

pub(crate) mod facilitator;
mod far;
mod gate;

use crate::report::Report;
use crate::stage::Stage;
use crate::{Fallible, Options, Part};

/// Batches of 200 that measure the node's ceiling.
const CEILING_BATCHES: usize = 40;
const CEILING_RUNS: usize = 3;

/// Measures all that is wanted.
pub(crate) fn measure(options: &Options) -> Fallible<Report> {
    let mut report = Report::new();
    let mut stage = Stage::build(options)?;
    let wants = |part| options.wants(part);
    let ceiling = match wants(Part::Settle) || wants(Part::Paid) {
        true => Some(ceiling(&mut stage)?),
        false => None,
    };
    if wants(Part::Challenge) || wants(Part::Proxy) || wants(Part::Paid) {
        stage.renew_chain()?;
        gate::measure(&mut stage, options, ceiling, &mut report)?;
    }
    if wants(Part::Verify) || wants(Part::Settle) {
        stage.renew_chain()?;
        facilitator::measure(&mut stage, options, ceiling, &mut report);
        stage.renew_chain()?;
        far::measure(&mut stage, options, &mut report);
    }
    Ok(report)
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
