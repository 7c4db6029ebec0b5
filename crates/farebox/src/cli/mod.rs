//! The command line: one file per command, the flags that all share, and the one way out.
//!
//! Called by `main`. Machine output goes to stdout, everything else to stderr; exactly one exit
//! code of docs/command-line.md leaves.

mod budget;
mod chains;
mod completions;
mod demo;
mod devnet;
mod doctor;
mod facilitator;
mod fetch;
mod gate;
mod man;
mod node;
mod payment_view;
mod payments;
pub(crate) mod signal;
mod token;
mod wallet;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use farebox_core::fault::Fault;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::assemble;
use crate::config::{Config, DataDir};
use crate::failure::Failure;
use crate::output;
use crate::telemetry::{self, Plan, Traces};

const EXAMPLES: &str = "\
Examples:
  farebox demo
  farebox devnet --only evm --write net
  farebox gate --config net/seller.toml --upstream http://127.0.0.1:3000 --price \"0.001 USD\"
  farebox fetch --config net/buyer.toml http://127.0.0.1:8402/

Exit codes:
  0 done; 1 failed before any payment; 2 usage or configuration; 3 refused by budget or --max-cost;
  4 no offer that can be paid; 5 refused after a credential was sent, the amount stays reserved;
  6 no readable reply after a credential was sent, money may have moved; 7 paid, not delivered;
  22 HTTP status of 400 or more, nothing was paid";

/// Lets any HTTP API get paid by software, and lets any software pay, over HTTP 402.
#[derive(Parser)]
#[command(name = "farebox", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "FAREBOX_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// Where the default ledger and the keystore are
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "FAREBOX_DATA_DIR",
        hide_env_values = true
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

impl Globals {
    /// Reads the configuration file, if one is named.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        Config::load(self.config.as_deref())
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> Result<DataDir, Failure> {
        DataDir::new(self.data_dir.as_deref())
    }
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Devnet(devnet::Devnet),
    Doctor(doctor::Doctor),
    Facilitator(Box<facilitator::Facilitator>),
    Fetch(Box<fetch::Fetch>),
    Gate(Box<gate::Gate>),
    Wallet(wallet::Wallet),
    Budget(budget::Budget),
    Payments(payments::Payments),
    Token(token::Tokens),
    Node(node::Node),
    Completions(completions::Completions),
    Man(man::Manual),
}

impl Command {
    /// Whether it only looks, and finds words for what it sees.
    fn is_examining(&self) -> bool {
        match self {
            Self::Doctor(_) => true,
            Self::Gate(gate) => gate.is_checking(),
            Self::Facilitator(facilitator) => facilitator.is_checking(),
            _ => false,
        }
    }

    /// What the process that runs it is called.
    const fn name(&self) -> &'static str {
        match self {
            Self::Demo(_) => "farebox demo",
            Self::Devnet(_) => "farebox devnet",
            Self::Doctor(_) => "farebox doctor",
            Self::Facilitator(_) => "farebox facilitator",
            Self::Fetch(_) => "farebox fetch",
            Self::Gate(_) => "farebox gate",
            Self::Wallet(_) => "farebox wallet",
            Self::Budget(_) => "farebox budget",
            Self::Payments(_) => "farebox payments",
            Self::Token(_) => "farebox token",
            Self::Node(_) => "farebox node",
            Self::Completions(_) => "farebox completions",
            Self::Man(_) => "farebox man",
        }
    }

    /// Where its traces go. A configuration that cannot be read is for the command to refuse.
    fn traces(&self, globals: &Globals) -> Result<Option<Plan>, Failure> {
        match self {
            _ if self.is_examining() || globals.config().is_err() => Ok(None),
            Self::Gate(gate) => gate.traces(globals),
            Self::Facilitator(facilitator) => facilitator.traces(globals),
            _ => Ok(None),
        }
    }
}

/// Runs the command that the arguments of this process name.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &arguments),
    };
    let traces = cli.command.traces(&cli.globals);
    let (traces, refused) = match traces.and_then(|plan| plan.map(Traces::new).transpose()) {
        Ok(traces) => (traces, None),
        Err(refused) => (None, Some(refused)),
    };
    start_log(&cli.globals, cli.command.is_examining(), traces);
    let json = cli.globals.json;
    let (fetched, silent) = match &cli.command {
        Command::Fetch(fetch) => {
            let url = farebox_buyer::without_userinfo(&fetch.url);
            (Some(Unfetched::new(Some(url))), fetch.is_silent())
        }
        _ => (None, false),
    };
    if !cli.globals.quiet && !silent {
        output::allow_progress();
    }
    match refused.map_or_else(|| run(cli), Err) {
        Ok(exit) => ExitCode::from(exit),
        Err(failure) => {
            if let Some(fault) = failure.fault.as_ref().filter(|_| !silent) {
                output::say(&format!("farebox: {fault}"));
            }
            end(&failure, json, fetched)
        }
    }
}

