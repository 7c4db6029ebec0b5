//! One payment from first hold to proof: `step(state, event) -> (state, effects)`.
//!
//! The same function runs for buyer, seller and facilitator, inside the ledger's transaction, so
//! that a state, its postings and its reason are written together or not at all. It must never
//! release money that can still be spent, and never call a payment settled without proof
//! (ARCHITECTURE law 3).
//!
//! ```text
//!            Abandoned            Failed / Expired
//!  Reserved ───────────► Released ◄──────────────┐
//!     │ Sending                                   │
//!     ▼           NoReply / Refused               │
//!   Sent ───────────────────────────► Unknown ────┤
//!     │  ◄─────────────────────────────  │        ▼
//!     │ Settled      Sending             │ Settled    Rejected
//!     ▼                                  ▼
//!   Settled ◄────────────────────────────┘      Settled ── Undone ──► Unknown | Lost
//! ```
//!
//! | what happens | Reserved | Sent, Unknown | Settled |
//! |---|---|---|---|
//! | crash | nothing has left: whoever finds the stale lease releases it | resolved by asking the rail | served or re-served |
//! | timeout | released | Unknown, stays held | – |
//! | repeat, twin | waits, or takes over a stale lease | re-presents the same credential | seller: let through if undelivered |
//! | lying peer | – | a refusal releases nothing | a false receipt only spends the hold early |

use serde::{Deserialize, Serialize};

use crate::rail::SentTransaction;

/// In whose books the payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Spends from a budget.
    Buyer,
    /// Collects for a resource.
    Seller,
    /// Settles for others.
    Facilitator,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The amount is held; nothing that can move money has left this process.
    Reserved,
    /// Something that can move money has left: a credential (buyer), a transaction (seller).
    Sent,
    /// Proven: the money has moved.
    Settled,
    /// Proven: this attempt failed and moves nothing any more.
    Rejected,
    /// Nobody knows yet; the amount stays held.
    Unknown,
    /// The hold was given back: nothing had left, or it provably cannot be spent any more.
    Released,
    /// Was settled, was undone by the chain, and cannot be sent again.
    Lost,
}

/// Where the held amount is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Counted as reserved.
    Held,
    /// Counted as spent (buyer) or earned (seller).
    Spent,
    /// Given back.
    Returned,
}

/// Whether a seller has handed over what was paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Not, or not that we know.
    Undelivered,
    /// The whole answer left.
    Delivered,
    /// The answer broke off midway, which counts as delivered.
    Aborted,
}

/// The state of one payment. Plain data; the ledger stores it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// Where the amount is.
    pub hold: Hold,
    /// Whether it was delivered (sellers).
    pub delivery: Delivery,
    /// Machine code of what went wrong last, if anything did.
    pub reason: Option<String>,
    /// Hash of the transaction that settled it.
    pub transaction: Option<String>,
    /// Whether the settlement can no longer be undone by the chain.
    pub is_final: bool,
    /// Whether the chain has undone a settlement of it before: then it may have been served, and
    /// an end without money is a loss, not a release.
    #[serde(default)]
    pub was_undone: bool,
}

impl State {
    /// A payment whose amount has just been held.
    #[must_use]
    pub const fn reserved() -> Self {
        Self {
            phase: Phase::Reserved,
            hold: Hold::Held,
            delivery: Delivery::Undelivered,
            reason: None,
            transaction: None,
            is_final: false,
            was_undone: false,
        }
    }

    /// Whether a rail still has to be asked about it.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Reserved | Phase::Sent | Phase::Unknown)
    }
}

/// What happened to a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Something that can move money is about to leave. A buyer sends a credential, again or for
    /// the first time; a seller sends a transaction.
    Sending {
        /// The transaction, where it is one.
        transaction: Option<SentTransaction>,
    },
    /// Proof that the money has moved: a receipt, the chain, a preimage.
    Settled {
        /// Hash of the transaction that did it; empty where the rail has none.
        transaction: String,
        /// Whether it can no longer be undone.
        is_final: bool,
    },
    /// The rail says that this attempt moves nothing, now or later.
    Failed {
        /// Machine code.
        reason: String,
    },
    /// The peer said no. That proves nothing: the credential is still out there.
    Refused {
        /// Machine code or text of a stranger.
        reason: String,
    },
    /// No readable answer, or none in time.
    NoReply {
        /// Machine code.
        reason: String,
    },
    /// Proof that what was sent can no longer be spent, and was not.
    Expired,
    /// What was sent can no longer be spent, and nobody can be asked whether it was.
    ExpiredUnasked,
    /// Nothing has left and nothing will.
    Abandoned {
        /// Machine code.
        reason: String,
    },
    /// A released claim is presented again (sellers): as new.
    Reclaimed,
    /// The chain undid the settlement.
    Undone {
        /// Whether it can be sent again.
        resendable: bool,
    },
    /// The settlement can no longer be undone.
    Finalised,
    /// The whole answer has left.
    Delivered,
    /// The answer broke off midway.
    Aborted,
}

