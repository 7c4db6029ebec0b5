//! When a credential comes again: the table of ARCHITECTURE law 6 for single-use identities (x402).
//!
//! Asked by the seller's redeem after the signature has been found valid and the payload equal
//! to the claimed one; a junk signature earns none of these answers.

use crate::payment::{Delivery, Phase, State};

/// What a seller says to a credential whose identity is claimed already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// 402 `payment_already_used`: another request was paid with it.
    UsedElsewhere,
    /// 409 and Retry-After: the first request with it is being served now.
    InFlight,
    /// Settled and not delivered: through, once more.
    LetThrough,
    /// 409 and the original receipt: it was served.
    Delivered,
    /// 402 with the same reason; the upstream is not called again.
    Rejected,
    /// 402 `settlement_pending`, no new challenge.
    Pending,
    /// The claim was given back: as if it came for the first time.
    AsNew,
}

/// The facts that decide.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// What the claim's payment has come to.
    pub state: &'a State,
    /// Whether payload, route, method, host, tenant and body are those of the claim.
    pub same_request: bool,
    /// Whether a request with this identity is being served in this process now.
    pub in_flight: bool,
    /// Whether the credential is past its own expiry.
    pub expired: bool,
}

/// Looks up the table.
#[must_use]
pub fn repeat(presented: &Presented<'_>) -> Repeat {
    if !presented.same_request && presented.state.phase != Phase::Released {
        return Repeat::UsedElsewhere;
    }
    if presented.in_flight {
        return Repeat::InFlight;
    }
    match presented.state.phase {
        Phase::Released => Repeat::AsNew,
        Phase::Rejected | Phase::Lost => Repeat::Rejected,
        // Reserved and served by nobody here: the process that claimed it died before it sent
        // anything. Recovery releases it at start; until then it is not decided.
        Phase::Reserved | Phase::Sent | Phase::Unknown => Repeat::Pending,
        Phase::Settled => match presented.state.delivery {
            Delivery::Delivered | Delivery::Aborted => Repeat::Delivered,
            Delivery::Undelivered if presented.expired => Repeat::Delivered,
            Delivery::Undelivered => Repeat::LetThrough,
        },
    }
}
