//! The two numbers of a Lightning payment: the hash that names it, and the preimage that proves it.

use std::fmt;
use std::str::FromStr;

use ldk_node::bitcoin::hashes::{Hash as _, sha256};
use zeroize::Zeroize;

/// What names a payment: SHA-256 of its preimage (BOLT 11, field `p`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentHash(pub [u8; 32]);

impl fmt::Display for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payment hash is 64 hexadecimal digits")]
pub struct BadHash;

impl FromStr for PaymentHash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadHash)?;
        Ok(Self(bytes))
    }
}

/// What proves a payment. Who has it and an L402 token may use what was bought, so it is a secret: it cannot be cloned, is
/// wiped when dropped, and is printed as the hash that it opens.
pub struct Preimage([u8; 32]);

impl Preimage {
    /// Takes the 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for whoever must show them.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash that it opens.
    #[must_use]
    pub fn payment_hash(&self) -> PaymentHash {
        PaymentHash(sha256::Hash::hash(&self.0).to_byte_array())
    }
}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preimage(of {})", self.payment_hash())
    }
}

impl PartialEq for Preimage {
    fn eq(&self, other: &Self) -> bool {
        // By hash: how long it takes tells nothing about the bytes.
        self.payment_hash() == other.payment_hash()
    }
}

impl Eq for Preimage {}

impl Drop for Preimage {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A payment hash in a record, as text.
pub(crate) mod as_hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::PaymentHash;

    pub(crate) fn serialize<S: Serializer>(hash: &PaymentHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PaymentHash, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
