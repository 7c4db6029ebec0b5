//! What was measured, row by row: as one line of JSON, and as a table.
//!
//! `must` and `aim` are those of the design: what has to hold, and what we want. A bound's name says which
//! number of the row it is about and whether it is the least or the most.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use self::Bound::{CpuUs, FirstMs, Mib, Ops, P50Ms, Ratio};

/// A bound on one number of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    Ops(f64),
    Ratio(f64),
    CpuUs(f64),
    P50Ms(f64),
    FirstMs(f64),
    Mib(f64),
}

/// Bounds that hold together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds(pub(crate) &'static [Bound]);

/// One row. Numbers that make no sense for a row are `None`; `memory` has its MiB in `ops`.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Successes per second.
    pub(crate) ops: Option<f64>,
    /// What this machine could do at most, in the same unit and the same run.
    pub(crate) limit: Option<f64>,
    /// `ops / limit`.
    pub(crate) ratio: Option<f64>,
    /// Processor time of the product for each success.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) must: Bounds,
    pub(crate) aim: Bounds,
    /// Whether `must` holds and nothing went wrong; `None` where nothing was measured on purpose.
    pub(crate) pass: Option<bool>,
    /// The median for payers that were never seen before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_ms: Option<f64>,
    /// Why there is no number, or what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What is counted and what it is held against, for people.
    #[serde(skip)]
    pub(crate) what: &'static str,
    #[serde(skip)]
    pub(crate) limit_is: &'static str,
}

/// All rows, in the order of the design's table.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) verify: Row,
    pub(crate) settle: Row,
    pub(crate) settle_400: Row,
    pub(crate) settle_block: Row,
    pub(crate) paid: Row,
    pub(crate) token: Row,
    pub(crate) token_uses: Row,
    pub(crate) challenge: Row,
    pub(crate) proxy: Row,
    pub(crate) verify_rtt: Row,
    pub(crate) settle_rtt: Row,
    pub(crate) memory: Row,
    /// The rows of Solana, by their names; none where nobody asked for them.
    #[serde(flatten)]
    svm: BTreeMap<&'static str, Row>,
}

/// What a row counts, what it is held against, what it must reach and what we want.
#[derive(Clone, Copy)]
struct Plan(
    &'static str,
    &'static str,
    &'static [Bound],
    &'static [Bound],
);

const VERIFY: Plan = Plan(
    "/verify, 50 connections, warm payers",
    "signatures recovered by one core",
    &[Ops(8_000.0), CpuUs(90.0)],
    &[Ops(12_000.0), CpuUs(66.0)],
);

const SETTLE: Plan = Plan(
    "/settle, automine, 50 connections",
    "the node's batches of 200",
    &[Ops(1_200.0)],
    &[Ops(2_000.0)],
);

const SETTLE_400: Plan = Plan(
    "/settle, automine, 400 connections",
    "the node's batches of 200",
    &[Ops(2_500.0), Ratio(0.3)],
    &[Ops(4_500.0), Ratio(0.3)],
);

const SETTLE_BLOCK: Plan = Plan(
    "/settle, 1 s blocks, 400 connections",
    "in flight per block",
    &[Ratio(0.65)],
    &[Ratio(0.85)],
);

const PAID: Plan = Plan(
    "paid request end to end, 400 connections",
    "the node's batches of 200",
    &[Ops(2_000.0), CpuUs(350.0)],
    &[Ops(4_000.0), CpuUs(350.0)],
);

const TOKEN: Plan = Plan(
    "request paid by a token, unlimited uses, 50 connections",
    "bare hyper proxy",
    &[Ratio(0.8)],
    &[Ratio(0.95)],
);

const TOKEN_USES: Plan = Plan(
    "request paid by a token, counted uses, 400 connections",
    "bare hyper proxy",
    &[Ratio(0.4)],
    &[Ratio(0.6)],
);

const CHALLENGE: Plan = Plan(
    "402 challenge, 50 connections",
    "a constant 200 of the same size, bare hyper",
    &[Ratio(0.8)],
    &[Ratio(0.95)],
);

const PROXY: Plan = Plan(
    "free route, 50 connections",
    "bare hyper proxy",
    &[Ratio(0.85)],
    &[Ratio(0.97)],
);

const VERIFY_RTT: Plan = Plan(
    "/verify, node far away, 1 connection",
    "",
    &[P50Ms(1.0), FirstMs(55.0)],
    &[P50Ms(0.3), FirstMs(45.0)],
);

const SETTLE_RTT: Plan = Plan(
    "/settle, node far away, 1 connection",
    "",
    &[P50Ms(115.0)],
    &[P50Ms(95.0)],
);

