//! Rows of the gate: the 402, a free route, a paid request, and what memory it has after them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{ask, header, in_turn, say};
use crate::bare::UPSTREAM_BODY;
use crate::load::{self, Feed, Judge};
use crate::node::{self, PAYEE};
use crate::product::Server;
use crate::report::{Report, Sample};
use crate::stage::{self, PRICE, Serve, Stage};
use crate::{Fallible, Options, Part};

const CONNECTIONS: usize = 50;
const PAID_CONNECTIONS: usize = 400;
const PAID_RUNS: usize = 3;
const PAYMENTS: usize = 8_000;
/// Payments before anything counts, as many as there are connections.
const PAID_WARM_UP: usize = PAID_CONNECTIONS;
const PRICED: &str = "/priced";
const FREE: &str = "/free";

/// Measures what is wanted of it.
pub(super) fn measure(
    stage: &mut Stage,
    options: &Options,
    ceiling: Option<f64>,
    report: &mut Report,
) -> Fallible<()> {
    let upstream = stage.bare("upstream", &[])?;
    let gate = gate(stage, &upstream)?;
    let priced = load::request("GET", PRICED, &[], None);
    if options.wants(Part::Challenge) {
        say("the 402");
        let row = challenge(stage, &gate, &priced);
        report.challenge.fill(row);
    }
    if options.wants(Part::Proxy) {
        say("a free route");
        let row = proxy(stage, &gate, &upstream);
        report.proxy.fill(row);
    }
    if let Some(ceiling) = ceiling.filter(|_| options.wants(Part::Paid)) {
        say("paid requests");
        let row = paid(stage, gate, &upstream, &priced, ceiling);
        let (row, memory) = row.map_or_else(
            |error| (Err(error), None),
            |(row, rss)| (Ok(row), Some(rss)),
        );
        report.paid.fill(row);
        if let Some(rss) = memory {
            report.memory.fill(Ok(mib(rss)));
        }
        return Ok(());
    }
    report.memory.fill(gate.process.rss().map(mib));
    Ok(())
}

fn mib(bytes: u64) -> Sample {
    Sample {
        ops: bytes as f64 / f64::from(1 << 20),
        limit: None,
        cpu_us: None,
        p50_ms: None,
        p99_ms: None,
    }
}

fn gate(stage: &mut Stage, upstream: &Server) -> Fallible<Server> {
    let address = upstream.address;
    let route = |path, price| {
        format!(
            "[[route]]\nmatch = \"{path}\"\nupstream = \"http://{address}\"\nprice = \"{price}\"\n\n"
        )
    };
    stage.serve(&Serve {
        command: "gate",
        gas_key: node::GATE_KEY,
        routes: &[route(PRICED, PRICE), route(FREE, "0 USD")].concat(),
        ..Serve::FACILITATOR
    })
}

fn challenge(stage: &Stage, gate: &Server, priced: &[u8]) -> Fallible<Sample> {
    let (head, body) = ask(gate, priced, |answer| {
        (answer.status == 402).then_some((answer.head.len(), answer.body.len()))
    })?;
    let body_bytes = format!("--body-bytes={body}");
    let unfilled = stage.bare("constant", std::slice::from_ref(&body_bytes))?;
    let shorter = ask(&unfilled, priced, |answer| Some(answer.head.len()))?;
    let missing = head
        .checked_sub(shorter)
        .ok_or("the 402 is shorter than a head without anything")?;
    let constant = stage.bare(
        "constant",
        &[body_bytes, format!("--header-bytes={missing}")],
    )?;
    let same = ask(&constant, priced, |answer| {
        Some((answer.head.len(), answer.body.len()))
    })?;
    if same != (head, body) {
        return Err(format!(
            "the constant has {same:?} bytes, the 402 {:?}",
            (head, body)
        )
        .into());
    }
    beside(stage, gate, &constant, priced, |answer| {
        answer.status == 402
    })
}

fn proxy(stage: &Stage, gate: &Server, upstream: &Server) -> Fallible<Sample> {
    let free = load::request("GET", FREE, &[], None);
    let proxy = stage.bare("proxy", &[format!("--upstream={}", upstream.address)])?;
    beside(stage, gate, &proxy, &free, |answer| {
        answer.status == 200 && answer.body == UPSTREAM_BODY.as_bytes()
    })
}

fn beside(
    stage: &Stage,
    gate: &Server,
    limit: &Server,
    request: &[u8],
    judge: Judge,
) -> Fallible<Sample> {
    // The limit answers 200 where the gate may not.
    let answers: Judge = |answer| answer.status == 200;
    let send = |server: &Server, time, judge| {
        let feed = Feed::InTurn(vec![request.to_vec()], time);
        let (sample, measured) =
            stage::timed(&server.process, server.address, CONNECTIONS, feed, judge)?;
        stage::all_good(&measured)?;
        Fallible::Ok(sample)
    };
    in_turn(
        stage,
        |time| send(gate, time, judge),
        |time| send(limit, time, answers),
    )
}

/// Paid requests, and what the gate has after them in bytes: the first run is that of the gate which the other rows
/// were measured with. Each further run has a chain and a gate of its own, as for `/settle`.
fn paid(
    stage: &mut Stage,
    gate: Server,
    upstream: &Server,
    priced: &[u8],
    ceiling: f64,
) -> Fallible<(Sample, u64)> {
    let mut samples = vec![pay(stage, &gate, priced)?];
    let rss = gate.process.rss()?;
    drop(gate);
    for _ in 1..stage.runs(PAID_RUNS) {
        stage.renew_chain()?;
        let gate = self::gate(stage, upstream)?;
        samples.push(pay(stage, &gate, priced)?);
    }
    let sample = stage::median(samples)?;
    Ok((
        Sample {
            limit: Some(ceiling),
            ..sample
        },
        rss,
    ))
}

fn pay(stage: &mut Stage, gate: &Server, priced: &[u8]) -> Fallible<Sample> {
    let challenge = ask(gate, priced, |answer| {
        header(answer.head, "payment-required")
    })?;
    let challenge: Value = serde_json::from_slice(&STANDARD.decode(challenge)?)?;
    let count = stage.payments(PAYMENTS);
    pay_for_some(stage, gate, &challenge, PAID_WARM_UP)?;
    pay_for_some(stage, gate, &challenge, count)
}

fn pay_for_some(
    stage: &mut Stage,
    gate: &Server,
    challenge: &Value,
    count: usize,
) -> Fallible<Sample> {
    let requests = stage
        .credentials(count, &challenge["resource"], &challenge["accepts"][0])
        .iter()
        .map(|credential| {
            let text = STANDARD.encode(credential.to_string());
            load::request("GET", PRICED, &[("payment-signature", &text)], None)
        })
        .collect();
    let before = stage.node.balance(PAYEE)?;
    let (sample, measured) = stage::timed(
        &gate.process,
        gate.address,
        PAID_CONNECTIONS,
        Feed::Each(requests),
        |answer| answer.status == 200 && answer.body == UPSTREAM_BODY.as_bytes(),
    )?;
    stage::all_good(&measured)?;
    stage.check_books(before, measured.good)?;
    Ok(sample)
}
