//! The names of the accounts, and which three of them a payment moves between.
//!
//! The table is in the crate's documentation; this is the only place that spells the names.

use farebox_core::ledger::Payment;
use farebox_core::payment::{Effect, Role};

/// A day of a budget: days since 1970-01-01 UTC.
pub(crate) type Day = i64;

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;
/// Stands for a payer whom the rail does not name (Lightning).
const UNKNOWN_PAYER: &str = "unknown";

/// The day of a time in Unix milliseconds.
pub(crate) fn day_of(now_ms: u64) -> Day {
    // No u64 of milliseconds has so many days that they would not fit.
    i64::try_from(now_ms / MS_PER_DAY).unwrap_or(i64::MAX)
}

/// Where an amount can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not part of any payment.
    Away,
    /// Reserved.
    Held,
    /// Spent or earned.
    Spent,
}

/// The accounts that one sum of a budget moves between.
pub(crate) struct Triple {
    pub(crate) away: String,
    pub(crate) held: String,
    pub(crate) spent: String,
}

impl Triple {
    /// The account of a place.
    pub(crate) fn at(&self, place: Place) -> &str {
        match place {
            Place::Away => &self.away,
            Place::Held => &self.held,
            Place::Spent => &self.spent,
        }
    }

    /// Of a budget since it exists; `None` is the owner's.
    pub(crate) fn of_total(agent: Option<&str>) -> Self {
        Self::of_budget("total", agent)
    }

    /// Of a budget's day.
    pub(crate) fn of_day(agent: Option<&str>, day: Day) -> Self {
        Self::of_budget(&format!("day/{day}"), agent)
    }

    fn of_budget(period: &str, agent: Option<&str>) -> Self {
        let name = |place: &str| match agent {
            Some(agent) => format!("budget/{period}/{place}/{agent}"),
            None => format!("budget/{period}/{place}"),
        };
        Self {
            away: name("free"),
            held: name("reserved"),
            spent: name("spent"),
        }
    }
}

/// The account that a payment's own asset is in at a place.
pub(crate) fn of_payment(payment: &Payment, place: Place) -> String {
    let payee = &payment.terms.payee;
    let books = role_name(payment.role);
    match (payment.role, place) {
        (Role::Buyer, Place::Away) => "buyer/wallet".to_owned(),
        (Role::Buyer, Place::Held) => "buyer/reserved".to_owned(),
        (Role::Buyer, Place::Spent) => ["buyer/spent/", payee].concat(),
        (_, Place::Away) => [books, "/payers"].concat(),
        (_, Place::Held) => held_from(payment.role, payer_of(payment)),
        (_, Place::Spent) => [books, "/revenue/", payee].concat(),
    }
}

/// Where a posting effect takes an amount from, and to. `None` for effects that post nothing.
pub(crate) const fn route_of(effect: Effect) -> Option<(Place, Place)> {
    match effect {
        Effect::Reserve => Some((Place::Away, Place::Held)),
        Effect::Commit => Some((Place::Held, Place::Spent)),
        Effect::Release => Some((Place::Held, Place::Away)),
        Effect::CommitReturned => Some((Place::Away, Place::Spent)),
        Effect::Reopen => Some((Place::Spent, Place::Held)),
        Effect::WriteOff => Some((Place::Spent, Place::Away)),
        Effect::Send
        | Effect::Deliver
        | Effect::Withhold
        | Effect::Watch
        | Effect::Resend
        | Effect::Alert => None,
    }
}

/// What an account of a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The payment's own asset.
    Payment,
    /// What the owner ever spent.
    OwnersTotal,
}

/// Reads a name back; `None` for memos, days and agents, whose postings follow the others'.
pub(crate) fn purpose_of(account: &str) -> Option<(Purpose, Place)> {
    match account {
        "budget/total/free" => return Some((Purpose::OwnersTotal, Place::Away)),
        "budget/total/reserved" => return Some((Purpose::OwnersTotal, Place::Held)),
        "budget/total/spent" => return Some((Purpose::OwnersTotal, Place::Spent)),
        _ => {}
    }
    let (books, rest) = account.split_once('/')?;
    let kind = rest.split('/').next().unwrap_or_default();
    let place = match (books, kind) {
        ("buyer", "wallet") | ("seller" | "facilitator", "payers") => Place::Away,
        ("buyer", "reserved") | ("seller" | "facilitator", "held") => Place::Held,
        ("buyer", "spent") | ("seller" | "facilitator", "revenue") => Place::Spent,
        _ => return None,
    };
    Some((Purpose::Payment, place))
}

/// What a seller or facilitator holds of a payer.
pub(crate) fn held_from(role: Role, payer: &str) -> String {
    [role_name(role), "/held/", payer].concat()
}

/// The memo of what was ever settled from a payer, and its counterpart.
pub(crate) fn settled_from(role: Role, payer: &str) -> (String, String) {
    let books = role_name(role);
    (
        [books, "/settled/", payer].concat(),
        [books, "/settled"].concat(),
    )
}

/// Who pays, for an account's name.
pub(crate) fn payer_of(payment: &Payment) -> &str {
    payment.terms.payer.as_deref().unwrap_or(UNKNOWN_PAYER)
}

/// A role as it is stored.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Buyer => "buyer",
        Role::Seller => "seller",
        Role::Facilitator => "facilitator",
    }
}
