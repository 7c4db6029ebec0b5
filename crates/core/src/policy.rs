//! What a budget allows: Allow, Ask or Deny, decided before anything is signed.
//!
//! The ledger calls [`decide`] inside the transaction that reserves, so two processes cannot
//! both take the last cent. Limits count reserved money, and a buyer without a budget spends
//! nothing (ARCHITECTURE law 13).

use farebox_wire::money::UsdMicros;
use serde::{Deserialize, Serialize};

/// The three limits of a budget, in US dollars. A limit that is absent does not limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most that one payment may cost.
    pub per_payment: Option<UsdMicros>,
    /// The most between two midnights (UTC).
    pub per_day: Option<UsdMicros>,
    /// The most ever.
    pub total: Option<UsdMicros>,
}

impl Limits {
    /// Replaces the limits that `change` names and keeps the others.
    #[must_use]
    pub fn replaced_by(self, change: Self) -> Self {
        Self {
            per_payment: change.per_payment.or(self.per_payment),
            per_day: change.per_day.or(self.per_day),
            total: change.total.or(self.total),
        }
    }
}

/// What is reserved and spent so far against one budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Reserved and spent since midnight (UTC).
    pub day: UsdMicros,
    /// Reserved and spent ever.
    pub total: UsdMicros,
}

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Per payment.
    Payment,
    /// Per day.
    Day,
    /// In total.
    Total,
}

/// Why a payment was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Nobody has set a budget.
    #[error(
        "no budget is set{}, so nothing is spent; set one with `farebox budget set{} --per-payment \"0.05 USD\" --per-day \"1 USD\"`",
        for_agent(agent.as_deref()),
        flag_for_agent(agent.as_deref())
    )]
    NoBudget {
        /// The agent without one; `None` is the owner.
        agent: Option<String>,
    },
    /// A limit would be passed.
    #[error(
        "{cost} USD is more than the {left} USD left of the limit {limit} USD {}{}; raise it with `farebox budget set{}`",
        level_words(*level),
        for_agent(agent.as_deref()),
        flag_for_agent(agent.as_deref())
    )]
    OverLimit {
        /// Whose budget; `None` is the owner's.
        agent: Option<String>,
        /// Which limit.
        level: Level,
        /// The limit.
        limit: UsdMicros,
        /// What is left of it.
        left: UsdMicros,
        /// What the payment would cost.
        cost: UsdMicros,
    },
}

impl Denial {
    /// The rule that refused, for machines: `no_budget`, `per_payment`, `per_day`, `total`.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::NoBudget { .. } => "no_budget",
            Self::OverLimit {
                level: Level::Payment,
                ..
            } => "per_payment",
            Self::OverLimit {
                level: Level::Day, ..
            } => "per_day",
            Self::OverLimit {
                level: Level::Total,
                ..
            } => "total",
        }
    }
}

/// Decides about one budget; a payment needs the consent of every budget that it falls under.
///
/// # Errors
/// The limit that it would pass. Sums that do not fit are over every limit.
pub fn decide(
    agent: Option<&str>,
    limits: &Limits,
    usage: &Usage,
    cost: UsdMicros,
) -> Result<(), Denial> {
    let levels = [
        (Level::Payment, limits.per_payment, UsdMicros(0)),
        (Level::Day, limits.per_day, usage.day),
        (Level::Total, limits.total, usage.total),
    ];
    if levels.iter().all(|(_, limit, _)| limit.is_none()) {
        return Err(Denial::NoBudget {
            agent: agent.map(str::to_owned),
        });
    }
    for (level, limit, used) in levels {
        let Some(limit) = limit else { continue };
        let fits = used.checked_add(cost).is_some_and(|sum| sum <= limit);
        if !fits {
            return Err(Denial::OverLimit {
                agent: agent.map(str::to_owned),
                level,
                limit,
                left: limit.checked_sub(used).unwrap_or_default(),
                cost,
            });
        }
    }
    Ok(())
}

fn level_words(level: Level) -> &'static str {
    match level {
        Level::Payment => "per payment",
        Level::Day => "per day",
        Level::Total => "in total",
    }
}

fn for_agent(agent: Option<&str>) -> String {
    agent.map(|a| format!(" for agent {a}")).unwrap_or_default()
}

fn flag_for_agent(agent: Option<&str>) -> String {
    agent.map(|a| format!(" --agent {a}")).unwrap_or_default()
}
