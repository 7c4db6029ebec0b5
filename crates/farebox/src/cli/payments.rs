//! `farebox payments`: what was paid and collected, and what became of payments that are open.
//!
//! Reads the ledger; `resume` asks the chain and writes down what it says, `revoke` withdraws what
//! tokens of a seller buy: by their payment, which is in the seller's books. It never pays.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use farebox_core::clock::{Clock as _, SystemClock};
use farebox_core::ledger::{Filter, Ledger, LedgerError, Payment, PaymentId, Stage};
use farebox_core::payment::Role;
use farebox_core::purse::Purse as _;
use farebox_wire::caip::ChainId;
use farebox_wire::identity::Identity;
use farebox_wire::l402::preimage::PaymentHash;
use serde::Serialize;

use super::Globals;
use super::payment_view::{Entry, HEADINGS, details, row};
use crate::assemble;
use crate::config::Config;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox payments list --role buyer
  farebox payments show ID --json
  farebox payments resume --all
  farebox payments revoke HASH";

/// List payments, and find out what became of open ones
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Payments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Resume(Resume),
    Revoke(Revoke),
}

/// List payments, the newest first
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct List {
    /// Only what was paid (buyer) or collected (seller)
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Show one payment
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Show {
    /// Its name, as `farebox payments list` shows it
    id: String,
}

/// Ask the chain what became of open payments, and write it down
#[derive(Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("which").required(true))]
struct Resume {
    /// One payment
    #[arg(group = "which")]
    id: Option<String>,
    /// Every open payment
    #[arg(long, group = "which")]
    all: bool,
    /// Only what was paid (buyer) or collected (seller)
    #[arg(long, value_enum)]
    role: Option<RoleName>,
}

/// Withdraw what a Lightning payment has bought: every token of it is refused from then on
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Revoke {
    /// The payment's name, as `farebox payments list` shows it, or its payment hash, paid or not
    payment: String,
}

/// What `revoke --json` prints.
#[derive(Serialize)]
struct Revoked {
    /// The name of the payment on its rail.
    identity: String,
    /// Whether it was good until now.
    revoked: bool,
}

/// In whose books a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Buyer,
    Seller,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Buyer => Self::Buyer,
            RoleName::Seller => Self::Seller,
        }
    }
}

/// What `list --json` prints.
#[derive(Serialize)]
struct Listed {
    payments: Vec<Entry>,
}

/// What `resume --json` prints.
#[derive(Serialize)]
struct Resumed {
    /// Payments whose outcome is known now and was not before.
    resolved: usize,
    /// Payments whose outcome is still not known.
    still_unknown: usize,
    /// All that were asked about, as they stand now.
    payments: Vec<Entry>,
}

impl Payments {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        match self.command {
            Command::List(list) => list.run(globals).await,
            Command::Show(show) => show.run(globals).await,
            Command::Resume(resume) => resume.run(globals).await,
            Command::Revoke(revoke) => revoke.run(globals).await,
        }
    }
}

impl List {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let ledger = assemble::ledger(&globals.config()?, &globals.data_dir()?).await?;
        let filter = Filter {
            role: self.role.map(Role::from),
            limit: self.limit,
            ..Filter::default()
        };
        let payments = ledger.list(filter).await?;
        if globals.json {
            output::json(&Listed {
                payments: views(&payments),
            })?;
        } else if payments.is_empty() {
            output::line("No payments.")?;
        } else {
            output::line(&table(&payments))?;
        }
        Ok(0)
    }
}

impl Show {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let ledger = assemble::ledger(&globals.config()?, &globals.data_dir()?).await?;
        let id = PaymentId(self.id);
        let payment = ledger
            .payment(&id)
            .await?
            .ok_or(LedgerError::NotFound(id))?;
        if globals.json {
            output::json(&Entry::new(&payment))?;
        } else {
            output::line(&details(&payment))?;
        }
        Ok(0)
    }
}

