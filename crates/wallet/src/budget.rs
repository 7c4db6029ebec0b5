//! Budgets as people and machines read them: `budget show --json`, and what a budget would say.
//!
//! The ledger decides for real, inside the transaction that reserves; nothing here holds money.

use farebox_core::ledger::BudgetLine;
use farebox_core::policy::{self, Denial, Level, Limits, Usage};
use farebox_wire::money::UsdMicros;
use serde::Serialize;

/// `budget show --json` (docs/command-line.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetView {
    /// Always `USD`.
    pub currency: &'static str,
    /// Every limit of every budget.
    pub levels: Vec<LevelView>,
}

/// One limit, in decimal dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LevelView {
    /// `payment`, `day` or `total`.
    pub level: Level,
    /// Whose; `null` is the owner.
    pub agent: Option<String>,
    /// The limit; `null` where this level does not limit.
    pub limit: Option<String>,
    /// Spent against it.
    pub spent: String,
    /// Reserved against it.
    pub reserved: String,
    /// What is left of it; `null` where this level does not limit.
    pub left: Option<String>,
}

impl BudgetView {
    /// Shows one snapshot of the ledger's budgets.
    #[must_use]
    pub fn new(lines: &[BudgetLine]) -> Self {
        Self {
            currency: "USD",
            levels: lines.iter().map(LevelView::new).collect(),
        }
    }
}

impl LevelView {
    fn new(line: &BudgetLine) -> Self {
        let used = line.spent.checked_add(line.reserved);
        let left = line.limit.map(|limit| {
            let left = used.and_then(|used| limit.checked_sub(used));
            left.unwrap_or_default().to_string()
        });
        Self {
            level: line.level,
            agent: line.agent.clone(),
            limit: line.limit.map(|limit| limit.to_string()),
            spent: line.spent.to_string(),
            reserved: line.reserved.to_string(),
            left,
        }
    }
}

/// What the budgets would say to a cost: the owner's first, then the agent's own, as the ledger
/// asks them.
pub(crate) fn preview(
    lines: &[BudgetLine],
    agent: Option<&str>,
    cost: UsdMicros,
) -> Result<(), Denial> {
    decide_one(lines, None, cost)?;
    match agent {
        None => Ok(()),
        Some(_) => decide_one(lines, agent, cost),
    }
}

fn decide_one(lines: &[BudgetLine], agent: Option<&str>, cost: UsdMicros) -> Result<(), Denial> {
    let mut limits = Limits::default();
    let mut usage = Usage::default();
    for line in lines.iter().filter(|line| line.agent.as_deref() == agent) {
        // A sum that does not fit is over every limit.
        let used = line
            .spent
            .checked_add(line.reserved)
            .unwrap_or(UsdMicros(u128::MAX));
        match line.level {
            Level::Payment => limits.per_payment = line.limit,
            Level::Day => {
                limits.per_day = line.limit;
                usage.day = used;
            }
            Level::Total => {
                limits.total = line.limit;
                usage.total = used;
            }
        }
    }
    policy::decide(agent, &limits, &usage, cost)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
