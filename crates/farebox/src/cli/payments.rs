//! `farebox payments`: what was paid and collected, and what became of payments that are open.
//!
//! Reads the ledger; `resume` asks the chain and writes down what it says. It never pays.

use clap::{Args, Subcommand, ValueEnum};
use farebox_core::ledger::{Filter, LedgerError, Payment, PaymentId};
use farebox_core::payment::Role;
use farebox_core::purse::Purse as _;
use farebox_wallet::{Desk, ResolveReport};
use serde::Serialize;

use super::Globals;
use super::payment_view::{Entry, HEADINGS, details, row};
use crate::assemble;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox payments list --role buyer
  farebox payments show ID --json
  farebox payments resume --all";

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
#[command(after_help = EXAMPLES)]
struct Resume {
    /// One payment
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// Every open payment
    #[arg(long)]
    all: bool,
    /// Only what was paid (buyer) or collected (seller)
    #[arg(long, value_enum)]
    role: Option<RoleName>,
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
        }
    }
}

impl List {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let ledger = assemble::ledger(&globals.config()?, &globals.data_dir()?).await?;
        let filter = Filter {
            role: self.role.map(Role::from),
            open_only: false,
            limit: self.limit,
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
        let ledger = assemble::ledger(&config, &globals.data_dir()?).await?;
        let desk = assemble::keyless_desk(&config, ledger)?;
        let report = match &self.id {
            None => desk.resolve_all().await?,
            Some(id) => resolve_one(&desk, &PaymentId(id.clone())).await?,
        };
        let answer = Resumed {
            resolved: report.resolved,
            still_unknown: report.still_unknown,
            payments: views(&report.payments),
        };
        if globals.json {
            output::json(&answer)?;
        } else {
            output::line(&format!(
                "{} resolved, {} still unknown",
                answer.resolved, answer.still_unknown
            ))?;
            if !report.payments.is_empty() {
                output::line(&table(&report.payments))?;
            }
        }
        Ok(0)
    }
}

/// Asks about one payment; one that is closed is only shown.
async fn resolve_one(desk: &Desk, id: &PaymentId) -> Result<ResolveReport, Failure> {
    let before = desk.payment(id).await?;
    let before = before.ok_or_else(|| LedgerError::NotFound(id.clone()))?;
    let after = match before.role {
        Role::Buyer => desk.resolve(id).await?,
        Role::Seller | Role::Facilitator => before.clone(),
    };
    Ok(ResolveReport {
        resolved: usize::from(before.state.is_open() && !after.state.is_open()),
        still_unknown: usize::from(after.state.is_open()),
        payments: vec![after],
    })
}

fn views(payments: &[Payment]) -> Vec<Entry> {
    payments.iter().map(Entry::new).collect()
}

fn table(payments: &[Payment]) -> String {
    let rows: Vec<Vec<String>> = payments.iter().map(row).collect();
    output::table(&HEADINGS, &rows)
}