const MEMORY: Plan = Plan(
    "MiB of the gate after its rows",
    "",
    &[Mib(60.0)],
    &[Mib(25.0)],
);

/// The rows of Solana. The design says nothing about them; they are what they are.
const SVM: [(&str, Plan); 3] = [
    (
        "verify_svm",
        Plan(
            "/verify on Solana, 50 connections",
            "signatures checked by one core (ed25519)",
            &[],
            &[],
        ),
    ),
    (
        "settle_svm",
        Plan(
            "/settle on Solana, executed when sent, 50 connections",
            "the node's own, transactions signed beforehand",
            &[],
            &[],
        ),
    ),
    (
        "settle_svm_400",
        Plan(
            "/settle on Solana, executed when sent, 400 connections",
            "the node's own, transactions signed beforehand",
            &[],
            &[],
        ),
    ),
];

/// What one run of a row has shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) ops: f64,
    pub(crate) limit: Option<f64>,
    pub(crate) cpu_us: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl Sample {
    /// What the sample is worth beside others: against its own limit, if it has one.
    pub(crate) fn rank(&self) -> f64 {
        self.limit.map_or(self.ops, |limit| self.ops / limit)
    }
}

impl Row {
    fn new(plan: Plan) -> Self {
        let Plan(what, limit_is, must, aim) = plan;
        Self {
            ops: None,
            limit: None,
            ratio: None,
            cpu_us: None,
            p50_ms: None,
            p99_ms: None,
            must: Bounds(must),
            aim: Bounds(aim),
            pass: None,
            first_ms: None,
            reason: Some("left out by --only".to_owned()),
            what,
            limit_is,
        }
    }

    /// Takes what was measured, or why it could not be.
    pub(crate) fn fill(&mut self, sample: crate::Fallible<Sample>) {
        match sample {
            Ok(sample) => {
                self.reason = None;
                self.ops = Some(sample.ops);
                self.limit = sample.limit;
                self.ratio = sample.limit.map(|limit| sample.ops / limit);
                self.cpu_us = sample.cpu_us;
                self.p50_ms = sample.p50_ms;
                self.p99_ms = sample.p99_ms;
                self.pass = Some(self.holds(self.must));
            }
            Err(error) => {
                self.reason = Some(error.to_string());
                self.pass = Some(false);
            }
        }
    }

    /// Adds the time of first sights, which the bounds ask for.
    pub(crate) fn add_first(&mut self, first_ms: f64) {
        self.first_ms = Some(first_ms);
        self.pass = self.pass.map(|_| self.holds(self.must));
    }

    fn holds(&self, bounds: Bounds) -> bool {
        let least = |have: Option<f64>, want: f64| have.is_some_and(|have| have >= want);
        let most = |have: Option<f64>, want: f64| have.is_some_and(|have| have <= want);
        bounds.0.iter().all(|bound| match *bound {
            Bound::Ops(want) => least(self.ops, want),
            Bound::Ratio(want) => least(self.ratio, want),
            Bound::CpuUs(want) => most(self.cpu_us, want),
            Bound::P50Ms(want) => most(self.p50_ms, want),
            Bound::FirstMs(want) => most(self.first_ms, want),
            Bound::Mib(want) => most(self.ops, want),
        })
    }

    fn verdict(&self) -> &'static str {
        match self.pass {
            None => "not measured",
            Some(false) => "FAILS",
            Some(true) if self.must.0.is_empty() => "measured",
            Some(true) if self.holds(self.aim) => "aim",
            Some(true) => "must",
        }
    }
}

impl Report {
    /// The design's table, nothing measured yet.
    pub(crate) fn new() -> Self {
        Self {
            verify: Row::new(VERIFY),
            settle: Row::new(SETTLE),
            settle_400: Row::new(SETTLE_400),
            settle_block: Row::new(SETTLE_BLOCK),
            paid: Row::new(PAID),
            token: Row::new(TOKEN),
            token_uses: Row::new(TOKEN_USES),
            challenge: Row::new(CHALLENGE),
            proxy: Row::new(PROXY),
            verify_rtt: Row::new(VERIFY_RTT),
            settle_rtt: Row::new(SETTLE_RTT),
            memory: Row::new(MEMORY),
            svm: BTreeMap::new(),
        }
    }

    /// Takes what was measured of a row of Solana.
    pub(crate) fn fill_svm(&mut self, name: &str, sample: crate::Fallible<Sample>) {
        if let Some((name, plan)) = SVM.into_iter().find(|(known, _)| *known == name) {
            let row = self.svm.entry(name).or_insert_with(|| Row::new(plan));
            row.fill(sample);
        }
    }

