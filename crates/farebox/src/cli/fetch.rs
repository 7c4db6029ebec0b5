//! `farebox fetch`: like curl, but pays a 402 within the limits.
//!
//! Reads flags, makes one call through the buyer's loop, and puts the answer where it was wanted.
//! The exit code is the loop's; whatever can fail for a reason of ours is tried before anything is
//! paid.

mod arguments;
mod sink;

use std::io::IsTerminal as _;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use farebox_buyer::{
    Buyer, BuyerOptions, Exit, FetchError, Fetched, Report, Shown, without_userinfo,
};
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::payment::Phase;

use super::Globals;
use super::wallet::Passphrase;
use crate::assemble;
use crate::config::Usd;
use crate::failure::Failure;
use crate::output;
use sink::{Sink, Written};

const EXAMPLES: &str = "\
Examples:
  farebox fetch https://api.example.com/weather/oslo
  farebox fetch --max-cost \"0.01 USD\" -o report.pdf https://api.example.com/report
  farebox fetch --json --dry-run https://api.example.com/report
  farebox fetch --prefer \"lightning, eip155:8453\" --no-mainnet https://api.example.com/report
  farebox fetch -H \"content-type: application/json\" -d @q.json https://api.example.com/ask

Exit codes: see `farebox --help`. A call that ended with 6 may be repeated: it shows the same
payment again, and pays nothing new.";

/// Fetch a URL, and pay for it within the limits if it asks for payment
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Fetch {
    /// What to fetch
    pub(super) url: String,
    /// HTTP method [default: GET, with -d POST]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<String>,
    /// A header, "Name: value"; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The request's body; @FILE reads a file, @- stdin, both byte for byte
    #[arg(short = 'd', long = "data", value_name = "DATA")]
    data: Option<String>,
    /// Write the body to this file instead of stdout
    #[arg(short = 'o', long, value_name = "FILE", conflicts_with = "remote_name")]
    output: Option<std::path::PathBuf>,
    /// Write the body to a file with the name that ends the URL
    #[arg(short = 'O', long)]
    remote_name: bool,
    /// Print the answer's head before its body
    #[arg(short = 'i', long)]
    include: bool,
    /// Follow redirects before paying; after paying none is followed
    #[arg(short = 'L', long)]
    location: bool,
    /// Say nothing on stderr, not even errors
    #[arg(short = 's', long)]
    silent: bool,
    /// The most that this call may cost, for instance "0.05 USD"
    #[arg(
        long,
        value_name = "USD",
        env = "FAREBOX_MAX_COST",
        hide_env_values = true
    )]
    max_cost: Option<Usd>,
    /// Pay only by this protocol: x402 or l402
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    /// Pay only by this rail: evm, solana or lightning
    #[arg(long, value_name = "NAME")]
    rail: Option<String>,
    /// Networks, rails, protocols or assets in order of preference, separated by commas; cost decides the rest
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    prefer: Vec<String>,
    /// Pay only with these assets, by symbol or CAIP-19 name; may be repeated
    #[arg(long = "asset", value_name = "NAMES", value_delimiter = ',')]
    assets: Vec<String>,
    /// Pay nothing that is real money; "=false" where the configuration says so
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_mainnet: Option<bool>,
    /// Explain the offers and the decision, and pay nothing
    #[arg(long)]
    dry_run: bool,
    /// Spend as this agent: within its limits, and without private addresses
    #[arg(
        long,
        value_name = "NAME",
        env = "FAREBOX_AGENT",
        hide_env_values = true,
        value_parser = NonEmptyStringValueParser::new()
    )]
    agent: Option<String>,
    /// What this call is for, for the log
    #[arg(long, value_name = "TEXT")]
    task: Option<String>,
    /// Name of the logical call: the same name never pays twice while the first is open
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Pay anew although the same call has an open payment
    #[arg(long = "new")]
    fresh: bool,
    /// How long to wait for an answer, in seconds or like "2m" [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = arguments::seconds_or_span)]
    max_time: Option<std::time::Duration>,
    #[command(flatten)]
    passphrase: Passphrase,
}

