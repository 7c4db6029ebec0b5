//! The normalised name of one payment, whatever bytes carry it (ARCHITECTURE law 6).
//!
//! Claims are kept under this name: two spellings of one authorization must give one identity,
//! and two authorizations never the same one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::caip::ChainId;
use crate::evm::{EvmAddress, Word};
use crate::l402::preimage::PaymentHash;

/// The name under which a payment is claimed, for instance
/// `eip3009:eip155:84532:<token>:<from>:<nonce>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(Box<str>);

impl Identity {
    /// An EIP-3009 authorization: the token forgets nothing but (from, nonce), so they name it.
    #[must_use]
    pub fn eip3009(chain: &ChainId, token: EvmAddress, from: EvmAddress, nonce: Word) -> Self {
        let (token, from, nonce) = (token.to_string(), from.to_string(), nonce.to_string());
        let parts = ["eip3009", chain.as_str(), &token, &from, &nonce];
        Self(parts.join(":").into())
    }

    /// A Lightning payment: one name for every token that it pays for, however narrowed or copied.
    #[must_use]
    pub fn l402(payment_hash: &PaymentHash) -> Self {
        Self(format!("l402:{payment_hash}").into())
    }

    /// A transaction on Solana, by the SHA-256 of its message: the chain runs a message once,
    /// whatever stands in the slot of a signature that is still missing.
    #[must_use]
    pub fn svm(chain: &ChainId, message_digest: &[u8; 32]) -> Self {
        let (genesis, digest) = (chain.reference(), hex::encode(message_digest));
        Self(["svm", genesis, &digest].join(":").into())
    }

    /// Takes a name that was stored before.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
