//! What the demonstration says: a line as each step ends for people, one object at the end for
//! machines.

use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};

use super::paint::Paint;
use crate::failure::Failure;
use crate::output;

/// One step: what was claimed, whether it held, and what was seen.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// For machines.
    pub(super) name: &'static str,
    /// Whether everything about it held.
    pub(super) ok: bool,
    /// What was seen, for machines.
    #[serde(flatten)]
    pub(super) detail: Map<String, Value>,
    /// What was done, for people.
    #[serde(skip)]
    pub(super) title: &'static str,
    /// What was seen, for people, line by line.
    #[serde(skip)]
    pub(super) seen: Vec<String>,
}

/// The same sum in both books, in atomic units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Books {
    /// What the ledgers say was paid.
    pub(super) ledger: String,
    /// What the chain says was paid.
    pub(super) chain: String,
}

/// The part of the object that is another chain's, of the same form as the first's.
#[derive(Debug, Default, Serialize)]
struct ChainReport {
    transaction: Option<String>,
    books: Books,
}

/// The same sum over Lightning, in millisatoshis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct LightningBooks {
    /// What the ledgers say was paid.
    pub(super) ledger: String,
    /// What the seller's node says was paid.
    pub(super) node: String,
}

/// The part of the object that is Lightning's, of the same form as the chain's.
#[derive(Debug, Default, Serialize)]
struct LightningReport {
    /// The payment hash.
    transaction: Option<String>,
    books: LightningBooks,
}

/// The object that `farebox demo --json` prints.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Whether all of it held.
    ok: bool,
    steps: Vec<Step>,
    transaction: Option<String>,
    books: Books,
    /// Only where Solana was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    solana: Option<ChainReport>,
    /// Only where Lightning was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    lightning: Option<LightningReport>,
}

/// Tells the story while it happens.
pub(super) struct Teller {
    report: Report,
    json: bool,
    paint: Paint,
    began: Instant,
}

impl Teller {
    pub(super) fn new(json: bool) -> Self {
        Self {
            report: Report::default(),
            json,
            paint: Paint::for_stdout(),
            began: Instant::now(),
        }
    }

    /// A line for people.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        output::line(text)
    }

    /// What was set up.
    pub(super) fn open(&self, title: &str, lines: &[(&str, String)]) -> Result<(), Failure> {
        self.say(&self.paint.bold(title))?;
        let width = lines.iter().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default() + 3;
        for (name, value) in lines {
            self.say(&self.paint.dim(&format!("   {name:width$}{value}")))?;
        }
        self.say("")
    }

    /// A step has ended.
    pub(super) fn step(&mut self, step: Step) -> Result<(), Failure> {
        let number = self.report.steps.len() + 1;
        let mark = if step.ok {
            self.paint.green("ok")
        } else {
            self.paint.red("FAILED")
        };
        self.say(&format!(
            "{number}  {}  {mark}",
            self.paint.bold(step.title)
        ))?;
        for line in &step.seen {
            self.say(&format!("   {line}"))?;
        }
        self.report.steps.push(step);
        Ok(())
    }

    /// The transaction that paid.
    pub(super) fn paid_by(&mut self, transaction: Option<String>) {
        self.report.transaction = transaction;
    }

    /// The books were compared.
    pub(super) fn books(&mut self, books: Books) {
        self.report.books = books;
    }

    /// The transaction that paid on Solana.
    #[cfg(feature = "all-rails")]
    pub(super) fn paid_over_solana(&mut self, transaction: Option<String>) {
        let solana = self.report.solana.get_or_insert_default();
        solana.transaction = transaction;
    }

    /// The books of Solana were compared.
    #[cfg(feature = "all-rails")]
    pub(super) fn solana_books(&mut self, books: Books) {
        self.report.solana.get_or_insert_default().books = books;
    }

    /// The payment hash of what was paid over Lightning.
    #[cfg(feature = "all-rails")]
    pub(super) fn paid_over_lightning(&mut self, transaction: Option<String>) {
        let lightning = self.report.lightning.get_or_insert_default();
        lightning.transaction = transaction;
    }

    /// The books of Lightning were compared.
    #[cfg(feature = "all-rails")]
    pub(super) fn lightning_books(&mut self, books: LightningBooks) {
        self.report.lightning.get_or_insert_default().books = books;
    }

    /// The end: whether all of it held.
    pub(super) fn close(mut self, steps: usize) -> Result<bool, Failure> {
        let held = self.report.steps.iter().filter(|step| step.ok).count();
        self.report.ok = held == steps;
        if self.json {
            output::json(&self.report)?;
            return Ok(self.report.ok);
        }
        let seconds = self.began.elapsed().as_millis();
        let verdict = format!("{held} of {steps} steps held, in {seconds} ms");
        self.say("")?;
        self.say(&if self.report.ok {
            self.paint.green(&verdict)
        } else {
            self.paint.red(&verdict)
        })?;
        Ok(self.report.ok)
    }
}