/// What has to be done because of an event. The first five are postings, done by the ledger in
/// the same transaction; the rest is for the caller, after the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// Post: hold the amount (again).
    Reserve,
    /// Post: the held amount is spent.
    Commit,
    /// Post: the held amount is given back.
    Release,
    /// Post: an amount given back turns out to be spent after all.
    CommitReturned,
    /// Post: a spent amount is held again.
    Reopen,
    /// Post: a spent amount is given back.
    WriteOff,
    /// The bytes may leave now.
    Send,
    /// The paid answer may be handed over.
    Deliver,
    /// The answer must not be handed over.
    Withhold,
    /// Ask the rail until it tells.
    Watch,
    /// Send the settlement again.
    Resend,
    /// Tell a person.
    Alert,
}

/// What an event did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state afterwards.
    pub state: State,
    /// What has to be done, in this order.
    pub effects: Vec<Effect>,
}

/// An event that contradicts the state: a defect of the caller, or a race that it lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payment that is {phase:?} cannot take {event:?}")]
pub struct IllegalEvent {
    /// Where the payment stood.
    pub phase: Phase,
    /// What was tried.
    pub event: Event,
}

/// The rules. Pure: the same state and event always give the same answer.
///
/// Repeats of an event that has had its effect change nothing. Proof of settlement is taken in
/// every state, because reality outranks our records.
///
/// # Errors
/// [`IllegalEvent`] where following the event would break a law, above all sending from a
/// payment whose hold is gone.
pub fn step(state: &State, event: &Event) -> Result<Transition, IllegalEvent> {
    match event {
        Event::Settled {
            transaction,
            is_final,
        } => Ok(settled(state, transaction, *is_final)),
        Event::Delivered => Ok(delivered(state, Delivery::Delivered)),
        Event::Aborted => Ok(delivered(state, Delivery::Aborted)),
        _ => match state.phase {
            Phase::Reserved => from_reserved(state, event),
            Phase::Sent | Phase::Unknown => from_sent(state, event),
            Phase::Settled => from_settled(state, event),
            Phase::Rejected | Phase::Released | Phase::Lost => from_closed(state, event),
        },
    }
}

fn settled(state: &State, transaction: &str, is_final: bool) -> Transition {
    let mut next = state.clone();
    next.phase = Phase::Settled;
    next.reason = None;
    next.is_final = state.is_final || is_final;
    // What is final is from the chain, and outranks the hash that a peer had named before.
    let outranks = is_final && !state.is_final && !transaction.is_empty();
    if state.transaction.is_none() || state.phase != Phase::Settled || outranks {
        next.transaction = Some(transaction.to_owned());
    }
    next.hold = Hold::Spent;
    let mut effects = Vec::new();
    match state.hold {
        Hold::Held => effects.push(Effect::Commit),
        Hold::Spent => {}
        Hold::Returned => effects.extend([Effect::CommitReturned, Effect::Alert]),
    }
    if state.delivery == Delivery::Undelivered {
        effects.push(Effect::Deliver);
    }
    if !next.is_final {
        effects.push(Effect::Watch);
    }
    Transition {
        state: next,
        effects,
    }
}

fn delivered(state: &State, delivery: Delivery) -> Transition {
    let mut next = state.clone();
    // Whole beats broken: a second, complete delivery mends a first that broke off.
    if next.delivery != Delivery::Delivered {
        next.delivery = delivery;
    }
    // Serving what is not settled breaks the first law of a seller: say so, loudly.
    let effects = if state.phase == Phase::Settled {
        vec![]
    } else {
        vec![Effect::Alert]
    };
    Transition {
        state: next,
        effects,
    }
}

fn from_reserved(state: &State, event: &Event) -> Result<Transition, IllegalEvent> {
    match event {
        Event::Sending { .. } => Ok(moved(state, Phase::Sent, None, vec![Effect::Send])),
        Event::Abandoned { reason } => Ok(returned(state, Phase::Released, Some(reason), vec![])),
        Event::Failed { reason } => Ok(returned(
            state,
            Phase::Rejected,
            Some(reason),
            vec![Effect::Withhold],
        )),
        Event::Expired | Event::ExpiredUnasked => {
            Ok(returned(state, Phase::Released, None, vec![]))
        }
        Event::Reclaimed | Event::Finalised => Ok(unchanged(state)),
        // A refusal of something that has not been sent is somebody else's.
        _ => Err(illegal(state, event)),
    }
}

