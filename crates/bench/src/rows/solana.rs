//! Rows of a facilitator on Solana: /verify and /settle with a node next door.
//!
//! Only where somebody asks for them: they need a `farebox` with the Solana network in it, which takes long to build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use super::facilitator::{is_settled, is_valid};
use super::say;
use crate::load::{self, Answer, Feed};
use crate::product::{self, Server};
use crate::report::{Report, Sample};
use crate::stage::{self, VALUE};
use crate::svm::{Chain, Payment};
use crate::{Fallible, Options, Part};

const VERIFY_CONNECTIONS: usize = 50;
const VERIFY_RUNS: usize = 5;
const VERIFICATIONS: usize = 5_000;
/// Signatures that one core checks to find the limit.
const SIGNATURES: usize = 5_000;
const SETTLE_RUNS: usize = 3;
/// Settlements before anything counts.
const WARM_UP: usize = 400;
/// Connections and payments of the two rows.
const FEW: (usize, usize) = (50, 3_000);
const MANY: (usize, usize) = (400, 8_000);
/// Transactions that measure the node's ceiling, over as many connections as give it work on every core.
const CEILING: (usize, usize) = (50, 5_000);

/// Where these rows are measured.
struct Ground {
    binary: PathBuf,
    folder: TempDir,
    quick: bool,
    servers: usize,
}

/// Measures what is wanted.
pub(super) fn measure(options: &Options, report: &mut Report) -> Fallible<()> {
    let binary = product::binary(&["devnet-svm"])?;
    let disk = binary.parent().ok_or("the binary lies nowhere")?;
    let mut ground = Ground {
        folder: TempDir::with_prefix_in("bench-", disk)?,
        binary,
        quick: options.quick,
        servers: 0,
    };
    if options.wants(Part::VerifySvm) {
        say("/verify on Solana");
        report.fill_svm("verify_svm", ground.verify());
    }
    if options.wants(Part::SettleSvm) {
        say("the Solana node's ceiling");
        let ceiling = ground.ceiling();
        for (name, load) in [("settle_svm", FEW), ("settle_svm_400", MANY)] {
            say("/settle on Solana");
            let ceiling = match &ceiling {
                Ok(ceiling) => Ok(*ceiling),
                Err(error) => Err(error.to_string().into()),
            };
            let row = ceiling.and_then(|ceiling| ground.settle(load, ceiling));
            report.fill_svm(name, row);
        }
    }
    Ok(())
}

impl Ground {
    /// All of them, or a tenth.
    fn payments(&self, all: usize) -> usize {
        if self.quick { all / 10 } else { all }
    }

    fn runs(&self, all: usize) -> usize {
        if self.quick { 1 } else { all }
    }

    fn chain(&self) -> Fallible<Chain> {
        Chain::start(&self.binary, self.folder.path())
    }

    /// A facilitator with a ledger of its own.
    fn facilitator(&mut self, chain: &Chain) -> Fallible<Server> {
        self.servers += 1;
        let folder = self.folder.path().join(format!("{}", self.servers));
        fs::create_dir(&folder)?;
        let ledger = folder.join("ledger.db");
        fs::write(folder.join("fees.key"), chain.fees_key()?)?;
        let head = format!("ledger = \"sqlite:{}\"\n\n", ledger.display());
        let file = folder.join("farebox.toml");
        fs::write(&file, head + &chain.configuration()?)?;
        let mut command = Command::new(&self.binary);
        command.arg("facilitator").arg("--config").arg(&file);
        command.args(["--listen", "127.0.0.1:0", "--json"]);
        command.arg("--data-dir").arg(&folder);
        Server::start("facilitator", &mut command, Path::new(&folder))
    }

    fn verify(&mut self) -> Fallible<Sample> {
        let mut chain = self.chain()?;
        let facilitator = self.facilitator(&chain)?;
        let (count, mut samples) = (self.payments(VERIFICATIONS), Vec::new());
        ask_all(&mut chain, &facilitator, "/verify", WARM_UP)?;
        for _ in 0..self.runs(VERIFY_RUNS) {
            let limit = signatures(&chain.sign(self.payments(SIGNATURES))?)?;
            let requests = requests(&mut chain, "/verify", count)?;
            let (process, address) = (&facilitator.process, facilitator.address);
            let feed = Feed::Each(requests);
            let (sample, measured) =
                stage::timed(process, address, VERIFY_CONNECTIONS, feed, is_valid)?;
            stage::all_good(&measured)?;
            samples.push(Sample {
                limit: Some(limit),
                ..sample
            });
        }
        stage::median(samples)
    }