    fn rows(&self) -> [(&'static str, &Row); 12] {
        [
            ("verify", &self.verify),
            ("settle", &self.settle),
            ("settle_400", &self.settle_400),
            ("settle_block", &self.settle_block),
            ("paid", &self.paid),
            ("token", &self.token),
            ("token_uses", &self.token_uses),
            ("challenge", &self.challenge),
            ("proxy", &self.proxy),
            ("verify_rtt", &self.verify_rtt),
            ("settle_rtt", &self.settle_rtt),
            ("memory", &self.memory),
        ]
    }

    /// Whether all that was measured reaches its must.
    pub(crate) fn is_passed(&self) -> bool {
        let rows = self.rows();
        let mut all = rows.iter().map(|(_, row)| *row).chain(self.svm.values());
        all.all(|row| row.pass != Some(false))
    }

    /// One line.
    pub(crate) fn as_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The table, as text that is a Markdown table too.
    pub(crate) fn as_text(&self) -> String {
        table(&self.rows())
    }

    /// The same of Solana.
    pub(crate) fn svm_as_text(&self) -> String {
        let known = SVM.into_iter();
        let rows: Vec<_> = known
            .filter_map(|(name, _)| Some((name, self.svm.get(name)?)))
            .collect();
        table(&rows)
    }

    /// What was asked for.
    pub(crate) fn asked_as_text(&self, svm: bool, others: bool) -> String {
        let tables = [(svm, self.svm_as_text()), (others, self.as_text())];
        let tables: Vec<String> = tables
            .into_iter()
            .filter_map(|(is_asked, table)| is_asked.then_some(table))
            .collect();
        tables.join("\n\n")
    }
}

fn table(rows: &[(&'static str, &Row)]) -> String {
    let mut lines = vec![
        "| row | per second | limit | ratio | CPU µs | p50 ms | p99 ms | must | aim | reached |"
            .to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|---|---|---|".to_owned(),
    ];
    let mut notes = Vec::new();
    for (name, row) in rows {
        let p50 = match row.first_ms {
            Some(first) => format!(
                "{}, first sight {}",
                shown(row.p50_ms, 2),
                shown(Some(first), 1)
            ),
            None => shown(row.p50_ms, 2),
        };
        lines.push(format!(
            "| {name}: {} | {} | {} | {} | {} | {p50} | {} | {} | {} | {} |",
            row.what,
            shown(row.ops, if *name == "memory" { 1 } else { 0 }),
            shown(row.limit, 0),
            shown(row.ratio, 2),
            shown(row.cpu_us, 1),
            shown(row.p99_ms, 2),
            row.must.as_text(),
            row.aim.as_text(),
            row.verdict(),
        ));
        if let Some(reason) = &row.reason {
            notes.push(format!("* {name}: {reason}"));
        }
    }
    let limits = rows.iter().filter(|(_, row)| !row.limit_is.is_empty());
    let limits: Vec<String> = limits
        .map(|(name, row)| format!("{name}: {}", row.limit_is))
        .collect();
    format!(
        "{}\n\nLimits: {}.\n{}",
        lines.join("\n"),
        limits.join("; "),
        notes.join("\n")
    )
    .trim_end()
    .to_owned()
}

impl Bound {
    const fn parts(self) -> (&'static str, f64) {
        match self {
            Self::Ops(value) => ("ops_min", value),
            Self::Ratio(value) => ("ratio_min", value),
            Self::CpuUs(value) => ("cpu_us_max", value),
            Self::P50Ms(value) => ("p50_ms_max", value),
            Self::FirstMs(value) => ("first_ms_max", value),
            Self::Mib(value) => ("mib_max", value),
        }
    }

    fn as_text(self) -> String {
        match self {
            Self::Ops(value) => format!("≥ {value}/s"),
            Self::Ratio(value) => format!("≥ {value} ×"),
            Self::CpuUs(value) => format!("≤ {value} µs"),
            Self::P50Ms(value) => format!("≤ {value} ms"),
            Self::FirstMs(value) => format!("first ≤ {value} ms"),
            Self::Mib(value) => format!("≤ {value} MiB"),
        }
    }
}

impl Bounds {
    fn as_text(self) -> String {
        if self.0.is_empty() {
            return "–".to_owned();
        }
        let texts: Vec<String> = self.0.iter().map(|bound| bound.as_text()).collect();
        texts.join(", ")
    }
}

impl Serialize for Bounds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for bound in self.0 {
            let (name, value) = bound.parts();
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

fn shown(number: Option<f64>, digits: usize) -> String {
    number.map_or_else(|| "–".to_owned(), |number| format!("{number:.digits$}"))
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
