//! What was paid by invoice, and how often it may be used: the seller's books where money moves
//! before the credential exists (L402; ARCHITECTURE law 6).
//!
//! Redeeming takes a use before it serves and gives it back where nothing was delivered; the rail's
//! settled events book what nobody has shown yet. Whichever comes first books the revenue, once for
//! each payment hash. Nothing here knows tokens: their makers say how many uses they have.

use farebox_wire::identity::Identity;

use crate::ledger::{PaymentId, SellerSide};
use crate::rail::Terms;

/// A payment that has come in for good.
#[derive(Clone, Debug)]
pub struct NewPaid {
    /// Chosen by the caller, never reused; unused where the payment is booked already.
    pub id: PaymentId,
    /// Its name, for instance `l402:<payment hash>`.
    pub identity: Identity,
    /// What it has bought, and the digests of the credential and of the request, where they are
    /// known.
    pub side: SellerSide,
    /// What came in.
    pub terms: Terms,
    /// Names the payment on the rail: on Lightning the payment hash.
    pub transaction: String,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// How often what was paid for may be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many times in all, however many copies there are.
    Uses(u64),
    /// As often as is asked for. Only the first is written down.
    Unlimited,
}

/// What became of a wish to use what was paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Used {
    /// The only use that is taken.
    First {
        /// The payment.
        payment: PaymentId,
        /// Whether it was booked by this; else the rail had told of it, or a use was given back.
        is_booked_now: bool,
    },
    /// Another one.
    Again {
        /// The payment.
        payment: PaymentId,
        /// How many are taken, with this one; those of [`Allowance::Unlimited`] are not counted.
        used: u64,
    },
    /// None is left; nothing was written.
    Exhausted,
    /// The owner has withdrawn it; nothing was written.
    Revoked,
}

/// Paid invoices as a rail told of them, and how far that was.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whose: names a node of a network for as long as the place below counts on.
    pub source: String,
    /// The last place of the source that is told with these.
    pub index: u64,
    /// The payments up to there.
    pub paid: Vec<NewPaid>,
}