impl Fetch {
    /// Whether even errors are kept quiet.
    pub(super) const fn is_silent(&self) -> bool {
        self.silent
    }

    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let mut call = self.call()?;
        let config = globals.config()?;
        arguments::prefer(&mut call, self.no_mainnet, &config);
        let data_dir = globals.data_dir()?;
        let sink = Sink::open(self.target()?, globals.json)?;
        let ledger = assemble::ledger(&config, &data_dir).await?;
        let passphrase = self.passphrase.passphrase.as_deref();
        let desk = assemble::desk(&config, &data_dir, passphrase, ledger)?;
        let options = BuyerOptions {
            allow_private: config.allow_private()?,
        };
        let buyer = Buyer::new(desk, options)?;
        if let Some(task) = &self.task {
            tracing::info!(task, url = without_userinfo(&self.url), "fetching");
        }
        match Box::pin(buyer.fetch(call)).await {
            Ok(fetched) => self.show(fetched, sink, globals).await,
            Err(error) => Ok(self.show_failure(&error, globals)),
        }
    }

    /// Puts the body where it was wanted, and tells the rest.
    async fn show(
        &self,
        mut fetched: Fetched,
        sink: Sink,
        globals: &Globals,
    ) -> Result<u8, Failure> {
        let written = match wants_body(&fetched) {
            true => sink.take(&mut fetched, self.include).await,
            false => Ok(Written::Nothing),
        };
        let shown = match written {
            Ok(Written::Inline(bytes)) => Shown::Inline(bytes),
            Ok(Written::File(path)) => Shown::File(path),
            Ok(Written::Nothing) => Shown::Nothing,
            Ok(Written::ReaderGone) => return Ok(fetched.ending.exit().code()),
            Err(why) => {
                fetched.not_kept(output_failed(&why));
                Shown::Nothing
            }
        };
        let told = match &fetched.plan {
            _ if globals.json => output::json(&Report::of(&fetched, shown)),
            Some(plan) => output::line(&arguments::plan_text(plan)),
            None => Ok(()),
        };
        // Paid or not, what could not be printed does not change what became of the money.
        if let Err(Failure { fault, .. }) = told {
            match fault {
                Some(fault) => fetched.not_kept(fault),
                None => return Ok(fetched.ending.exit().code()),
            }
        }
        self.complain(fetched.ending.fault().as_ref());
        self.mention_payment(&fetched, globals);
        Ok(fetched.ending.exit().code())
    }

    fn show_failure(&self, error: &FetchError, globals: &Globals) -> u8 {
        self.complain(error.ending.fault().as_ref());
        if globals.json
            && let Err(failure) = output::json(&Report::failed(error))
        {
            self.complain(failure.fault.as_ref());
        }
        error.ending.exit().code()
    }

    fn complain(&self, fault: Option<&Fault>) {
        if let Some(fault) = fault.filter(|_| !self.silent) {
            output::say(&format!("farebox: {fault}"));
        }
    }

    /// What a person wants to know about the money, and a script only where something is open.
    fn mention_payment(&self, fetched: &Fetched, globals: &Globals) {
        let Some(payment) = &fetched.payment else {
            return;
        };
        if self.silent || globals.quiet || fetched.ending.exit() != Exit::Done {
            return;
        }
        let terms = &payment.terms;
        if payment.state.phase != Phase::Settled {
            output::say(&format!(
                "farebox: the answer came without a readable receipt, so payment {} stays reserved; `farebox payments resume --all` asks the chain",
                payment.id
            ));
        } else if globals.verbose > 0 || std::io::stderr().is_terminal() {
            output::say(&format!(
                "farebox: paid {} {} ({})",
                terms.amount.to_decimal_string(terms.decimals),
                terms.symbol,
                payment.id
            ));
        }
    }
}

/// The body of a 402 that was not paid is for programs, and a dry run shows its plan instead.
fn wants_body(fetched: &Fetched) -> bool {
    let refused = [Exit::Refused, Exit::NoOffer, Exit::WaitingForApproval];
    fetched.plan.is_none() && !refused.contains(&fetched.ending.exit())
}

/// The answer came and could not be kept where it was wanted.
fn output_failed(why: &std::io::Error) -> Fault {
    Fault::harmless(
        "output_failed",
        Kind::Store,
        Blame::User,
        format!("the answer could not be written: {why}; make room before you fetch again"),
    )
}