impl Resume {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let config = globals.config()?;
        let data_dir = globals.data_dir()?;
        let ledger = assemble::ledger(&config, &data_dir).await?;
        let asked = self.asked(&*ledger).await?;
        let (bought, sold): (Vec<_>, Vec<_>) = asked
            .iter()
            .partition(|payment| payment.role == Role::Buyer);
        if !bought.is_empty() {
            let desk = assemble::keyless_desk(&config, &data_dir, Arc::clone(&ledger))?;
            match &self.id {
                Some(id) => drop(desk.resolve(&PaymentId(id.clone())).await?),
                None => drop(desk.resolve_all().await?),
            }
        }
        if !sold.is_empty() && !assemble::recover(&config, &data_dir).await? && !globals.quiet {
            output::say("farebox: a gate is running on this ledger and asks the chain by itself");
        }
        if self.all {
            assemble::prune(&config, &data_dir).await?;
        }
        let mut payments = Vec::with_capacity(asked.len());
        for before in &asked {
            payments.extend(ledger.payment(&before.id).await?);
        }
        if !globals.quiet {
            say_unasked(&config, &payments);
        }
        tell(&asked, &payments, globals)
    }

    /// The payments to ask about.
    async fn asked(&self, ledger: &dyn Ledger) -> Result<Vec<Payment>, Failure> {
        if let Some(id) = &self.id {
            let id = PaymentId(id.clone());
            let payment = ledger.payment(&id).await?;
            return Ok(vec![payment.ok_or(LedgerError::NotFound(id))?]);
        }
        let filter = Filter {
            role: self.role.map(Role::from),
            stage: Stage::Open,
            ..Filter::default()
        };
        Ok(ledger.list(filter).await?)
    }
}

impl Revoke {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let ledger = assemble::ledger(&globals.config()?, &globals.data_dir()?).await?;
        let identity = self.identity(&*ledger).await?;
        let revoked = ledger.revoke(&identity, SystemClock.now_ms()).await?;
        let identity = identity.as_str().to_owned();
        if globals.json {
            output::json(&Revoked { identity, revoked })?;
        } else if revoked {
            output::line(&format!("{identity} buys nothing any more."))?;
        } else {
            output::line(&format!("{identity} was revoked before."))?;
        }
        Ok(0)
    }

    async fn identity(&self, ledger: &dyn Ledger) -> Result<Identity, Failure> {
        if let Ok(hash) = self.payment.parse::<PaymentHash>() {
            return Ok(Identity::l402(&hash));
        }
        let id = PaymentId(self.payment.clone());
        let payment = ledger
            .payment(&id)
            .await?
            .ok_or(LedgerError::NotFound(id))?;
        let is_sold = payment.role == Role::Seller && payment.terms.protocol == "l402";
        payment.identity.filter(|_| is_sold).ok_or_else(|| {
            Failure::config(
                "not_revocable",
                "only what a seller was paid over L402 has tokens that can be revoked".to_owned(),
            )
        })
    }
}

/// Says which chains nobody could be asked about: "still unknown" alone would not tell what to do.
fn say_unasked(config: &Config, payments: &[Payment]) {
    let has_node = |chain: &ChainId| {
        let section = config.file.network.get(chain);
        section.is_some_and(|section| !section.rpc.is_empty() || section.node.is_some())
    };
    let open = payments.iter().filter(|payment| payment.state.is_open());
    let chains: BTreeSet<&ChainId> = open.map(|payment| &payment.terms.network).collect();
    for chain in chains.into_iter().filter(|chain| !has_node(chain)) {
        output::say(&format!(
            "farebox: there is no node to ask about {chain}; add [network.\"{chain}\"] rpc = [\"https://…\"] to {}",
            config.name()
        ));
    }
}

fn tell(before: &[Payment], after: &[Payment], globals: &Globals) -> Result<u8, Failure> {
    let undecided = |payments: &[Payment]| {
        payments
            .iter()
            .filter(|payment| payment.state.is_open())
            .count()
    };
    let still_unknown = undecided(after);
    let answer = Resumed {
        resolved: undecided(before).saturating_sub(still_unknown),
        still_unknown,
        payments: views(after),
    };
    if globals.json {
        output::json(&answer)?;
        return Ok(0);
    }
    output::line(&format!(
        "{} resolved, {still_unknown} still unknown",
        answer.resolved
    ))?;
    if !after.is_empty() {
        output::line(&table(after))?;
    }
    Ok(0)
}

fn views(payments: &[Payment]) -> Vec<Entry> {
    payments.iter().map(Entry::new).collect()
}

fn table(payments: &[Payment]) -> String {
    let rows: Vec<Vec<String>> = payments.iter().map(row).collect();
    output::table(&HEADINGS, &rows)
}
