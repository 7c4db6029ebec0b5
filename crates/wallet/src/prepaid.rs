//! Payments that come before their credential (Lightning): begun, waited for, taken up again.
//!
//! Called by the desk, by `standing` for a call that had begun one, and by `resolve`. That the rail
//! pays one handle once is its promise ([`PayRail::pay`]); that nothing is begun which is not on
//! disk, and that nothing that may have moved is released or bought again, is ours.
//!
//! | what happens | reserved | sent or unknown: the rail was or may have been told | settled |
//! |---|---|---|---|
//! | crash | the stale lease is released by whoever comes | the next identical call asks the rail: settled → its proof is fetched and shown; failed, or never begun and too late to be → released, and bought anew; open and not too late → `pay` on the same handle once more; no answer → exit 6. `payments resume` does the same, but begins nothing | the token is in the store: the next call shows it |
//! | the rail does not decide in time | – | unknown, held | – |
//! | a twin process | waits for the lease | waits for the lease, then as after a crash: never a second invoice | waits until it was shown, then uses what is left of it |
//! | another call gets the same invoice | – | its hold is given back, and it asks the seller for another one | the same |
//! | the rail says failed | – | rejected, the hold is given back | – |
//! | settled, and no proof can be had | – | stays unknown and held (`preimage_unavailable`) | – |
//! | the fee is less than what was held | – | – | the rest is given back in the same transaction |

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::{Actual, Applied, Attach, LedgerError, Payment, PaymentId};
use farebox_core::payment::{Event, Hold};
use farebox_core::purse::{LEASE_RENEW_MS, Spend, Ticket};
use farebox_core::rail::{Authorised, Credential, Finding, Handle, Paid, PayRail};
use farebox_wire::money::{Amount, UsdMicros};
use tokio::time::{Instant, MissedTickBehavior};

use crate::desk::{Desk, lease_lost, ledger_fault};
use crate::tokens;

/// How long after the time that was asked for a rail may answer; then nothing is known.
const GRACE: Duration = Duration::from_secs(5);
/// How long `payments resume` waits for the proof of a payment that has settled, in milliseconds.
const PROOF_WAIT_MS: u64 = 10_000;

/// What became of an attempt to pay.
pub(crate) enum Tried {
    /// The money has moved; the credential may be shown, and its token is in the store.
    Paid(Box<Ticket>),
    /// It has not and will not; the hold was given back.
    Failed(Box<Payment>, Fault),
    /// Nobody knows yet; the amount stays held.
    Undecided(Box<Payment>),
}

/// What was heard of a payment that had been begun.
pub(crate) enum Heard {
    /// It was tried again, or its proof was fetched.
    Tried(Tried),
    /// It is closed now, or has moved on: look again.
    Closed,
}

/// Writes that the rail is about to be told, and only then tells it.
pub(crate) async fn begin(
    desk: &Desk,
    id: &PaymentId,
    signed: Authorised,
    wait_ms: u64,
) -> Result<Spend, Fault> {
    let now_ms = desk.clock.now_ms();
    let attach = Attach {
        identity: Some(signed.identity),
        handle: Some(signed.handle),
        valid_before_s: Some(signed.valid_before_s),
        lease: Some(desk.lease_from(now_ms)),
        ..Attach::default()
    };
    let sending = Event::Sending { transaction: None };
    let payment = match desk.ledger.apply(id, sending, attach, now_ms).await {
        Ok(Applied { payment, .. }) => payment,
        Err(LedgerError::Illegal(_)) => return Err(lease_lost()),
        Err(LedgerError::Taken(other)) => return taken(desk, id, &other).await,
        Err(other) => return Err(ledger_fault(other)),
    };
    match pay(desk, payment, wait_ms).await? {
        Tried::Paid(ticket) => Ok(Spend::Pay(ticket)),
        Tried::Undecided(payment) => Ok(Spend::Undecided(payment)),
        Tried::Failed(_, fault) => Err(fault),
    }
}

