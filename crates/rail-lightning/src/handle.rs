//! What is stored beside a payment, so that it can be paid, asked about and shown again after a
//! crash: the invoice, the token that it pays for, and what was allowed. No secret: without the
//! preimage the token is worth nothing.

use std::sync::Arc;

use farebox_core::rail::{Handle, RailError};
use farebox_wire::caip::ChainId;
use farebox_wire::l402::Scheme;
use farebox_wire::l402::preimage::PaymentHash;
use farebox_wire::money::{Amount, UsdMicros};
use serde::{Deserialize, Serialize};

/// The content of a [`Handle`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LightningHandle {
    pub(crate) network: ChainId,
    /// BOLT 11, as it came.
    pub(crate) invoice: String,
    pub(crate) payment_hash: PaymentHash,
    /// As it came, and as it is sent back.
    pub(crate) token: String,
    /// Whether the seller said LSAT, which its credential mirrors.
    pub(crate) is_lsat: bool,
    /// Millisatoshis.
    pub(crate) amount: Amount,
    /// The most for carrying it, in millisatoshis.
    pub(crate) fee_max: Amount,
    /// What both were worth when they were reserved.
    pub(crate) cost: UsdMicros,
    /// When the invoice ends, in Unix seconds.
    pub(crate) expires_s: u64,
    /// When it was authorised, in Unix seconds: what a node says of an earlier time is of an earlier
    /// attempt.
    pub(crate) begun_s: u64,
}

impl LightningHandle {
    pub(crate) fn read(handle: &Handle) -> Result<Arc<Self>, RailError> {
        handle.read()
    }

    pub(crate) fn write(self: &Arc<Self>) -> Result<Handle, RailError> {
        Handle::write(self)
    }

    /// What the dialect was called.
    pub(crate) const fn scheme(&self) -> Scheme {
        match self.is_lsat {
            true => Scheme::Lsat,
            false => Scheme::L402,
        }
    }

    /// What amount and this fee were worth at the rate at which they were reserved, rounded up;
    /// never more than what was reserved.
    pub(crate) fn cost_with(&self, fee: Amount) -> UsdMicros {
        let part = self.amount.checked_add(fee);
        let whole = self.amount.checked_add(self.fee_max);
        let (Some(part), Some(whole)) = (part, whole) else {
            return self.cost;
        };
        let shared = part.atomic().checked_mul(self.cost.0);
        let shared = shared.and_then(|shared| match whole.atomic() {
            0 => None,
            whole => Some(shared.div_ceil(whole)),
        });
        UsdMicros(shared.unwrap_or(self.cost.0).min(self.cost.0))
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
