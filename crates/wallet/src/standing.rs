//! What a logical call has open, and who may go on with it (ARCHITECTURE law 3).
//!
//! Asked before every purchase. A dead owner's hold is given back if nothing had left, and its
//! credential is shown again, by exactly one taker, if something had. Nothing is ever signed here; a payment that
//! comes before its credential is gone on with, on the handle that it has.

use farebox_core::fault::{Blame, Fault};
use farebox_core::ledger::{BuyerSide, CallKey, Payment};
use farebox_core::payment::{Event, Hold, Phase};
use farebox_core::purse::{Standing, Ticket};

use crate::desk::{Desk, is_alive, ledger_fault};
use crate::prepaid::{self, Heard, Tried};
use crate::resolve;

/// Looks again after a lost race at most so often; each loss means that another process has
/// moved the same payment on.
const LOOKS_MAX: usize = 16;

/// What becomes of one look.
enum Look {
    Done(Standing),
    /// The payment moved while it was looked at.
    Again,
}

/// See [`farebox_core::purse::Purse::standing`].
///
/// # Errors
/// `payment_unresolved` where the credential has expired and the rail does not tell yet.
pub(crate) async fn look(desk: &Desk, call: &CallKey, wait_ms: u64) -> Result<Standing, Fault> {
    let mut last = None;
    for _ in 0..LOOKS_MAX {
        let open = desk.ledger.by_call(call).await.map_err(ledger_fault)?;
        let Some(payment) = open.filter(|p| p.state.hold == Hold::Held) else {
            return Ok(Standing::Nothing);
        };
        match look_at(desk, &payment, wait_ms).await? {
            Look::Done(standing) => return Ok(standing),
            Look::Again => last = Some(payment),
        }
    }
    // Others are busy with it, or it would not move.
    Ok(last.map_or(Standing::Nothing, |payment| {
        Standing::Busy(Box::new(payment))
    }))
}

async fn look_at(desk: &Desk, payment: &Payment, wait_ms: u64) -> Result<Look, Fault> {
    let Some(side) = &payment.buyer else {
        return Ok(Look::Done(Standing::Nothing));
    };
    if is_alive(side, desk.clock.now_ms()) {
        return Ok(Look::Done(Standing::Busy(Box::new(payment.clone()))));
    }
    match payment.state.phase {
        // Nothing has left: give the hold back. Where the owner was only slow, one of the two
        // events comes first and the other is refused.
        Phase::Reserved => {
            let reason = resolve::OWNER_LOST.to_owned();
            let event = Event::Abandoned { reason };
            desk.note(&payment.id, event).await.map(|_| Look::Again)
        }
        Phase::Sent | Phase::Unknown => take_over(desk, payment, side, wait_ms).await,
        Phase::Settled | Phase::Rejected | Phase::Released | Phase::Lost => {
            Ok(Look::Done(Standing::Nothing))
        }
    }
}

/// Exactly one taker gets past the lease.
async fn take_over(
    desk: &Desk,
    payment: &Payment,
    side: &BuyerSide,
    wait_ms: u64,
) -> Result<Look, Fault> {
    let lease = desk.lease_from(desk.clock.now_ms());
    let taken = desk
        .ledger
        .take_lease(&payment.id, &side.lease, lease)
        .await
        .map_err(ledger_fault)?;
    if !taken {
        return Ok(Look::Again);
    }
    if payment.terms.is_prepaid() {
        return Ok(match prepaid::go_on(desk, payment, wait_ms).await? {
            Heard::Tried(Tried::Paid(ticket)) => Look::Done(Standing::RePresent(ticket)),
            Heard::Tried(Tried::Undecided(payment)) => Look::Done(Standing::Undecided(payment)),
            Heard::Tried(Tried::Failed(..)) | Heard::Closed => Look::Again,
        });
    }
    let now_s = desk.clock.now_s();
    let is_valid = payment.valid_before_s.is_some_and(|until| now_s < until);
    let Some(credential) = side.credential.as_ref().filter(|_| is_valid) else {
        return after_expiry(desk, payment).await;
    };
    let sending = Event::Sending { transaction: None };
    match desk.note(&payment.id, sending).await? {
        Some(payment) if payment.state.phase == Phase::Sent => {
            Ok(Look::Done(Standing::RePresent(Box::new(Ticket {
                payment,
                credential: credential.clone(),
                token: None,
            }))))
        }
        // A slow owner or `payments resume` has decided it meanwhile.
        _ => Ok(Look::Again),
    }
}

/// The credential is worth nothing any more: only the rail can tell what it did.
async fn after_expiry(desk: &Desk, payment: &Payment) -> Result<Look, Fault> {
    let resolved = resolve::one(desk, &payment.id).await;
    desk.let_go(&payment.id).await?;
    let resolved = resolved?;
    if resolved.state.is_open() && resolved.state.hold == Hold::Held {
        return Err(unresolved(&resolved));
    }
    Ok(Look::Again)
}

fn unresolved(payment: &Payment) -> Fault {
    Fault::money_at_stake(
        "payment_unresolved",
        Blame::Rail,
        format!(
            "payment {} for the same call has expired and the {} rail does not tell yet whether it was used; run `farebox payments resume {}` later, or buy afresh with --new",
            payment.id, payment.terms.rail, payment.id
        ),
    )
}