/// Goes on with a payment that was begun and is not decided. The lease is ours.
pub(crate) async fn go_on(desk: &Desk, payment: &Payment, wait_ms: u64) -> Result<Heard, Fault> {
    let Some((rail, handle)) = rail_of(desk, payment) else {
        return hear(desk, payment, cannot_tell()).await;
    };
    let finding = while_alive(desk, &payment.id, rail.check(&handle)).await;
    let may_begin = payment
        .valid_before_s
        .is_some_and(|until| desk.clock.now_s() < until);
    match finding {
        Finding::Settled { .. } => pay(desk, payment.clone(), wait_ms).await.map(Heard::Tried),
        Finding::Open if may_begin => {
            let sending = Event::Sending { transaction: None };
            match desk.note(&payment.id, sending).await? {
                Some(sent) if sent.state.is_open() => {
                    pay(desk, sent, wait_ms).await.map(Heard::Tried)
                }
                _ => Ok(Heard::Closed),
            }
        }
        other => hear(desk, payment, other).await,
    }
}

/// Fetches the proof of a payment that has settled, for `payments resume`. Whoever has the lease
/// keeps it.
pub(crate) async fn collect(desk: &Desk, payment: Payment) -> Result<Payment, Fault> {
    let Some((rail, handle)) = rail_of(desk, &payment) else {
        return Ok(payment);
    };
    let paid = in_time(&*rail, &handle, PROOF_WAIT_MS).await;
    match write(desk, payment, paid).await? {
        Tried::Paid(ticket) => Ok(ticket.payment),
        Tried::Failed(payment, _) | Tried::Undecided(payment) => Ok(*payment),
    }
}

/// Tells the rail to pay, and writes down what it says. `Sent` is on disk.
async fn pay(desk: &Desk, payment: Payment, wait_ms: u64) -> Result<Tried, Fault> {
    let Some((rail, handle)) = rail_of(desk, &payment) else {
        return Ok(Tried::Undecided(Box::new(payment)));
    };
    let paying = in_time(&*rail, &handle, wait_ms);
    let paid = while_alive(desk, &payment.id, paying).await;
    write(desk, payment, paid).await
}

async fn in_time(rail: &dyn PayRail, handle: &Handle, wait_ms: u64) -> Paid {
    let limit = Duration::from_millis(wait_ms).saturating_add(GRACE);
    let paid = tokio::time::timeout(limit, rail.pay(handle, wait_ms)).await;
    paid.unwrap_or_else(|_| Paid::Unknown {
        reason: "timeout".to_owned(),
    })
}

async fn write(desk: &Desk, payment: Payment, paid: Paid) -> Result<Tried, Fault> {
    let written = match paid {
        Paid::Settled {
            credential,
            transaction,
            fee,
            cost,
        } => {
            let actual = actual_of(&payment, fee, cost);
            let settled = Event::Settled {
                transaction,
                is_final: true,
            };
            settle(desk, &payment, settled, actual, credential).await
        }
        Paid::Failed { reason, message } => fail(desk, payment, reason, &message).await,
        Paid::Unknown { reason } => unknown(desk, payment, reason).await,
    };
    written.map_err(|mut fault| {
        // The rail was told. What could not be written does not undo that.
        fault.money_may_have_moved = true;
        fault
    })
}

/// Proof, fee and token in one transaction.
async fn settle(
    desk: &Desk,
    payment: &Payment,
    settled: Event,
    actual: Actual,
    credential: Credential,
) -> Result<Tried, Fault> {
    let now_ms = desk.clock.now_ms();
    let token = tokens::of_payment(payment, &credential, now_ms);
    let id = token.as_ref().map(|token| token.id.clone());
    let attach = Attach {
        actual: Some(actual),
        token: token.map(Box::new),
        ..Attach::default()
    };
    let applied = desk
        .ledger
        .apply(&payment.id, settled, attach, now_ms)
        .await;
    let payment = applied.map_err(ledger_fault)?.payment;
    Ok(Tried::Paid(Box::new(Ticket {
        payment,
        credential,
        token: id,
    })))
}

