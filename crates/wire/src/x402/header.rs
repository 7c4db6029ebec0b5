//! Base64(JSON) in a header, and bare JSON in a body: how x402 v2 carries its bodies
//! (x402 v2 HTTP transport specification).
//!
//! Called by buyer, seller and facilitator. Standard alphabet, as the SDKs read it: padding may
//! be missing, base64url is refused, and nothing is repaired.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{self, Object, Strict};
use crate::x402::VERSION;
use crate::x402::types::PaymentPayload;

/// Bytes of one encoded payment header that we read. Proxies stop at 8 or 16 KiB; twice that
/// leaves room for extensions and bounds the work that an anonymous peer can cause.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Writes padding, reads with or without: the SDKs' expression is `^[A-Za-z0-9+/]*={0,2}$`.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a payment header could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Longer than [`HEADER_BYTES_MAX`].
    #[error("the payment header has {bytes} bytes, more than the {HEADER_BYTES_MAX} allowed")]
    TooLong {
        /// Bytes that came.
        bytes: usize,
    },
    /// Not standard base64.
    #[error("the payment header is not standard base64 (RFC 4648 §4)")]
    Base64,
    /// Not the JSON that belongs there.
    #[error("the payment header is not the JSON it should be: {0}")]
    Json(#[from] serde_json::Error),
    /// A credential of another version than its header.
    #[error("the payment header has x402Version {0}, which belongs into another header")]
    Version(u64),
}

/// Writes a body as header text.
///
/// # Errors
/// Only where `body` cannot be JSON, which none of our types does.
pub fn encode<T: Serialize>(body: &T) -> Result<String, HeaderError> {
    Ok(BASE64.encode(serde_json::to_vec(body)?))
}

/// Reads header text as a body.
///
/// # Errors
/// See [`HeaderError`]; nothing is repaired.
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, HeaderError> {
    Ok(from_json(&decode_base64(text)?)?)
}

/// Reads a `PAYMENT-SIGNATURE` header: like [`decode`], and tells another protocol version from
/// damage.
///
/// # Errors
/// See [`HeaderError`].
pub fn decode_payment(text: &[u8]) -> Result<PaymentPayload, HeaderError> {
    decode_of_version(text, VERSION)
}

/// Reads header text as a body that must be of version `expected`.
pub(crate) fn decode_of_version<T: DeserializeOwned>(
    text: &[u8],
    expected: u64,
) -> Result<T, HeaderError> {
    let body = decode_versioned(text)?;
    let version = version(&body)?;
    if version != expected {
        return Err(HeaderError::Version(version));
    }
    let Object(body) = serde_json::from_value(body).map_err(json::brief)?;
    Ok(body)
}

/// Reads bare JSON as a body: a facilitator's requests and answers.
///
/// Like `serde_json::from_slice`, but an array is never taken for an object, and the error is
/// short whatever the peer sent. The caller bounds `bytes`.
///
/// # Errors
/// Names the field that is missing or wrong.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let Object(body) = serde_json::from_slice(bytes).map_err(json::brief)?;
    Ok(body)
}

/// Reads JSON that was kept as it came: `payload` of a credential, an entry of `accepts`.
///
/// # Errors
/// As [`from_json`].
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    let Object(body) = Object::deserialize(value).map_err(json::brief)?;
    Ok(body)
}

/// Reads header text whose shape depends on its version.
pub(crate) fn decode_versioned(text: &[u8]) -> Result<Value, HeaderError> {
    let Strict(body) = serde_json::from_slice(&decode_base64(text)?).map_err(json::brief)?;
    Ok(body)
}

/// `x402Version` of a body.
pub(crate) fn version(body: &Value) -> Result<u64, HeaderError> {
    body.get("x402Version")
        .and_then(Value::as_u64)
        .ok_or_else(|| {
            HeaderError::Json(serde_json::Error::custom(
                "x402Version is missing or not a whole number",
            ))
        })
}

fn decode_base64(text: &[u8]) -> Result<Vec<u8>, HeaderError> {
    if text.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong { bytes: text.len() });
    }
    BASE64.decode(text).map_err(|_| HeaderError::Base64)
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
