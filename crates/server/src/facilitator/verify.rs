//! `/verify`: whether a credential would settle now. It never writes.
//!
//! The order is that of ARCHITECTURE law 8, and the answer is what `/settle` would come to at
//! this moment:
//!
//! | the identity is | with these very bytes | with others |
//! |---|---|---|
//! | unknown, or given back | whether it is worth its gas now, then what the chain says | the same |
//! | settled and delivered | `invalid_exact_evm_nonce_already_used` | `payment_already_used` |
//! | settled, its `success: true` still owed | valid | `payment_already_used` |
//! | sent and not decided | valid: `/settle` joins it | `payment_already_used` |
//! | rejected | the same reason | `payment_already_used` |

use farebox_core::claim::{self, Presented, Repeat};
use farebox_core::ledger::Payment;
use farebox_core::rail::Refusal;
use farebox_core::span;
use farebox_seller::buckets::RetryAfterS;
use farebox_wire::x402::reason::Reason;
use tracing::Instrument as _;

use super::answers::Verified;
use super::desk::{Case, Desk};
use super::limits::{Allowance, Cost};
use super::question::Question;

/// Answers one question.
pub(super) async fn verify(desk: &Desk, question: &Question, allowance: &Allowance) -> Verified {
    if let Err(after) = allowance.may(Cost::BadSignature) {
        return Verified::TooMuch(after);
    }
    let case = match desk.examine(question).await {
        Ok(case) => case,
        Err(refusal) => {
            allowance.charge_for(&refusal);
            return Verified::refused(refusal, None);
        }
    };
    match desk.earlier(&case).await {
        Err(error) => Verified::no_books(&error),
        Ok(Some(payment)) => again(desk, &case, &payment),
        Ok(None) => match desk.access.covers(&case.examined.terms) {
            Ok(()) => ask_chain(&case, allowance).await,
            Err(refusal) => Verified::refused(refusal, case.examined.terms.payer.clone()),
        },
    }
}

/// Whether the chain may be asked for this caller now; what costs its time whatever comes of it is
/// charged.
pub(super) fn may_ask(case: &Case, allowance: &Allowance) -> Result<(), RetryAfterS> {
    allowance.may(Cost::FirstSight)?;
    if case.is_unsigned_yet() {
        allowance.may(Cost::Simulation)?;
        allowance.charge(Cost::Simulation);
    }
    Ok(())
}

/// What the chain says, within what the caller may make it do in vain.
async fn ask_chain(case: &Case, allowance: &Allowance) -> Verified {
    if let Err(after) = may_ask(case, allowance) {
        return Verified::TooMuch(after);
    }
    let payer = case.examined.terms.payer.clone();
    let verifying = case.rail.verify(&case.examined).instrument(span!("verify"));
    match verifying.await {
        Ok(_) => Verified::Valid { payer },
        Err(refusal) => {
            allowance.charge_for(&refusal);
            Verified::refused(refusal, payer)
        }
    }
}

fn again(desk: &Desk, case: &Case, payment: &Payment) -> Verified {
    let payer = case.examined.terms.payer.clone();
    let invalid = |reason: Reason, message: &str| {
        let refusal = Refusal {
            reason,
            message: message.to_owned(),
            is_ours: false,
        };
        Verified::refused(refusal, payer.clone())
    };
    let used = "this authorization was used; sign a new one";
    match repeat(case, payment) {
        Repeat::UsedElsewhere => invalid(Reason::AlreadyUsed, used),
        Repeat::Delivered if !desk.unheard.has(&case.examined.identity) => {
            invalid(Reason::NonceAlreadyUsed, used)
        }
        Repeat::Rejected => Verified::Invalid {
            reason: rejected_reason(payment),
            message: REJECTED.to_owned(),
            payer,
        },
        Repeat::Delivered
        | Repeat::LetThrough
        | Repeat::Pending
        | Repeat::InFlight
        | Repeat::AsNew => Verified::Valid { payer },
    }
}

/// The table of ARCHITECTURE law 6, for a facilitator: one payment is one request, and its
/// answer is owed beyond the credential's own time.
pub(super) fn repeat(case: &Case, payment: &Payment) -> Repeat {
    claim::repeat(&Presented {
        state: &payment.state,
        same_request: case.is_of(payment),
        in_flight: false,
        expired: false,
    })
}

/// What is said of a payment that was rejected before.
pub(super) const REJECTED: &str = "this payment was rejected before; sign a new one";

/// Why a payment was rejected.
pub(super) fn rejected_reason(payment: &Payment) -> String {
    let reason = payment.state.reason.clone();
    // One that was settled, undone by the chain and cannot be sent again.
    reason.unwrap_or_else(|| Reason::TransactionFailed.code().to_owned())
}
