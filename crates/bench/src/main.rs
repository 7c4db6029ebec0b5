//! `farebox-bench`: what Farebox does per second, beside what this machine could do at all.
//!
//! Run by people and by CI: `cargo run --release -p farebox-bench -- --json`. The product runs as child
//! processes, as a user would start it; every limit is measured in the same run. Nothing here may make the
//! product look better: credentials are distinct, the ledger is on, and what the product reports as
//! settled is compared with the payee's balance on chain.

mod aside;
mod bare;
mod curves;
mod delay;
mod lnd;
mod load;
mod machine;
mod markdown;
mod node;
mod process;
mod product;
mod report;
mod rows;
mod rpc;
mod sign;
mod stage;
mod stats;
mod svm;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Anything that ends the run; a sentence.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
/// What a step gives.
pub(crate) type Fallible<T> = Result<T, Error>;

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p farebox-bench -- --json
  cargo run --release -p farebox-bench -- --only challenge,proxy
  cargo run --release -p farebox-bench -- --node anvil --markdown
  cargo run --release -p farebox-bench -- --only verify_svm,settle_svm
  cargo run --release -p farebox-bench -- --curves

Exit codes:
  0 every measured row reaches its must; 1 one does not, or a payment is missing on chain; 2 nothing could be measured";

/// Measure Farebox against the limits of this machine
#[derive(Parser)]
#[command(name = "farebox-bench", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Print one line of JSON on stdout; the table goes to stderr
    #[arg(long)]
    json: bool,
    /// Measure these rows alone, separated by commas; those of Solana only where they are named
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<Part>,
    /// The chain to settle on
    #[arg(long, value_enum, default_value_t = NodeKind::Devnet)]
    node: NodeKind,
    /// How far away the node of the rows with a round trip is, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 40)]
    rtt_ms: u64,
    /// One short run of each row: to see that all works, not to quote
    #[arg(long)]
    quick: bool,
    /// Write the tables into docs/performance.md
    #[arg(long)]
    markdown: bool,
    /// Measure what 100 to 1,000,000 payers and ledger rows cost, instead of the rows
    #[arg(long)]
    curves: bool,
    /// The most payers and ledger rows of the curves
    #[arg(
        long,
        value_name = "ROWS",
        default_value_t = 1_000_000,
        requires = "curves"
    )]
    curves_max: usize,
    #[command(subcommand)]
    serve: Option<Serve>,
}

/// Rows that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A facilitator's /verify, also with a node far away.
    Verify,
    /// A facilitator's /settle, also with a node far away.
    Settle,
    /// A paid request through the gate.
    Paid,
    /// The 402 of a request without payment.
    Challenge,
    /// A free route through the gate.
    Proxy,
    /// A request paid by a token of L402, with unlimited and with counted uses.
    Token,
    /// A facilitator's /verify on Solana.
    #[value(name = "verify_svm")]
    VerifySvm,
    /// A facilitator's /settle on Solana.
    #[value(name = "settle_svm")]
    SettleSvm,
}

impl Part {
    /// Whether it is measured only where it is named: it needs a binary that takes long to build.
    const fn is_svm(self) -> bool {
        matches!(self, Self::VerifySvm | Self::SettleSvm)
    }
}

/// Whose chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeKind {
    /// `farebox devnet`, which needs nothing else.
    Devnet,
    /// anvil, from PATH or from interop/node_modules.
    Anvil,
}

/// What this program starts itself as: the other end of a comparison.
#[derive(Subcommand)]
enum Serve {
    /// The least that a server can do
    #[command(hide = true)]
    Serve(bare::Bare),
}

impl Options {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.contains(&part) || (self.only.is_empty() && !part.is_svm())
    }

    /// Whether a row of Solana is wanted, and whether any other is.
    pub(crate) fn wants_svm(&self) -> bool {
        self.only.iter().any(|part| part.is_svm())
    }

    pub(crate) fn wants_others(&self) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| !part.is_svm())
    }

    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_millis(self.rtt_ms)
    }
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    let done = match options.serve.take() {
        Some(Serve::Serve(bare)) => bare.run().map(|()| true),
        None if cfg!(debug_assertions) => {
            Err("a debug build measures nothing; add --release to the command".into())
        }
        None if options.curves => curves::run(&options).map(|()| true),
        None => report(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("farebox-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Measures, and shows what came out; whether all is well.
fn report(options: &Options) -> Fallible<bool> {
    let machine = machine::Machine::look();
    let report = rows::measure(options)?;
    let table = report.asked_as_text(options.wants_svm(), options.wants_others());
    eprintln!("{machine}\n\n{table}");
    if options.json {
        println!("{}", report.as_json());
    }
    if options.markdown {
        markdown::write_rows(options, &machine, &report)?;
    }
    Ok(report.is_passed())
}
