//! Asks the rails what became of open payments and writes down what they say: the only way out
//! of Unknown (ARCHITECTURE laws 3 and 4).
//!
//! Called for `payments resume`, and before a call whose credential has expired buys again. It
//! never releases what a rail has not called dead, and never signs or sends.

use std::sync::Arc;

use farebox_core::fault::Fault;
use farebox_core::ledger::{BuyerSide, Filter, LedgerError, Payment, PaymentId, Stage};
use farebox_core::payment::{Event, Hold, Phase, Role, State};
use farebox_core::rail::{Finding, PayRail};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::desk::{Desk, is_alive, ledger_fault};
use crate::prepaid;

/// Why a payment of a process that died is Unknown or released.
pub(crate) const OWNER_LOST: &str = "owner_lost";

/// Payments that are asked about at a time: a slow RPC must not make a hundred of them take a
/// hundred times as long.
const ASKED_AT_ONCE: usize = 16;

/// What `payments resume --all` tells.
pub struct ResolveReport {
    /// How many were undecided and now are not.
    pub resolved: usize,
    /// How many are still undecided.
    pub still_unknown: usize,
    /// Every payment that was undecided, or that turned out otherwise, newest first.
    pub payments: Vec<Payment>,
}

/// See [`Desk::resolve_all`].
pub(crate) async fn all(desk: &Desk) -> Result<ResolveReport, Fault> {
    let open = open_payments(desk).await?;
    let before: Vec<State> = open.iter().map(|p| p.state.clone()).collect();
    let after: Vec<Payment> = stream::iter(open.into_iter().map(|p| resolve(desk, p)))
        .buffered(ASKED_AT_ONCE)
        .try_collect()
        .await?;
    let undecided = before.iter().filter(|state| state.is_open()).count();
    let still_unknown = after.iter().filter(|p| p.state.is_open()).count();
    let is_news = |(before, after): &(State, Payment)| before.is_open() || *before != after.state;
    let payments = before.into_iter().zip(after).filter(is_news);
    Ok(ResolveReport {
        // Nothing that was decided becomes undecided by asking.
        resolved: undecided.saturating_sub(still_unknown),
        still_unknown,
        payments: payments.map(|(_, after)| after).collect(),
    })
}

/// Gives back what dead processes had reserved without sending anything, so that they do not
/// keep the living from their budget. Returns whether there was any.
pub(crate) async fn release_dead(desk: &Desk) -> Result<bool, Fault> {
    let mut any = false;
    for payment in open_payments(desk).await? {
        if payment.state.phase == Phase::Reserved {
            let payment = resolve(desk, payment).await?;
            any |= payment.state.phase == Phase::Released;
        }
    }
    Ok(any)
}

async fn open_payments(desk: &Desk) -> Result<Vec<Payment>, Fault> {
    let filter = Filter {
        role: Some(Role::Buyer),
        stage: Stage::Open,
        ..Filter::default()
    };
    desk.ledger.list(filter).await.map_err(ledger_fault)
}

/// See [`farebox_core::purse::Purse::resolve`].
pub(crate) async fn one(desk: &Desk, id: &PaymentId) -> Result<Payment, Fault> {
    let payment = desk.ledger.payment(id).await.map_err(ledger_fault)?;
    match payment {
        Some(payment) => resolve(desk, payment).await,
        None => Err(ledger_fault(LedgerError::NotFound(id.clone()))),
    }
}

async fn resolve(desk: &Desk, payment: Payment) -> Result<Payment, Fault> {
    let now_ms = desk.clock.now_ms();
    let in_work = |side: &BuyerSide| is_alive(side, now_ms);
    let in_work = payment.buyer.as_ref().is_some_and(in_work);
    match payment.state.phase {
        Phase::Reserved if in_work => Ok(payment),
        Phase::Reserved => {
            let reason = OWNER_LOST.to_owned();
            note(desk, payment, Event::Abandoned { reason }).await
        }
        Phase::Sent if in_work => ask(desk, payment).await,
        Phase::Sent => {
            let reason = OWNER_LOST.to_owned();
            let payment = note(desk, payment, Event::NoReply { reason }).await?;
            ask(desk, payment).await
        }
        Phase::Unknown => ask(desk, payment).await,
        Phase::Settled if !payment.state.is_final => ask(desk, payment).await,
        _ => Ok(payment),
    }
}

async fn ask(desk: &Desk, payment: Payment) -> Result<Payment, Fault> {
    let finding = match (desk.rail_of(&payment.terms.rail), &payment.handle) {
        (Some(rail), Some(handle)) => Arc::<dyn PayRail>::clone(rail).check(handle).await,
        (None, _) => cannot_tell("the rail is not configured"),
        (_, None) => cannot_tell("nothing is stored to ask by"),
    };
    // What was paid first is settled by its proof, which whoever comes next needs besides.
    if payment.terms.is_prepaid() && matches!(finding, Finding::Settled { .. }) {
        return prepaid::collect(desk, payment).await;
    }
    let expired = payment
        .valid_before_s
        .is_some_and(|until| desk.clock.now_s() >= until);
    match learned(&payment, finding, expired) {
        Some(event) => note(desk, payment, event).await,
        None => Ok(payment),
    }
}

/// What a finding means for a payment; `None` where it changes nothing.
fn learned(payment: &Payment, finding: Finding, expired: bool) -> Option<Event> {
    let settled = payment.state.phase == Phase::Settled;
    match finding {
        Finding::Settled {
            transaction,
            is_final,
        } => Some(Event::Settled {
            transaction,
            is_final,
        }),
        // The seller's receipt was a lie, or the chain undid it: the money never moves.
        Finding::NeverWill if settled => Some(Event::Undone { resendable: false }),
        Finding::NeverWill => Some(Event::Expired),
        Finding::Open => None,
        // A node that is down for an hour is no licence to pay for the same call again.
        Finding::Unanswered { why } => {
            tracing::debug!(payment = %payment.id, %why, "the rail gave no answer");
            None
        }
        Finding::CannotTell { why } => {
            tracing::debug!(payment = %payment.id, %why, "the rail cannot tell");
            // Without a way to ask, the hold becomes spending at expiry.
            let spend = expired && !settled && payment.state.hold == Hold::Held;
            spend.then_some(Event::ExpiredUnasked)
        }
    }
}

async fn note(desk: &Desk, payment: Payment, event: Event) -> Result<Payment, Fault> {
    if let Some(noted) = desk.note(&payment.id, event).await? {
        return Ok(noted);
    }
    // It has moved on since it was read: the newer truth stands.
    let fresh = desk.ledger.payment(&payment.id).await;
    Ok(fresh.map_err(ledger_fault)?.unwrap_or(payment))
}

fn cannot_tell(why: &str) -> Finding {
    Finding::CannotTell {
        why: why.to_owned(),
    }
}
