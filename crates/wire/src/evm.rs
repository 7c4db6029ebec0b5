//! EVM words as they stand on the wire: addresses, 32-byte words and byte strings in hex.
//!
//! Readers accept any letter case (checksums are the rail's business) and nothing else: exactly
//! `0x` and the right number of digits. Writers emit lower case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// Why a text is not the hex that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseHexError {
    /// No `0x` in front.
    #[error("hex must start with 0x")]
    Prefix,
    /// The wrong number of digits.
    #[error("expected {expected} bytes of hex, got {digits} digits")]
    Length {
        /// Bytes that belong there.
        expected: usize,
        /// Digits that stood there.
        digits: usize,
    },
    /// A character outside 0-9, a-f, A-F, or an odd number of digits.
    #[error("not hex")]
    Digit,
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// All zero.
            pub const ZERO: Self = Self([0; $len]);
        }

        impl FromStr for $name {
            type Err = ParseHexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text.strip_prefix("0x").ok_or(ParseHexError::Prefix)?;
                if digits.len() != $len * 2 {
                    return Err(ParseHexError::Length { expected: $len, digits: digits.len() });
                }
                let mut bytes = [0; $len];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseHexError::Digit)?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 2 + $len * 2];
                f.write_str(written(&self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut text = [0; 2 + $len * 2];
                serializer.serialize_str(written(&self.0, &mut text))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text::read(deserializer, str::parse)
            }
        }
    };
}

fixed_bytes! {
    /// A 20-byte account or contract address.
    EvmAddress, 20
}
fixed_bytes! {
    /// A 32-byte word: nonces, hashes, digests.
    Word, 32
}

/// `0x` and the digits of `bytes`, in `text`, which has room for just them: addresses and hashes are
/// written a dozen times for each payment.
fn written<'a>(bytes: &[u8], text: &'a mut [u8]) -> &'a str {
    if let Some((prefix, digits)) = text.split_first_chunk_mut::<2>() {
        *prefix = *b"0x";
        // The room is a constant beside that of the bytes.
        let _ = hex::encode_to_slice(bytes, digits);
    }
    str::from_utf8(text).unwrap_or_default()
}

/// Reads `0x…` of at most `bytes_max` bytes.
///
/// # Errors
/// Refuses a missing prefix, odd or foreign digits, and more than `bytes_max` bytes.
pub fn parse_hex(text: &str, bytes_max: usize) -> Result<Vec<u8>, ParseHexError> {
    let digits = text.strip_prefix("0x").ok_or(ParseHexError::Prefix)?;
    if digits.len() > bytes_max.saturating_mul(2) {
        return Err(ParseHexError::Length {
            expected: bytes_max,
            digits: digits.len(),
        });
    }
    hex::decode(digits).map_err(|_| ParseHexError::Digit)
}

#[cfg(test)]
#[path = "evm_tests.rs"]
mod tests;
