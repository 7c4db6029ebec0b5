//! The JSON bodies of x402 v2 (specification §5).
//!
//! Every optional field may be absent or `null` (Python and Go peers write nulls) and is left out
//! when we write. Amounts are strings of atomic units. What a client must echo byte for byte
//! (`accepted`) is kept as the JSON value that came.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::caip::ChainId;
use crate::json;
use crate::money::Amount;

/// What is being sold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceInfo {
    /// HTTP URL or `mcp://tool/<name>`; never empty when read.
    #[serde(deserialize_with = "url")]
    pub url: String,
    /// For people; never an instruction. Facilitators refuse more than 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Media type of the paid answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Name of the seller's service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Up to five words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Where its picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
}

/// One way to pay: an entry of `accepts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequirements {
    /// `exact`, `upto` …
    pub scheme: String,
    /// CAIP-2 chain.
    pub network: ChainId,
    /// Atomic units, for `exact` to be paid to the unit.
    pub amount: Amount,
    /// Token address, mint, or currency code.
    pub asset: String,
    /// Address or role that is paid.
    pub pay_to: String,
    /// How long the credential may stay valid, in seconds; positive.
    #[serde(deserialize_with = "positive_seconds")]
    pub max_timeout_seconds: u64,
    /// What the scheme adds; for `exact` on EVM the EIP-712 `name` and `version`.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extra: Option<Map<String, Value>>,
}

/// The challenge: body of the `PAYMENT-REQUIRED` header.
///
/// `accepts` stays as JSON values, because one unreadable offer must not hide the others;
/// [`crate::challenge`] reads them one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequired {
    /// Always 2.
    pub x402_version: u64,
    /// Text on the first challenge, a machine code after a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is being sold.
    #[serde(deserialize_with = "json::object")]
    pub resource: ResourceInfo,
    /// The offers.
    #[serde(deserialize_with = "json::list")]
    pub accepts: Vec<Value>,
    /// Extension key to `{info, schema, …}`.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Map<String, Value>>,
}

/// The credential: body of the `PAYMENT-SIGNATURE` header.
///
/// It is a secret until it is settled: `Debug` leaves `payload` out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentPayload {
    /// Always 2.
    pub x402_version: u64,
    /// Copied from the challenge by the SDKs.
    #[serde(
        default,
        deserialize_with = "json::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub resource: Option<ResourceInfo>,
    /// The chosen entry of `accepts`, verbatim.
    #[serde(deserialize_with = "accepted")]
    pub accepted: Value,
    /// Scheme-specific: for `exact` on EVM see [`crate::x402::exact_evm`].
    #[serde(deserialize_with = "payload")]
    pub payload: Value,
    /// Echo of the challenge's extensions and the client's additions.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Map<String, Value>>,
}

impl fmt::Debug for PaymentPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentPayload")
            .field("x402_version", &self.x402_version)
            .field("resource", &self.resource)
            .field("accepted", &self.accepted)
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

/// The receipt: body of the `PAYMENT-RESPONSE` header and answer of a facilitator's `/settle`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettleResponse {
    /// Whether the money has moved. Missing or not a boolean is unreadable, never true.
    pub success: bool,
    /// Hash of the settling transaction; empty where there is none.
    pub transaction: String,
    /// CAIP-2 chain.
    pub network: String,
    /// Machine code, see [`crate::x402::reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Who paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    /// Atomic units that really moved, where they may differ from the offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Extension key to value.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Map<String, Value>>,
    /// What the scheme adds.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extra: Option<Map<String, Value>>,
}

/// Body of a facilitator's `/verify` and `/settle`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FacilitatorRequest {
    /// The payload's version.
    pub x402_version: u64,
    /// The credential.
    #[serde(deserialize_with = "json::object")]
    pub payment_payload: PaymentPayload,
    /// The offer that it is held against.
    #[serde(deserialize_with = "json::object")]
    pub payment_requirements: PaymentRequirements,
}

/// Answer of a facilitator's `/verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyResponse {
    /// Whether the credential would settle now.
    pub is_valid: bool,
    /// Machine code; unknown ones are kept as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_reason: Option<String>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_message: Option<String>,
    /// Who would pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    /// Extension key to value.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Map<String, Value>>,
    /// What the scheme adds.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extra: Option<Map<String, Value>>,
}

/// What a facilitator can do: answer of its `/supported`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportedResponse {
    /// What it verifies and settles. Entries stay JSON: one of a kind that is unknown here must
    /// not hide the others; see [`SupportedKind`].
    #[serde(deserialize_with = "json::list")]
    pub kinds: Vec<Value>,
    /// Keys of the extensions that it knows.
    #[serde(default, deserialize_with = "null_is_default")]
    pub extensions: Vec<String>,
    /// Namespace pattern (`eip155:*`) to the addresses that it sends from.
    #[serde(default, deserialize_with = "null_is_default")]
    pub signers: BTreeMap<String, Vec<String>>,
}

/// An entry of [`SupportedResponse::kinds`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportedKind {
    /// Protocol version.
    pub x402_version: u64,
    /// `exact`, `upto` …
    pub scheme: String,
    /// CAIP-2 chain; a bare name in version 1.
    pub network: String,
    /// What the scheme needs from the facilitator, for instance its fee payer.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extra: Option<Map<String, Value>>,
}

/// `60` and `60.0` are the same number of seconds; zero, negatives and fractions are refused.
pub(super) fn positive_seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let seconds = json::plain_digits(&number).parse().ok();
    seconds
        .filter(|s| *s > 0)
        .ok_or_else(|| D::Error::custom("maxTimeoutSeconds must be a positive whole number"))
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    if url.is_empty() {
        return Err(D::Error::custom("the url of the resource is empty"));
    }
    Ok(url)
}

fn accepted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    json::map(deserializer)
        .map_err(|e| D::Error::custom(format_args!("accepted, the chosen entry of accepts: {e}")))
}

pub(super) fn payload<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    json::map(deserializer).map_err(|e| D::Error::custom(format_args!("payload: {e}")))
}

pub(super) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
#[path = "types_tests.rs"]
mod tests;
