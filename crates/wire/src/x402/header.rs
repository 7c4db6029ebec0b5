//! Base64(JSON) in a header: how x402 v2 carries its bodies (reference §1.2).
//!
//! Standard alphabet with padding; base64url is refused, as the SDKs refuse it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of one encoded payment header that we read. Proxies stop at 8 or 16 KiB; twice that
/// leaves room for extensions and bounds the work that an anonymous peer can cause.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

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
    #[error("the payment header is not standard base64 (RFC 4648 §4, with padding)")]
    Base64,
    /// Not the JSON that belongs there.
    #[error("the payment header is not the JSON it should be: {0}")]
    Json(#[from] serde_json::Error),
}

/// Writes a body as header text.
///
/// # Errors
/// Only where `body` cannot be JSON, which none of our types does.
pub fn encode<T: Serialize>(body: &T) -> Result<String, HeaderError> {
    Ok(STANDARD.encode(serde_json::to_vec(body)?))
}

/// Reads header text as a body.
///
/// # Errors
/// See [`HeaderError`]; nothing is repaired.
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, HeaderError> {
    if text.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong { bytes: text.len() });
    }
    let json = STANDARD.decode(text).map_err(|_| HeaderError::Base64)?;
    Ok(serde_json::from_slice(&json)?)
}
