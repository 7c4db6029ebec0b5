//! How a call ended: the one exit code of docs/command-line.md, and the fault that explains it.
//!
//! [`exit_of`] is the table, pure; everyone else only collects facts for it.

use farebox_core::fault::{Blame, Fault, Kind};

/// The exit codes that scripts and agents rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed before any payment.
    Failed,
    /// 2: usage or configuration.
    Usage,
    /// 3: refused by policy, budget, `--max-cost` or rate.
    Refused,
    /// 4: no offer that can be paid.
    NoOffer,
    /// 5: an HTTP reply of 400 or above came after a credential was sent, and nothing proves
    /// settlement.
    RefusedAfterSending,
    /// 6: no readable reply, or `settlement_pending`, after a credential was sent.
    MoneyMayHaveMoved,
    /// 7: settlement is proven, and what was paid for did not come whole.
    PaidNotDelivered,
    /// 8: waiting for an approval.
    WaitingForApproval,
    /// 22: HTTP 400 or above, and no credential ever left.
    HttpError,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NoOffer => 4,
            Self::RefusedAfterSending => 5,
            Self::MoneyMayHaveMoved => 6,
            Self::PaidNotDelivered => 7,
            Self::WaitingForApproval => 8,
            Self::HttpError => 22,
        }
    }
}

/// What stopped a call on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// An open payment of the same call, of which nobody can tell.
    Unresolved,
    /// A person has to say yes.
    Approval,
    /// Policy, budget, `--max-cost` or rate.
    Policy,
    /// No offer that can be paid.
    NoOffer,
    /// Network, TLS, store, keys, defects.
    Failed,
    /// Flags or configuration.
    Usage,
}

impl Stop {
    /// The family of a fault.
    #[must_use]
    pub const fn of(fault: &Fault) -> Self {
        if fault.money_may_have_moved {
            return Self::Unresolved;
        }
        match fault.kind {
            Kind::Policy => Self::Policy,
            Kind::Offer => Self::NoOffer,
            Kind::Config => Self::Usage,
            Kind::Network
            | Kind::Protocol
            | Kind::Payment
            | Kind::Store
            | Kind::Key
            | Kind::Http
            | Kind::Internal => Self::Failed,
        }
    }
}

/// Everything that the exit code depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// A credential has left, in this run.
    pub credential_sent: bool,
    /// The status of the last readable reply.
    pub status: Option<u16>,
    /// That reply says `settlement_pending`.
    pub is_pending: bool,
    /// A receipt, the chain or a preimage proves settlement.
    pub is_settled: bool,
    /// What was shown is kept, and shown again by the same call before it buys anew.
    pub keeps_token: bool,
    /// The call signs afresh each time (`--new`).
    pub is_fresh: bool,
    /// The body ended before its end.
    pub body_broke_off: bool,
    /// After paying the seller pointed elsewhere, where the caller wanted to follow.
    pub redirect_refused: bool,
    /// A dry run that understood the challenge: its 402 is no failure.
    pub is_plan: bool,
    /// What stopped us, if anything did.
    pub stop: Option<Stop>,
}

impl Facts {
    /// Whether the same call once more would be a second purchase: this one is closed, or asks for
    /// a new credential each time. Otherwise it shows the credential that it has.
    const fn repeat_pays_again(&self) -> bool {
        let is_closed = self.is_settled && !self.keeps_token;
        self.credential_sent && (is_closed || self.is_fresh)
    }
}

/// The table of docs/command-line.md: 6, 7, 5, 8, 3, 4, 22, 1, 2, 0, the first that fits.
#[must_use]
pub fn exit_of(facts: &Facts) -> Exit {
    let is_error = facts.status.is_some_and(|status| status >= 400);
    let is_undelivered = is_error || facts.redirect_refused;
    if facts.credential_sent {
        let unreadable = facts.status.is_none() || (facts.body_broke_off && !is_undelivered);
        if facts.is_pending || (unreadable && !facts.is_settled) {
            return Exit::MoneyMayHaveMoved;
        }
        if facts.is_settled && (is_undelivered || facts.body_broke_off) {
            return Exit::PaidNotDelivered;
        }
        if is_undelivered {
            return Exit::RefusedAfterSending;
        }
    }
    match facts.stop {
        Some(Stop::Unresolved) => return Exit::MoneyMayHaveMoved,
        Some(Stop::Approval) => return Exit::WaitingForApproval,
        Some(Stop::Policy) => return Exit::Refused,
        Some(Stop::NoOffer) => return Exit::NoOffer,
        Some(Stop::Failed | Stop::Usage) | None => {}
    }
    if is_error && !facts.is_plan {
        return Exit::HttpError;
    }
    match facts.stop {
        Some(Stop::Usage) => Exit::Usage,
        Some(_) => Exit::Failed,
        None if facts.body_broke_off => Exit::Failed,
        None => Exit::Done,
    }
}

/// How a call ended.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// What the exit code is made of.
    pub facts: Facts,
    /// To find the question again, where a person has to answer one.
    pub approval_id: Option<String>,
    fault: Option<Fault>,
}

impl Ending {
    /// An ending by facts alone.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        Self {
            facts,
            approval_id: None,
            fault: None,
        }
    }

    /// An ending by a fault of a known family.
    #[must_use]
    pub fn stopped(mut facts: Facts, fault: Fault) -> Self {
        facts.stop = facts.stop.or(Some(Stop::of(&fault)));
        Self {
            facts,
            approval_id: None,
            fault: Some(fault),
        }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        exit_of(&self.facts)
    }

    /// What to tell; `None` only where all is well.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let exit = self.exit();
        if exit == Exit::Done {
            return None;
        }
        let mut fault = self
            .fault
            .clone()
            .unwrap_or_else(|| explain(exit, &self.facts));
        // Whatever broke, it broke after something that can move money had left.
        fault.money_may_have_moved |= self.facts.credential_sent;
        fault.retry_safe &= !self.facts.repeat_pays_again();
        Some(fault)
    }

    /// The body ended early.
    pub(crate) fn break_off(&mut self, fault: Fault) {
        self.facts.body_broke_off = true;
        self.fault.get_or_insert(fault);
    }
}

/// Exits that come from the seller's answer alone.
fn explain(exit: Exit, facts: &Facts) -> Fault {
    let status = facts.status.unwrap_or_default();
    match exit {
        Exit::PaidNotDelivered => Fault::money_at_stake(
            "paid_not_delivered",
            Blame::Peer,
            format!(
                "the seller took the money and answered {status}; show the receipt to the seller"
            ),
        ),
        Exit::RefusedAfterSending => Fault::money_at_stake(
            "payment_refused",
            Blame::Peer,
            format!(
                "the seller answered {status} to the payment; the amount stays reserved until the payment provably cannot be used any more; ask the chain with `farebox payments resume --all`"
            ),
        ),
        Exit::MoneyMayHaveMoved if facts.is_pending => Fault::money_at_stake(
            "settlement_pending",
            Blame::Rail,
            "the payment is on its way and not decided; the same call shows it again, `farebox payments resume --all` asks the chain",
        ),
        Exit::MoneyMayHaveMoved => Fault::money_at_stake(
            "no_reply",
            Blame::Peer,
            "no readable reply came to the payment; the same call shows it again, `farebox payments resume --all` asks the chain",
        ),
        Exit::HttpError => Fault::harmless(
            "http_status",
            Kind::Http,
            Blame::Peer,
            format!("the server answered {status}; nothing was paid"),
        ),
        _ => Fault::harmless(
            "failed",
            Kind::Internal,
            Blame::Us,
            "the call failed before any payment",
        ),
    }
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
