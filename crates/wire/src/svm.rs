//! Solana's words as they stand on the wire: addresses, blockhashes and signatures in base58, and
//! transactions in base64.
//!
//! Case counts, and a value has one spelling: exactly the digits that its bytes have.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// The largest transaction: what fits a packet of the network (1,280 bytes less its headers).
pub const TRANSACTION_BYTES_MAX: usize = 1_232;

/// Why a text is not the bytes that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSvmError {
    /// A character outside the alphabet, or more or fewer bytes than belong there.
    #[error("expected {bytes} bytes of base58")]
    Base58 {
        /// Bytes that belong there.
        bytes: usize,
    },
    /// Not canonical base64 with padding.
    #[error("expected a transaction in padded standard base64 (RFC 4648 §4)")]
    Base64,
    /// Empty, or larger than a transaction can be.
    #[error("a transaction has 1 to {TRANSACTION_BYTES_MAX} bytes")]
    Size,
}

macro_rules! base58_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal, $chars_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// All zero.
            pub const ZERO: Self = Self([0; $len]);
        }

        impl FromStr for $name {
            type Err = ParseSvmError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let error = ParseSvmError::Base58 { bytes: $len };
                // Decoding takes the square of the length.
                if text.len() > $chars_max {
                    return Err(error);
                }
                let mut bytes = [0; $len];
                match bs58::decode(text).onto(&mut bytes) {
                    Ok($len) => Ok(Self(bytes)),
                    _ => Err(error),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&bs58::encode(&self.0).into_string())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text::read(deserializer, str::parse)
            }
        }
    };
}

base58_bytes! {
    /// A 32-byte account: a wallet, a mint, a token account or a program.
    SvmAddress, 32, 44
}
base58_bytes! {
    /// The 32-byte hash of a block, which a transaction names to say when it was made.
    SvmBlockhash, 32, 44
}
base58_bytes! {
    /// A 64-byte ed25519 signature. The first one of a transaction is the transaction's name.
    SvmSignature, 64, 88
}

/// A transaction as it travels: its bytes, in base64. It may be signed, so `Debug` tells their
/// number only.
#[derive(Clone, PartialEq, Eq)]
pub struct SvmTransaction(Vec<u8>);

impl SvmTransaction {
    /// Takes the bytes of a transaction.
    ///
    /// # Errors
    /// [`ParseSvmError::Size`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, ParseSvmError> {
        match bytes.len() {
            1..=TRANSACTION_BYTES_MAX => Ok(Self(bytes)),
            _ => Err(ParseSvmError::Size),
        }
    }

    /// Its bytes, whatever they say.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for SvmTransaction {
    type Err = ParseSvmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Four characters hold three bytes; the last four may hold fewer.
        if text.len() > TRANSACTION_BYTES_MAX.div_ceil(3).saturating_mul(4) {
            return Err(ParseSvmError::Size);
        }
        Self::new(STANDARD.decode(text).map_err(|_| ParseSvmError::Base64)?)
    }
}

impl fmt::Display for SvmTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for SvmTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl Serialize for SvmTransaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SvmTransaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, str::parse)
    }
}

#[cfg(test)]
#[path = "svm_tests.rs"]
mod tests;