async fn fail(
    desk: &Desk,
    payment: Payment,
    reason: String,
    message: &str,
) -> Result<Tried, Fault> {
    match desk.note(&payment.id, Event::Failed { reason }).await? {
        Some(noted) if noted.state.hold == Hold::Returned => {
            let fault = Fault::harmless(
                "payment_failed",
                Kind::Offer,
                Blame::Rail,
                format!("the payment failed, and no money has moved: {message}"),
            );
            Ok(Tried::Failed(Box::new(noted), fault))
        }
        // Somebody else has heard that it has moved.
        Some(noted) => Ok(Tried::Undecided(Box::new(noted))),
        None => Ok(Tried::Undecided(Box::new(payment))),
    }
}

async fn unknown(desk: &Desk, payment: Payment, reason: String) -> Result<Tried, Fault> {
    let noted = desk.note(&payment.id, Event::NoReply { reason }).await?;
    desk.let_go(&payment.id).await?;
    Ok(Tried::Undecided(Box::new(noted.unwrap_or(payment))))
}

/// Writes down what a rail says that has nothing to pay or prove.
async fn hear(desk: &Desk, payment: &Payment, finding: Finding) -> Result<Heard, Fault> {
    let is_late = payment
        .valid_before_s
        .is_some_and(|until| desk.clock.now_s() >= until);
    let event = match finding {
        Finding::NeverWill => Some(Event::Expired),
        Finding::CannotTell { .. } if is_late => Some(Event::ExpiredUnasked),
        _ => None,
    };
    if let Some(event) = event {
        desk.note(&payment.id, event).await?;
        return Ok(Heard::Closed);
    }
    let reason = "unanswered".to_owned();
    unknown(desk, payment.clone(), reason)
        .await
        .map(Heard::Tried)
}

/// Gives back what was held for an invoice that is another payment's.
async fn taken(desk: &Desk, id: &PaymentId, other: &PaymentId) -> Result<Spend, Fault> {
    desk.abandon(id, "invoice_taken").await?;
    let other = desk.ledger.payment(other).await.map_err(ledger_fault)?;
    other.map_or_else(
        || Err(ledger_fault(LedgerError::NotFound(id.clone()))),
        |other| Ok(Spend::Taken(Box::new(other))),
    )
}

/// The fee as it was; in dollars no more than what was held for it, whatever a rate has done since:
/// a limit that has let the payment pass must not be broken by it.
fn actual_of(payment: &Payment, fee: Amount, cost: UsdMicros) -> Actual {
    let terms = &payment.terms;
    if fee > terms.fee_max {
        tracing::error!(payment = %payment.id, %fee, "the fee was higher than the most that was allowed");
        return Actual { fee, cost };
    }
    Actual {
        fee,
        cost: cost.min(terms.cost),
    }
}

fn rail_of(desk: &Desk, payment: &Payment) -> Option<(Arc<dyn PayRail>, Handle)> {
    let rail = desk.rail_of(&payment.terms.rail)?;
    Some((Arc::clone(rail), payment.handle.clone()?))
}

fn cannot_tell() -> Finding {
    Finding::CannotTell {
        why: "the rail is not configured".to_owned(),
    }
}

/// Gives signs of life for a payment while `work` goes on.
async fn while_alive<T>(desk: &Desk, id: &PaymentId, work: impl Future<Output = T>) -> T {
    let period = Duration::from_millis(LEASE_RENEW_MS);
    let mut beat = tokio::time::interval_at(Instant::now() + period, period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = beat.tick() => {
                let lease = desk.lease_from(desk.clock.now_ms());
                // Without a lease somebody may pay the same handle too, which moves nothing twice.
                if let Err(why) = desk.ledger.renew_lease(id, lease).await {
                    tracing::warn!(payment = %id, %why, "no sign of life could be given");
                }
            }
        }
    }
}
