//! What the loop has to say about payments that are open, in words.

use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::Payment;

use crate::client::Halt;

pub(crate) fn unreadable(why: &str) -> Fault {
    Fault::harmless("challenge_unreadable", Kind::Offer, Blame::Peer, why)
}

pub(crate) fn ask(approval_id: &str) -> Fault {
    Fault::harmless(
        "approval_required",
        Kind::Policy,
        Blame::User,
        format!("a person has to approve this payment: `farebox approvals show {approval_id}`"),
    )
}

pub(crate) fn busy(twin: Box<Payment>) -> Halt {
    let fault = Fault::money_at_stake(
        "twin_busy",
        Blame::User,
        format!(
            "another process is paying for the same call ({}) and has not finished; wait longer with --max-time, or buy a second time with --new",
            twin.id
        ),
    );
    Halt {
        fault,
        payment: Some(twin),
        credential_sent: false,
    }
}

pub(crate) fn open_elsewhere(payment: &Payment) -> Fault {
    let url = payment.buyer.as_ref().map(|side| side.url.as_str());
    Fault::money_at_stake(
        "open_payment_elsewhere",
        Blame::User,
        format!(
            "the same call has an open payment {} for {}; run `farebox payments resume {}`, use another idempotency key, or buy afresh with --new",
            payment.id,
            url.unwrap_or("another address"),
            payment.id
        ),
    )
}

/// A payment that comes first was begun, and its rail does not tell.
pub(crate) fn undecided(payment: Box<Payment>) -> Halt {
    let reason = payment.state.reason.as_deref().unwrap_or_default();
    let (code, what) = match reason {
        "preimage_unavailable" => (
            "preimage_unavailable",
            "was made, but its node does not give the preimage that proves it, so nothing can be shown to the seller",
        ),
        _ => (
            "payment_undecided",
            "was begun, and its node does not tell yet what became of it",
        ),
    };
    let fault = Fault::money_at_stake(
        code,
        Blame::Rail,
        format!(
            "payment {} over {} {what} ({reason}); the same call goes on with it and pays nothing new, `farebox payments resume {}` asks the node",
            payment.id, payment.terms.rail, payment.id
        ),
    );
    Halt {
        fault,
        payment: Some(payment),
        credential_sent: false,
    }
}

/// The seller's invoice is one that this wallet is paying, or has paid, for another call.
pub(crate) fn invoice_taken(other: &Payment) -> Fault {
    Fault::harmless(
        "invoice_taken",
        Kind::Offer,
        Blame::Peer,
        format!(
            "the seller asks for an invoice that payment {} of this wallet is for; an invoice is paid once, ask the seller for another one later",
            other.id
        ),
    )
}

/// A credential of L402 has no place beside an `Authorization` of the caller's own.
pub(crate) fn authorization_in_the_way(message: &str) -> Fault {
    Fault::harmless(
        "authorization_in_the_way",
        Kind::Offer,
        Blame::User,
        message,
    )
}
