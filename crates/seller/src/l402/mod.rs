//! Selling over L402: an invoice and a token in the challenge; the token and the preimage of the
//! payment buy what the token says.
//!
//! The layer asks it for the lines of a challenge and hands it what came in `Authorization` or in
//! the metadata of a call. Money has moved before a credential exists, so nothing is settled here;
//! what is counted is how often a payment was used. It must never serve without a use that is on
//! disk, and never write a row for somebody who has not paid.
//!
//! | state of a token | known by | what its owner gets | crash | timeout, hang-up | repeat | twin at the same time | lying peer |
//! |---|---|---|---|---|---|---|---|
//! | unpaid | the open invoice, in memory only | 402, the same invoice again until it is near its end | the invoice is forgotten and can still be paid: its token is good, and the node tells of it | the invoice that comes late is offered to the next | the same invoice for the same client and route | waits for the same invoice; two who are over the limits may be shown one, and the second cannot pay it | without the preimage: 401; a preimage of another payment: 401 |
//! | paid | the preimage, or the node's word | served, one use taken before | booked by whichever of the two comes next | – | – | one of them takes the first use | changed, widened, reordered or foreign tokens: 401 |
//! | used n of N | a counter in the books | served while n < N | a use that was taken stays taken | the use is given back unless the head has left | takes the next use | each takes its own, never more than N | a bad answer of the upstream gives the use back |
//! | exhausted | the same counter | 402 `token_exhausted` with a new challenge | – | – | the same | of many for the last use one is served | – |
//! | expired | the token itself | 402 `token_expired` with a new challenge | – | – | the same | – | a later end in an added caveat is a wider one: 401 |
//! | revoked | the books | 402 `token_revoked` with a new challenge | – | – | the same | – | copies are revoked with it |

mod answer;
mod asker;
mod follow;
mod invoices;
mod known;
mod offer;
mod passes;
mod redeem;
mod token;

use std::sync::Arc;

use farebox_core::invoice::InvoiceRail;
use farebox_core::rail::RailError;
use farebox_wire::money::Amount;
use zeroize::Zeroizing;

pub(crate) use self::answer::{Denied, with_lines};
pub(crate) use self::asker::{Asker, serve};
pub(crate) use self::follow::follow;
pub(crate) use self::offer::{Asking, Offering, Product, Sales};
use self::passes::Passes;
pub(crate) use self::redeem::{Bearer, TakenUse, Token, bears_token, pass, passed, token_of};

/// How long an invoice can be paid, in seconds: law 9.
pub const INVOICE_LIFE_S: u64 = 300;
/// How long a token is good if nobody says otherwise, in seconds: thirty days to use what was paid.
pub const VALID_FOR_S: u64 = 30 * 24 * 3_600;
/// The service that all tokens of a gate name; the route tells them apart.
pub const SERVICE: &str = "farebox";

/// The secret from which the key of every token is derived. Whoever has it can mint.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

/// How many invoices may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvoiceLimits {
    /// For one client: a single IPv4 address, or an IPv6 /64.
    pub per_prefix: u32,
    /// For all of them.
    pub total: u32,
}

impl Default for InvoiceLimits {
    fn default() -> Self {
        Self {
            per_prefix: 3,
            total: 10_000,
        }
    }
}

/// What a seller needs for L402 besides its routes.
pub struct L402 {
    /// Collects.
    pub rail: Arc<dyn InvoiceRail>,
    /// Signs.
    pub master_key: MasterKey,
}

/// How often a token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// So many requests.
    Times(u64),
    /// As many as come while it is valid.
    Unlimited,
}

/// What a token of a route buys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTerms {
    /// How many requests.
    pub uses: Uses,
    /// For how long, in seconds, after its invoice was paid at the latest; `None` where nobody said,
    /// which is [`VALID_FOR_S`], and too little for [`Uses::Unlimited`].
    pub valid_for_s: Option<u64>,
    /// The tier that is sold; a token of a lower one is not good for the route.
    pub tier: u8,
    /// What a token must allow to be good for the route; empty asks for nothing.
    pub capabilities: Vec<String>,
}

impl Default for TokenTerms {
    fn default() -> Self {
        Self {
            uses: Uses::Times(1),
            valid_for_s: None,
            tier: 0,
            capabilities: Vec::new(),
        }
    }
}

/// Why a route cannot be sold over L402.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L402Error {
    /// Nothing collects.
    #[error(
        "it accepts l402, and there is no Lightning node to collect with; configure [network.\"lightning:…\"] or remove l402 from accept"
    )]
    NoRail,
    /// A token for nothing.
    #[error("uses = 0 sells nothing; write a number from 1, or \"unlimited\" with valid_for")]
    NoUses,
    /// A token for ever.
    #[error("uses = \"unlimited\" needs an end; set valid_for = \"1h\"")]
    NoEnd,
    /// Ended before it is paid.
    #[error("valid_for = 0 ends before anything is bought")]
    NoTime,
    /// A text that no caveat can have.
    #[error("its tokens cannot be written: {0}")]
    Token(String),
    /// A price that the rail refuses.
    #[error("it cannot be priced: {0}")]
    Price(RailError),
    /// A price in bitcoin for x402, and no rate.
    #[error(
        "its price is in bitcoin, and x402 asks for dollars: set the rate \"BTC/USD\" in [rates], or accept = [\"l402\"]"
    )]
    NoRate,
}

/// What a rail that collects by invoice asks for an amount of its own, in dollars; `None` where it
/// knows no rate.
pub(crate) fn worth(
    rail: &dyn InvoiceRail,
    amount: Amount,
) -> Option<farebox_wire::money::UsdMicros> {
    let cost = rail.terms_over(amount).cost;
    (cost.0 > 0).then_some(cost)
}
