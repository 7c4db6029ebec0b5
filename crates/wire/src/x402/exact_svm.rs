//! Scheme `exact` on Solana: what a buyer sends, and what an offer says besides the usual
//! (x402 specification, `scheme_exact_svm`; npm `@x402/svm` 2.27).
//!
//! The transaction is not opened here: its bytes are a stranger's until the rail has judged them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::json;
use crate::svm::{SvmAddress, SvmBlockhash, SvmTransaction};

/// The longest memo that an offer may ask for, in bytes of UTF-8.
pub const MEMO_BYTES_MAX: usize = 256;

/// `{transaction}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactSvmPayload {
    /// A transaction that its payer has signed, and its fee payer not yet.
    pub transaction: SvmTransaction,
}

/// The `extra` of an offer. Fields that are not known are skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExactSvmExtra {
    /// Who sends the transaction and pays its fee.
    pub fee_payer: SvmAddress,
    /// What the transaction must say, word for word; at most [`MEMO_BYTES_MAX`]. An empty one is
    /// none.
    #[serde(
        default,
        deserialize_with = "memo",
        skip_serializing_if = "Option::is_none"
    )]
    pub memo: Option<String>,
    /// A recent block that the transaction may name; a hint, so that one that cannot be read is
    /// none.
    #[serde(
        default,
        deserialize_with = "blockhash_hint",
        skip_serializing_if = "Option::is_none"
    )]
    pub recent_blockhash: Option<SvmBlockhash>,
    /// The last block in which a transaction that names it can stand; a hint as well.
    #[serde(
        default,
        deserialize_with = "height_hint",
        serialize_with = "digits",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_valid_block_height: Option<u64>,
}

impl ExactSvmExtra {
    /// Reads the `extra` of an offer.
    ///
    /// # Errors
    /// Where there is none, the fee payer is missing or no address, or the memo is too long.
    pub fn read(extra: Option<&Map<String, Value>>) -> Result<Self, serde_json::Error> {
        let none = Map::new();
        Self::deserialize(extra.unwrap_or(&none)).map_err(json::brief)
    }

    /// As it is written into an offer.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            // A struct of texts is always an object.
            _ => Map::new(),
        }
    }
}

fn memo<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let memo = Option::<String>::deserialize(deserializer)?.filter(|memo| !memo.is_empty());
    if memo
        .as_ref()
        .is_some_and(|memo| memo.len() > MEMO_BYTES_MAX)
    {
        return Err(serde::de::Error::custom(format_args!(
            "a memo has at most {MEMO_BYTES_MAX} bytes"
        )));
    }
    Ok(memo)
}

fn blockhash_hint<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SvmBlockhash>, D::Error> {
    let hint = Value::deserialize(deserializer)?;
    Ok(hint.as_str().and_then(|text| text.parse().ok()))
}

/// Digits, or a number as some gateways write it.
fn height_hint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    })
}

#[expect(clippy::ref_option, reason = "the shape that serde asks for")]
fn digits<S: Serializer>(height: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match height {
        Some(height) => serializer.collect_str(height),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
#[path = "exact_svm_tests.rs"]
mod tests;
