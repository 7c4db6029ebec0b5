//! Rows of the facilitator: /verify and /settle with a node next door.

use std::time::{Duration, Instant};

use serde_json::json;

use super::say;
use crate::load::{self, Answer, Feed};
use crate::node::PAYEE;
use crate::product::Server;
use crate::report::{Report, Sample};
use crate::stage::{self, Serve, Stage};
use crate::{Fallible, Options, Part};

const VERIFY_CONNECTIONS: usize = 50;
const VERIFY_RUNS: usize = 5;
const VERIFICATIONS: usize = 15_000;
const SETTLE_RUNS: usize = 3;
/// Settlements before anything counts: fees, gas and what a payment costs are known then.
const WARM_UP: usize = 400;
/// Signatures that one core recovers to find the limit.
const RECOVERIES: usize = 5_000;
/// Between blocks that do not wait for transactions.
const BLOCK_TIME: Duration = Duration::from_secs(1);
const BLOCK_CONNECTIONS: usize = 400;
const BLOCK_RUNS: usize = 1;

/// Measures what is wanted of it.
pub(super) fn measure(
    stage: &mut Stage,
    options: &Options,
    ceiling: Option<f64>,
    report: &mut Report,
) {
    let facilitator = match stage.serve(&Serve::FACILITATOR) {
        Ok(facilitator) => facilitator,
        Err(error) => return fail(options, report, &error.to_string()),
    };
    if options.wants(Part::Verify) {
        say("/verify");
        let row = verify(stage, &facilitator);
        report.verify.fill(row);
    }
    let Some(ceiling) = ceiling.filter(|_| options.wants(Part::Settle)) else {
        return;
    };
    drop(facilitator);
    say("/settle");
    let row = settle(stage, 50, 3_000, SETTLE_RUNS, None);
    report
        .settle
        .fill(row.map(|sample| beside(sample, ceiling)));
    let row = settle(stage, 400, 8_000, SETTLE_RUNS, None);
    report
        .settle_400
        .fill(row.map(|sample| beside(sample, ceiling)));
    say("/settle with a block each second");
    let row = settle_by_block(stage);
    report.settle_block.fill(row);
}

fn fail(options: &Options, report: &mut Report, why: &str) {
    if options.wants(Part::Verify) {
        report.verify.fill(Err(why.into()));
    }
    if options.wants(Part::Settle) {
        for row in [
            &mut report.settle,
            &mut report.settle_400,
            &mut report.settle_block,
        ] {
            row.fill(Err(why.into()));
        }
    }
}

fn beside(sample: Sample, limit: f64) -> Sample {
    Sample {
        limit: Some(limit),
        ..sample
    }
}

fn verify(stage: &mut Stage, facilitator: &Server) -> Fallible<Sample> {
    let count = stage.payments(VERIFICATIONS);
    warm(stage, facilitator)?;
    let mut samples = Vec::new();
    for _ in 0..stage.runs(VERIFY_RUNS) {
        let limit = recoveries(stage)?;
        let requests = requests(stage, "/verify", count);
        let (sample, measured) = stage::timed(
            &facilitator.process,
            facilitator.address,
            VERIFY_CONNECTIONS,
            Feed::Each(requests),
            is_valid,
        )?;
        stage::all_good(&measured)?;
        samples.push(beside(sample, limit));
    }
    stage::median(samples)
}

/// Every payer is seen once before anything counts.
pub(super) fn warm(stage: &mut Stage, facilitator: &Server) -> Fallible<()> {
    let requests = requests(stage, "/verify", stage.payers.len());
    let measured = load::run(
        facilitator.address,
        VERIFY_CONNECTIONS,
        Feed::Each(requests),
        is_valid,
    )?;
    stage::all_good(&measured)
}