/// Runs a command; the number is what the process exits with.
fn run(cli: Cli) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("threads", format!("cannot start threads: {error}")))?;
    let globals = cli.globals;
    assemble::call_this_process(cli.command.name());
    let exit = runtime.block_on(async {
        telemetry::start();
        tokio::spawn(async {
            assemble::a_node_runs().await;
            signal::end_after(assemble::stop_nodes).await;
        });
        let exit = match cli.command {
            Command::Demo(demo) => Box::pin(demo.run(&globals)).await,
            Command::Fetch(fetch) => Box::pin(fetch.run(&globals)).await,
            Command::Devnet(devnet) => devnet.run(&globals).await,
            Command::Doctor(doctor) => Box::pin(doctor.run(&globals)).await,
            Command::Facilitator(facilitator) => Box::pin(facilitator.run(&globals)).await,
            Command::Gate(gate) => Box::pin(gate.run(&globals)).await,
            Command::Wallet(wallet) => wallet.run(&globals).await,
            Command::Budget(budget) => budget.run(&globals).await,
            Command::Payments(payments) => payments.run(&globals).await,
            Command::Token(token) => token.run(&globals).await,
            Command::Node(node) => Box::pin(node.run(&globals)).await,
            Command::Completions(completions) => completions.run(&globals),
            Command::Man(man) => man.run(&globals),
        };
        assemble::stop_nodes().await;
        exit
    });
    // A thread that still reads a terminal or a pipe must not keep the process.
    runtime.shutdown_background();
    exit
}

/// What a server prints with `--json` once it is ready.
#[derive(Serialize)]
struct Listening<'a> {
    listening: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<String>,
}

impl<'a> Listening<'a> {
    fn new(listening: &'a str, admin: Option<SocketAddr>) -> Self {
        Self {
            listening,
            admin: admin.map(|address| format!("http://{address}")),
        }
    }
}

/// What a failed command prints with `--json`.
#[derive(Serialize)]
struct Failed<'a> {
    ok: bool,
    exit: u8,
    #[serde(flatten)]
    fetched: Option<Unfetched>,
    error: Option<&'a Fault>,
}

/// The rest of the object of `fetch`, which has the same keys however it ends.
#[derive(Serialize)]
struct Unfetched {
    url: Option<String>,
    status: Option<u16>,
    headers: BTreeMap<String, Vec<String>>,
    body: Option<String>,
    payment: Option<String>,
    cost: Option<String>,
}

impl Unfetched {
    fn new(url: Option<String>) -> Self {
        Self {
            url,
            status: None,
            headers: BTreeMap::new(),
            body: None,
            payment: None,
            cost: None,
        }
    }
}

/// Gives a failure its object, where one was asked for, and its exit code.
fn end(failure: &Failure, json: bool, fetched: Option<Unfetched>) -> ExitCode {
    if json && failure.fault.is_some() {
        let object = Failed {
            ok: false,
            exit: failure.exit,
            fetched,
            error: failure.fault.as_ref(),
        };
        // What could not be written has been said on stderr.
        let _ = output::json(&object);
    }
    ExitCode::from(failure.exit)
}

/// What the parser of arguments has to say: help and version are success, the rest is exit 2.
fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    // Goes to stdout for help and to stderr for mistakes; a reader who has gone is fine.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let text = error.render().to_string();
    // The sentence ends with the first empty line; usage and tips follow.
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty());
    let sentence = lines.collect::<Vec<_>>().join(" ");
    let failure = Failure::config("usage", sentence.trim_start_matches("error: "));
    end(
        &failure,
        given("--json"),
        given("fetch").then(|| Unfetched::new(None)),
    )
}

/// Logs go to stderr: warnings by default, more with -v, none but errors with -q, or as
/// `FAREBOX_LOG` says. Who examines says by itself what a warning would.
fn start_log(globals: &Globals, is_examining: bool, traces: Option<Traces>) {
    let level = match (globals.quiet, globals.verbose) {
        (true, _) => "error",
        (false, 0) if is_examining => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = std::env::var("FAREBOX_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(level));
    let is_coloured = output::is_coloured(&std::io::stderr());
    if let Some(traces) = traces {
        return traces.install(filter, is_coloured);
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_coloured)
        .with_target(false)
        .init();
}
