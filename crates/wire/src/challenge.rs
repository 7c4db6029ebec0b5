//! Reads a 402 answer, in every dialect that we know, into offers.
//!
//! Called by the buyer's loop with the head and body of the answer. Nothing here is believed: an
//! offer is what the seller says, and the rails quote what it really costs.

use serde::de::Error;
use serde_json::{Map, Value};

use crate::x402::header::{self, HeaderError};
use crate::x402::types::{PaymentRequirements, ResourceInfo};

/// Offers that one challenge may hold. Real ones have a handful; ten thousand are an attack.
pub const OFFERS_MAX: usize = 64;
/// Bytes of a body that are looked at to tell apart dialects that have no header.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Everything that a 402 offers.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// What the seller calls the resource; text of a stranger.
    pub resource: Option<ResourceInfo>,
    /// The seller's reason, on a rejection a machine code; text of a stranger.
    pub error: Option<String>,
    /// The readable offers, in the seller's order.
    pub offers: Vec<Offer>,
    /// Offers that could not be read: their place and why.
    pub unreadable: Vec<(usize, String)>,
    /// Extensions to echo (x402).
    pub extensions: Option<Map<String, Value>>,
}

/// One way to pay.
#[derive(Clone, Debug)]
pub enum Offer {
    /// x402 version 2.
    X402(X402Offer),
}

/// An entry of `accepts`.
#[derive(Clone, Debug)]
pub struct X402Offer {
    /// The entry, read.
    pub requirements: PaymentRequirements,
    /// The entry as it came, to be echoed as `accepted`.
    pub raw: Value,
}

/// Why a 402 could not be read as a challenge.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// Neither header nor body is of a dialect that we know.
    #[error("the server asks for payment, but in no dialect that is known here")]
    Unknown,
    /// A dialect that is known, but not spoken yet.
    #[error("the server asks for payment in {0}, which is not spoken yet")]
    Unsupported(&'static str),
    /// The challenge is damaged.
    #[error("the payment challenge cannot be read: {0}")]
    Header(#[from] HeaderError),
    /// Version other than 2 in the version 2 header.
    #[error("the payment challenge has x402Version {0}, not 2")]
    Version(u64),
    /// More than [`OFFERS_MAX`].
    #[error("the payment challenge has {0} offers, more than the {OFFERS_MAX} that are read")]
    TooManyOffers(usize),
}

/// Reads a challenge from the head of a 402 answer.
///
/// `header` looks up a header by its lower-case name. `body` is the start of the body, used only
/// to tell apart dialects that have no header.
///
/// # Errors
/// See [`ChallengeError`].
pub fn read<'a>(
    header: impl Fn(&str) -> Option<&'a [u8]>,
    body: &[u8],
) -> Result<Challenge, ChallengeError> {
    if let Some(text) = header(crate::x402::PAYMENT_REQUIRED) {
        return read_x402(text);
    }
    if let Some(dialect) = header("www-authenticate").and_then(foreign_dialect) {
        return Err(ChallengeError::Unsupported(dialect));
    }
    if body.len() <= BODY_BYTES_MAX
        && let Ok(json) = serde_json::from_slice::<Value>(body)
        && json.get("x402Version").and_then(Value::as_u64) == Some(1)
    {
        return Err(ChallengeError::Unsupported("x402 version 1"));
    }
    Err(ChallengeError::Unknown)
}

/// Reads the header leniently where no money hangs on it: a seller's text of the wrong shape must
/// not hide its offers, which are read one by one and strictly.
fn read_x402(text: &[u8]) -> Result<Challenge, ChallengeError> {
    let mut body = header::decode_versioned(text)?;
    let version = header::version(&body)?;
    if version != crate::x402::VERSION {
        return Err(ChallengeError::Version(version));
    }
    let mut take = |name| body.get_mut(name).map(Value::take).unwrap_or_default();
    let Value::Array(accepts) = take("accepts") else {
        let why = serde_json::Error::custom("accepts is not a list of offers");
        return Err(HeaderError::Json(why).into());
    };
    if accepts.len() > OFFERS_MAX {
        return Err(ChallengeError::TooManyOffers(accepts.len()));
    }
    let mut offers = Vec::with_capacity(accepts.len());
    let mut unreadable = Vec::new();
    for (place, raw) in accepts.into_iter().enumerate() {
        match PaymentRequirements::deserialize_from(&raw) {
            Ok(requirements) => offers.push(Offer::X402(X402Offer { requirements, raw })),
            Err(why) => unreadable.push((place, why.to_string())),
        }
    }
    Ok(Challenge {
        resource: header::from_value(&take("resource")).ok(),
        error: match take("error") {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        },
        offers,
        unreadable,
        extensions: match take("extensions") {
            Value::Object(extensions) => Some(extensions),
            _ => None,
        },
    })
}

/// A dialect that we know by its authentication scheme, and do not speak yet.
fn foreign_dialect(value: &[u8]) -> Option<&'static str> {
    value.split(|b| *b == b',').find_map(|challenge| {
        let scheme = challenge.trim_ascii().split(|b| *b == b' ').next()?;
        match scheme.to_ascii_lowercase().as_slice() {
            b"l402" | b"lsat" => Some("L402"),
            b"payment" => Some("MPP"),
            _ => None,
        }
    })
}

impl PaymentRequirements {
    /// Reads one entry of `accepts`.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    pub fn deserialize_from(raw: &Value) -> Result<Self, serde_json::Error> {
        header::from_value(raw)
    }
}

#[cfg(test)]
#[path = "challenge_tests.rs"]
mod tests;