/// Signatures that one core checks per second, digest and address included: what a verification cannot do without.
fn recoveries(stage: &mut Stage) -> Fallible<f64> {
    let count = stage.payments(RECOVERIES);
    let payers = stage.payers.iter().cycle().take(count);
    let payments: Vec<_> = payers.map(|payer| stage.cashier.sign(payer)).collect();
    let began = Instant::now();
    let good = payments.iter().filter(|payment| payment.is_good()).count();
    let took = began.elapsed();
    if good < count {
        return Err("a signature of our own is not good".into());
    }
    Ok(count as f64 / took.as_secs_f64())
}

/// Each run has a chain and a facilitator of its own: anvil computes the root of everything that was ever stored
/// for each block, so that it slows with every payment, and the second run would measure that.
fn settle(
    stage: &mut Stage,
    connections: usize,
    count: usize,
    runs: usize,
    block_time: Option<Duration>,
) -> Fallible<Sample> {
    let count = stage.payments(count).max(connections);
    let mut samples = Vec::new();
    for _ in 0..stage.runs(runs) {
        stage.renew_chain()?;
        let facilitator = stage.serve(&Serve::FACILITATOR)?;
        warm(stage, &facilitator)?;
        settle_some(stage, &facilitator, connections, WARM_UP)?;
        stage.node.mine_every(block_time)?;
        samples.push(settle_some(stage, &facilitator, connections, count)?);
    }
    stage::median(samples)
}

fn settle_some(
    stage: &mut Stage,
    facilitator: &Server,
    connections: usize,
    count: usize,
) -> Fallible<Sample> {
    let requests = requests(stage, "/settle", count);
    let before = stage.node.balance(PAYEE)?;
    let (sample, measured) = stage::timed(
        &facilitator.process,
        facilitator.address,
        connections,
        Feed::Each(requests),
        is_settled,
    )?;
    stage::all_good(&measured)?;
    stage.check_books(before, measured.good)?;
    Ok(sample)
}

fn settle_by_block(stage: &mut Stage) -> Fallible<Sample> {
    let blocks = if stage.quick { 3 } else { 12 };
    // Not shortened: fewer blocks would measure the start and the end.
    let quick = std::mem::replace(&mut stage.quick, false);
    let sample = settle(
        stage,
        BLOCK_CONNECTIONS,
        BLOCK_CONNECTIONS * blocks,
        BLOCK_RUNS,
        Some(BLOCK_TIME),
    );
    stage.quick = quick;
    let per_second = BLOCK_CONNECTIONS as f64 / BLOCK_TIME.as_secs_f64();
    sample.map(|sample| beside(sample, per_second))
}

/// Requests to a facilitator, each about another payment.
pub(crate) fn requests(stage: &mut Stage, path: &str, count: usize) -> Vec<Vec<u8>> {
    let bodies = bodies(stage, count);
    bodies.iter().map(|body| post(path, body)).collect()
}

/// A question and an order about each of some payments.
pub(super) fn pairs(stage: &mut Stage, count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bodies = bodies(stage, count);
    bodies
        .iter()
        .map(|body| (post("/verify", body), post("/settle", body)))
        .collect()
}

fn bodies(stage: &mut Stage, count: usize) -> Vec<String> {
    let offer = stage::offer();
    let resource = json!({"url": "http://localhost/priced"});
    let credentials = stage.credentials(count, &resource, &offer);
    credentials
        .into_iter()
        .map(|credential| {
            let body = json!({
                "x402Version": 2, "paymentPayload": credential, "paymentRequirements": offer,
            });
            body.to_string()
        })
        .collect()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    load::request("POST", path, &[], Some(body.as_bytes()))
}

/// Whether a verification says yes.
pub(crate) fn is_valid(answer: &Answer<'_>) -> bool {
    answer.status == 200 && contains(answer.body, b"\"isValid\":true")
}

/// Whether a settlement says that the money has moved.
pub(crate) fn is_settled(answer: &Answer<'_>) -> bool {
    answer.status == 200 && contains(answer.body, b"\"success\":true")
}

fn contains(body: &[u8], what: &[u8]) -> bool {
    body.windows(what.len()).any(|window| window == what)
}
