//! `farebox budget`: the limits under which this wallet pays.
//!
//! A buyer without a budget spends nothing. Limits change here alone: a `[budget]` section only
//! seeds a ledger that has none (docs/command-line.md).

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Subcommand};
use farebox_core::clock::{Clock as _, SystemClock};
use farebox_core::ledger::BudgetLine;
use farebox_core::policy::{Level, Limits};
use farebox_wallet::budget::{BudgetView, LevelView};

use super::Globals;
use crate::assemble;
use crate::config::{Config, Usd};
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox budget set --per-payment \"0.05 USD\" --per-day \"1 USD\" --total \"20 USD\"
  farebox budget set --agent researcher --per-day \"0.50 USD\"
  farebox budget show --json";

/// Set and show spending limits
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Budget {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Set(Set),
    Show(Show),
}

/// Replace the limits that are named; what is spent and reserved stays
#[derive(Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("limit").required(true).multiple(true))]
struct Set {
    /// Whose limits; without it the owner's, which hold for all agents together
    #[arg(
        long,
        value_name = "NAME",
        env = "FAREBOX_AGENT",
        hide_env_values = true,
        value_parser = NonEmptyStringValueParser::new()
    )]
    agent: Option<String>,
    /// The most that one payment may cost
    #[arg(long, value_name = "USD", group = "limit")]
    per_payment: Option<Usd>,
    /// The most between two midnights (UTC)
    #[arg(long, value_name = "USD", group = "limit")]
    per_day: Option<Usd>,
    /// The most ever
    #[arg(long, value_name = "USD", group = "limit")]
    total: Option<Usd>,
}

/// Show every limit and what is used of it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Show {}

impl Budget {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let config = globals.config()?;
        let ledger = assemble::ledger(&config, &globals.data_dir()?).await?;
        if let Command::Set(set) = &self.command {
            let limits = set.limits();
            ledger.set_budget(set.agent.as_deref(), limits).await?;
        }
        let lines = ledger.budgets(SystemClock.now_ms()).await?;
        if matches!(self.command, Command::Show(_)) && !globals.quiet {
            say_if_ignored(&config, &lines);
        }
        let view = BudgetView::new(&lines);
        if globals.json {
            output::json(&view)?;
        } else {
            output::line(&text(&view))?;
        }
        Ok(0)
    }
}

impl Set {
    fn limits(&self) -> Limits {
        Limits {
            per_payment: self.per_payment.map(|usd| usd.0),
            per_day: self.per_day.map(|usd| usd.0),
            total: self.total.map(|usd| usd.0),
        }
    }
}

fn text(view: &BudgetView) -> String {
    if view.levels.is_empty() {
        return "No budget is set, so nothing is spent. Set one:\n  farebox budget set --per-payment \"0.05 USD\" --per-day \"1 USD\" --total \"20 USD\"".to_owned();
    }
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |line: &LevelView| {
        let level = match line.level {
            Level::Payment => "per payment",
            Level::Day => "per day",
            Level::Total => "total",
        };
        vec![
            line.agent.clone().unwrap_or_else(|| "(owner)".to_owned()),
            level.to_owned(),
            or_dash(&line.limit),
            line.spent.clone(),
            line.reserved.clone(),
            or_dash(&line.left),
        ]
    };
    let rows: Vec<Vec<String>> = view.levels.iter().map(row).collect();
    output::table(
        &["whose", "in USD", "limit", "spent", "reserved", "left"],
        &rows,
    )
}

/// Says that a `[budget]` section that differs from the ledger has no effect.
fn say_if_ignored(config: &Config, lines: &[BudgetLine]) {
    let Some(section) = config.limits() else {
        return;
    };
    let in_force = |level| {
        let of_owner = lines
            .iter()
            .find(|line| line.agent.is_none() && line.level == level);
        of_owner.and_then(|line| line.limit)
    };
    let written = [
        (Level::Payment, section.per_payment),
        (Level::Day, section.per_day),
        (Level::Total, section.total),
    ];
    if written
        .into_iter()
        .any(|(level, limit)| limit.is_some() && limit != in_force(level))
    {
        output::say(&format!(
            "farebox: [budget] in {} is ignored, because the ledger has limits already; change them with `farebox budget set`",
            config.name()
        ));
    }
}