fn from_sent(state: &State, event: &Event) -> Result<Transition, IllegalEvent> {
    match event {
        // Spent at expiry without proof: the amount is gone, there is nothing to send for.
        Event::Sending { .. } if state.hold != Hold::Held => Err(illegal(state, event)),
        Event::Sending { .. } => Ok(moved(state, Phase::Sent, None, vec![Effect::Send])),
        Event::Failed { reason } if state.hold == Hold::Held => Ok(returned(
            state,
            Phase::Rejected,
            Some(reason),
            vec![Effect::Withhold],
        )),
        Event::Refused { reason } | Event::NoReply { reason } => Ok(moved(
            state,
            Phase::Unknown,
            Some(reason),
            vec![Effect::Withhold, Effect::Watch],
        )),
        Event::Expired if state.hold == Hold::Held => Ok(returned(
            state,
            Phase::Released,
            state.reason.as_ref(),
            vec![Effect::Withhold],
        )),
        // Held, then counted as spent for want of an answer; the answer has come after all.
        Event::Expired | Event::Failed { .. } => {
            let mut next = state.clone();
            next.phase = if state.was_undone {
                Phase::Lost
            } else {
                Phase::Released
            };
            next.hold = Hold::Returned;
            Ok(Transition {
                state: next,
                effects: vec![Effect::WriteOff],
            })
        }
        Event::ExpiredUnasked if state.hold == Hold::Held => {
            let mut next = state.clone();
            next.phase = Phase::Unknown;
            next.hold = Hold::Spent;
            Ok(Transition {
                state: next,
                effects: vec![Effect::Commit, Effect::Withhold],
            })
        }
        Event::ExpiredUnasked | Event::Finalised | Event::Undone { .. } | Event::Reclaimed => {
            Ok(unchanged(state))
        }
        // Law 3: what has left this process is spendable until it provably is not.
        Event::Abandoned { .. } => Err(illegal(state, event)),
        Event::Settled { .. } | Event::Delivered | Event::Aborted => Err(illegal(state, event)),
    }
}

fn from_settled(state: &State, event: &Event) -> Result<Transition, IllegalEvent> {
    match event {
        Event::Finalised => {
            let mut next = state.clone();
            next.is_final = true;
            Ok(Transition {
                state: next,
                effects: vec![],
            })
        }
        Event::Undone { resendable } if !state.is_final => Ok(undone(state, *resendable)),
        // A final settlement cannot be undone: whoever says so is wrong, and a person must look.
        Event::Undone { .. } => Ok(Transition {
            state: state.clone(),
            effects: vec![Effect::Alert],
        }),
        // A buyer shows a settled credential again to get what it has paid for.
        Event::Sending { .. } => Ok(Transition {
            state: state.clone(),
            effects: vec![Effect::Send],
        }),
        // Proven beats everything that is said afterwards.
        _ => Ok(unchanged(state)),
    }
}

fn from_closed(state: &State, event: &Event) -> Result<Transition, IllegalEvent> {
    match event {
        Event::Reclaimed if state.phase == Phase::Released => {
            let mut next = State::reserved();
            next.delivery = state.delivery;
            Ok(Transition {
                state: next,
                effects: vec![Effect::Reserve],
            })
        }
        Event::Sending { .. } | Event::Reclaimed => Err(illegal(state, event)),
        _ => Ok(unchanged(state)),
    }
}

fn undone(state: &State, resendable: bool) -> Transition {
    let mut next = state.clone();
    next.transaction = None;
    next.was_undone = true;
    next.reason = Some("reorged".to_owned());
    if resendable {
        next.phase = Phase::Unknown;
        next.hold = Hold::Held;
        return Transition {
            state: next,
            effects: vec![Effect::Reopen, Effect::Resend, Effect::Alert],
        };
    }
    next.phase = Phase::Lost;
    next.hold = Hold::Returned;
    Transition {
        state: next,
        effects: vec![Effect::WriteOff, Effect::Alert],
    }
}

fn moved(state: &State, phase: Phase, reason: Option<&String>, effects: Vec<Effect>) -> Transition {
    let mut next = state.clone();
    next.phase = phase;
    if reason.is_some() {
        next.reason = reason.cloned();
    }
    Transition {
        state: next,
        effects,
    }
}

/// Gives the hold back. What was settled once, and perhaps served, is not released but lost.
fn returned(state: &State, phase: Phase, reason: Option<&String>, more: Vec<Effect>) -> Transition {
    let phase = if state.was_undone { Phase::Lost } else { phase };
    let mut next = moved(state, phase, reason, vec![Effect::Release]);
    next.state.hold = Hold::Returned;
    next.effects.extend(more);
    if state.was_undone {
        next.effects.push(Effect::Alert);
    }
    next
}

fn unchanged(state: &State) -> Transition {
    Transition {
        state: state.clone(),
        effects: vec![],
    }
}

fn illegal(state: &State, event: &Event) -> IllegalEvent {
    IllegalEvent {
        phase: state.phase,
        event: event.clone(),
    }
}