    /// What the node can carry out at most: transactions that are ready, each handed over by itself.
    fn ceiling(&mut self) -> Fallible<f64> {
        let ((connections, count), mut runs) = (CEILING, Vec::new());
        for _ in 0..self.runs(SETTLE_RUNS) {
            let mut chain = self.chain()?;
            let before = chain.income()?;
            let payments = chain.sign(self.payments(count))?;
            let calls = payments.iter().map(|payment| chain.send(payment));
            let feed = Feed::Each(calls.collect::<Fallible<_>>()?);
            let measured = load::run(chain.address, connections, feed, is_taken)?;
            stage::all_good(&measured)?;
            check_books(&mut chain, before, measured.good)?;
            runs.push(measured.per_second());
        }
        crate::stats::median(runs).ok_or_else(|| "nothing was measured".into())
    }

    /// Each run has a chain and a facilitator of its own.
    fn settle(&mut self, load: (usize, usize), ceiling: f64) -> Fallible<Sample> {
        let ((connections, count), mut samples) = (load, Vec::new());
        let count = self.payments(count).max(connections);
        for _ in 0..self.runs(SETTLE_RUNS) {
            let mut chain = self.chain()?;
            let facilitator = self.facilitator(&chain)?;
            let before = chain.income()?;
            ask_all(&mut chain, &facilitator, "/settle", WARM_UP)?;
            let requests = requests(&mut chain, "/settle", count)?;
            let (process, address) = (&facilitator.process, facilitator.address);
            let feed = Feed::Each(requests);
            let (sample, measured) = stage::timed(process, address, connections, feed, is_settled)?;
            stage::all_good(&measured)?;
            check_books(&mut chain, before, WARM_UP + measured.good)?;
            samples.push(Sample {
                limit: Some(ceiling),
                ..sample
            });
        }
        stage::median(samples)
    }
}

/// Signatures that one core checks per second: what a verification cannot do without.
fn signatures(payments: &[Payment]) -> Fallible<f64> {
    let began = Instant::now();
    let good = payments.iter().filter(|payment| payment.is_good()).count();
    let took = began.elapsed();
    if good < payments.len() {
        return Err("a signature of our own is not good".into());
    }
    Ok(payments.len() as f64 / took.as_secs_f64())
}

/// Requests to a facilitator, each about another payment.
fn requests(chain: &mut Chain, path: &str, count: usize) -> Fallible<Vec<Vec<u8>>> {
    let offer = chain.offer()?;
    let payments = chain.sign(count)?;
    let bodies = payments.iter().map(|payment| payment.body(&offer));
    let post = |body: String| load::request("POST", path, &[], Some(body.as_bytes()));
    Ok(bodies.map(post).collect())
}

/// Asks about so many payments before anything counts.
fn ask_all(chain: &mut Chain, server: &Server, path: &str, count: usize) -> Fallible<()> {
    let feed = Feed::Each(requests(chain, path, count)?);
    let judge: load::Judge = if path == "/settle" {
        is_settled
    } else {
        is_valid
    };
    stage::all_good(&load::run(server.address, VERIFY_CONNECTIONS, feed, judge)?)
}

/// What the payee has got since `before` must be what was reported as paid.
fn check_books(chain: &mut Chain, before: u128, paid: usize) -> Fallible<()> {
    let has = chain.income()?.saturating_sub(before);
    let wants = u128::from(VALUE) * paid as u128;
    if has == wants {
        return Ok(());
    }
    Err(format!("{wants} was reported as paid, and the payee got {has}").into())
}

/// Whether the node has taken a transaction.
fn is_taken(answer: &Answer<'_>) -> bool {
    answer.status == 200 && answer.body.windows(8).any(|window| window == b"\"result\"")
}
