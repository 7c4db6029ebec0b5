//! The JSON bodies of x402 v1.
//!
//! As in version 2, an optional field may be absent or `null` and is left out when we write. A
//! text of the seller that is missing reads as empty, and is written even so: npm `x402` refuses
//! an offer without `description` and `mimeType`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json;
use crate::money::Amount;
use crate::x402::types::{null_is_default, payload, positive_seconds};

/// One way to pay: an entry of `accepts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequirementsV1 {
    /// `exact` …
    pub scheme: String,
    /// Name of the chain, see [`super::NETWORKS`].
    pub network: String,
    /// Atomic units; `exact` pays all of them.
    pub max_amount_required: Amount,
    /// URL of what is sold; text of a stranger.
    #[serde(default, deserialize_with = "null_is_default")]
    pub resource: String,
    /// For people; never an instruction.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Media type of the paid answer.
    #[serde(default, deserialize_with = "null_is_default")]
    pub mime_type: String,
    /// What the answer looks like; any JSON.
    #[serde(
        default,
        deserialize_with = "json::optional_any",
        skip_serializing_if = "Option::is_none"
    )]
    pub output_schema: Option<Value>,
    /// Address that is paid.
    pub pay_to: String,
    /// How long the credential may stay valid, in seconds; positive.
    #[serde(deserialize_with = "positive_seconds")]
    pub max_timeout_seconds: u64,
    /// Token address or mint.
    pub asset: String,
    /// What the scheme adds; for `exact` on EVM the EIP-712 `name` and `version`.
    #[serde(
        default,
        deserialize_with = "json::optional_map",
        skip_serializing_if = "Option::is_none"
    )]
    pub extra: Option<Map<String, Value>>,
}

/// The challenge: body of the 402.
///
/// `accepts` stays as JSON values, because one unreadable offer must not hide the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequiredV1 {
    /// Always 1.
    pub x402_version: u64,
    /// Text, or a machine code after a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The offers.
    #[serde(deserialize_with = "json::list")]
    pub accepts: Vec<Value>,
}

/// The credential: body of the `X-PAYMENT` header.
///
/// It is a secret until it is settled: `Debug` leaves `payload` out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentPayloadV1 {
    /// Always 1.
    pub x402_version: u64,
    /// Of the offer that it answers.
    pub scheme: String,
    /// Of the offer that it answers.
    pub network: String,
    /// Scheme-specific: for `exact` on EVM see [`crate::x402::exact_evm`].
    #[serde(deserialize_with = "payload")]
    pub payload: Value,
}

impl fmt::Debug for PaymentPayloadV1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentPayloadV1")
            .field("x402_version", &self.x402_version)
            .field("scheme", &self.scheme)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// Body of a facilitator's `/verify` and `/settle`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FacilitatorRequestV1 {
    /// The payload's version.
    pub x402_version: u64,
    /// The credential.
    #[serde(deserialize_with = "json::object")]
    pub payment_payload: PaymentPayloadV1,
    /// The offer that it is held against.
    #[serde(deserialize_with = "json::object")]
    pub payment_requirements: PaymentRequirementsV1,
}
