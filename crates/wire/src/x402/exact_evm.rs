//! The payload of scheme `exact` on EVM chains, method `eip3009` of the x402 specification.
//!
//! Values are read into the machine's integers: what does not fit is refused here, so that a
//! digest is never computed over something other than what was sent.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::evm::{EvmAddress, Word, parse_hex};
use crate::money::Amount;
use crate::text;

/// The longest signature that we read: a 6492 wrapper around a smart wallet's own.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// `{signature, authorization}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactEvmPayload {
    /// 65 bytes for an ordinary account; anything else belongs to contract wallets.
    pub signature: HexBytes,
    /// What was signed.
    #[serde(deserialize_with = "crate::json::object")]
    pub authorization: Eip3009Authorization,
}

/// The signed message `TransferWithAuthorization` of EIP-3009.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Eip3009Authorization {
    /// Who pays.
    pub from: EvmAddress,
    /// Who is paid.
    pub to: EvmAddress,
    /// Atomic units.
    pub value: Amount,
    /// Unix seconds; the transfer works strictly after it.
    #[serde(with = "unix_seconds")]
    pub valid_after: u64,
    /// Unix seconds; the transfer works strictly before it.
    #[serde(with = "unix_seconds")]
    pub valid_before: u64,
    /// Chosen by the payer; a token accepts each (from, nonce) once.
    pub nonce: Word,
}

/// Bytes written as `0x…`. They may be a signature, so `Debug` tells their number only.
#[derive(Clone, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, |text| {
            parse_hex(text, SIGNATURE_BYTES_MAX).map(Self)
        })
    }
}

/// Seconds as a string of digits.
mod unix_seconds {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::money::Amount;

    pub(super) fn serialize<S: Serializer>(
        seconds: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(seconds)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        Amount::parse(&text)
            .ok()
            .and_then(|seconds| u64::try_from(seconds.atomic()).ok())
            .ok_or_else(|| {
                D::Error::custom("a time must be digits of unix seconds, at most 2^64 - 1")
            })
    }
}

#[cfg(test)]
#[path = "exact_evm_tests.rs"]
mod tests;
