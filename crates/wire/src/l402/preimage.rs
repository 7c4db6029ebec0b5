//! Payment hashes and preimages: the hash names a Lightning payment, the preimage proves it.
//!
//! Used by the dialect, by the rail and by the books. A preimage must never be shown: whoever has
//! it and the token has what was paid for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::text;

/// Why a text is no payment hash or preimage. Never says what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hex32Error {
    /// Not 64 digits.
    #[error("32 bytes of hex have 64 digits, not {digits}")]
    Length {
        /// Characters that stood there.
        digits: usize,
    },
    /// A character that is no digit.
    #[error("not hex")]
    Digit,
}

/// The SHA-256 of a preimage: the public name of a Lightning payment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentHash(pub [u8; 32]);

/// The 32 bytes that a payee reveals when it is paid. A secret, so it has no `Debug`, `Clone` or
/// `Serialize` (ARCHITECTURE law 15).
pub struct Preimage([u8; 32]);

impl Preimage {
    /// Takes the bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hex digits of either case.
    ///
    /// # Errors
    /// See [`Hex32Error`].
    pub fn from_hex(text: &str) -> Result<Self, Hex32Error> {
        read(text).map(Self)
    }

    /// The hash of the payment that it proves.
    #[must_use]
    pub fn payment_hash(&self) -> PaymentHash {
        PaymentHash(Sha256::digest(self.0).into())
    }

    /// The digits, lower case, for a header or a sealed store; never for a log.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Whether both are one preimage. Where one is known, so is the answer: equal hashes say it as
    /// well.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.payment_hash() == other.payment_hash()
    }
}

impl FromStr for PaymentHash {
    type Err = Hex32Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text).map(Self)
    }
}

impl fmt::Display for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PaymentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PaymentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, str::parse)
    }
}

fn read(text: &str) -> Result<[u8; 32], Hex32Error> {
    if text.len() != 64 {
        return Err(Hex32Error::Length { digits: text.len() });
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| Hex32Error::Digit)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "preimage_tests.rs"]
mod tests;
