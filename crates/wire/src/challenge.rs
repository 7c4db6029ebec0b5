//! Reads a 402 answer, in every dialect that we know, into offers.
//!
//! Called by the buyer's loop with the head and body of the answer. Nothing here is believed: an
//! offer is what the seller says, and the rails quote what it really costs.

use serde::de::Error;
use serde_json::{Map, Value};

use crate::json::Strict;
pub use crate::l402::challenge::L402Challenge as L402Offer;
use crate::l402::challenge::{self as l402, L402Challenges};
use crate::x402::header::{self, HeaderError};
use crate::x402::types::{PaymentRequirements, ResourceInfo};
use crate::x402::v1::{self, PaymentRequirementsV1};
use crate::x402::{self, Version};

/// Offers that one challenge may hold, in all dialects together. Real ones have a handful; ten thousand are an attack.
pub const OFFERS_MAX: usize = 64;
/// Bytes of a body that is read as a challenge of a dialect that has no header: room for many
/// offers with the schemas that sellers of x402 version 1 put into them.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Everything that a 402 offers. The default offers nothing.
#[derive(Clone, Debug, Default)]
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
    /// x402, of either version.
    X402(X402Offer),
    /// L402, under either name: an invoice of Lightning.
    L402(L402Offer),
}

impl Offer {
    /// The offer, where it is one of x402: for rails that pay nothing else.
    #[must_use]
    pub const fn as_x402(&self) -> Option<&X402Offer> {
        match self {
            Self::X402(offer) => Some(offer),
            Self::L402(_) => None,
        }
    }
}

/// An entry of `accepts`.
#[derive(Clone, Debug)]
pub struct X402Offer {
    /// In which version it was made, and must be answered.
    pub version: Version,
    /// The entry, read; an offer of version 1 as version 2 would say it.
    pub requirements: PaymentRequirements,
    /// The entry as it came, in version 2 to be echoed as `accepted`.
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
    /// Two of one dialect: nobody can know which one counts.
    #[error("the server sends two payment challenges at once")]
    TwoChallenges,
    /// The challenge is damaged.
    #[error("the payment challenge cannot be read: {0}")]
    Header(#[from] HeaderError),
    /// A version 1 challenge that is damaged.
    #[error("the payment challenge in the body (x402 version 1) cannot be read: {0}")]
    Body(serde_json::Error),
    /// Version other than 2 in the version 2 header.
    #[error("the payment challenge has x402Version {0}, not 2")]
    Version(u64),
    /// More than [`OFFERS_MAX`].
    #[error("the payment challenge has {0} offers, more than the {OFFERS_MAX} that are read")]
    TooManyOffers(usize),
}

/// Reads a challenge from a 402 answer, or from a 401 that has one.
///
/// `header` gives all values of a header by its lower-case name. `body` is the start of the body; it
/// is read where no header has a challenge of x402. Where a seller speaks both versions of x402, the
/// newer wins; what it offers by L402 stands beside it. A dialect that cannot be read hides no
/// other.
///
/// # Errors
/// See [`ChallengeError`].
pub fn read<'a, I>(header: impl Fn(&str) -> I, body: &[u8]) -> Result<Challenge, ChallengeError>
where
    I: IntoIterator<Item = &'a [u8]>,
{
    let l402 = l402::read(header("www-authenticate"));
    let challenge = match of_x402(header(x402::PAYMENT_REQUIRED), body) {
        Some(Ok(challenge)) => challenge,
        Some(Err(why)) if l402.challenges.is_empty() => return Err(why),
        Some(Err(why)) => Challenge {
            unreadable: vec![(0, why.to_string())],
            ..Challenge::default()
        },
        None if !l402.challenges.is_empty() || !l402.unreadable.is_empty() => Challenge::default(),
        None if l402.has_mpp => return Err(ChallengeError::Unsupported("MPP")),
        None => return Err(ChallengeError::Unknown),
    };
    beside(challenge, l402)
}

/// What is said in x402; `None` where nothing is.
fn of_x402<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
    body: &[u8],
) -> Option<Result<Challenge, ChallengeError>> {
    let mut headers = headers.into_iter();
    match (headers.next(), headers.next()) {
        (Some(text), None) => Some(read_x402(text)),
        (Some(_), Some(_)) => Some(Err(ChallengeError::TwoChallenges)),
        (None, _) => version_1(body).map(read_x402_v1),
    }
}

/// Adds the offers of L402 behind the others.
fn beside(mut challenge: Challenge, l402: L402Challenges) -> Result<Challenge, ChallengeError> {
    let lists = [challenge.offers.len(), challenge.unreadable.len()];
    let known = lists.into_iter().fold(0, usize::saturating_add);
    let added = [l402.challenges.len(), l402.unreadable.len()];
    let count = added.into_iter().fold(known, usize::saturating_add);
    if count > OFFERS_MAX {
        return Err(ChallengeError::TooManyOffers(count));
    }
    challenge
        .offers
        .extend(l402.challenges.into_iter().map(Offer::L402));
    let whys = l402.unreadable.iter().map(ToString::to_string);
    challenge.unreadable.extend((known..).zip(whys));
    Ok(challenge)
}

/// The body, where it is one of x402 version 1.
fn version_1(body: &[u8]) -> Option<Value> {
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let Strict(json) = serde_json::from_slice(body).ok()?;
    let version = json.get("x402Version").and_then(Value::as_u64);
    (version == Some(v1::VERSION)).then_some(json)
}

/// Reads the header leniently where no money hangs on it: a seller's text of the wrong shape must
/// not hide its offers, which are read one by one and strictly.
fn read_x402(text: &[u8]) -> Result<Challenge, ChallengeError> {
    let mut body = header::decode_versioned(text)?;
    let version = header::version(&body)?;
    if version != x402::VERSION {
        return Err(ChallengeError::Version(version));
    }
    let accepts = list_of_offers(taken(&mut body, "accepts")).map_err(HeaderError::Json)?;
    let (offers, unreadable) = read_offers(accepts, Version::V2, |raw| {
        PaymentRequirements::deserialize_from(raw).map_err(|why| why.to_string())
    })?;
    Ok(Challenge {
        resource: header::from_value(&taken(&mut body, "resource")).ok(),
        error: error_text(taken(&mut body, "error")),
        offers,
        unreadable,
        extensions: match taken(&mut body, "extensions") {
            Value::Object(extensions) => Some(extensions),
            _ => None,
        },
    })
}

/// As leniently, and as strictly. What is sold is told by each offer; the first one's words are
/// taken.
fn read_x402_v1(mut body: Value) -> Result<Challenge, ChallengeError> {
    let accepts = list_of_offers(taken(&mut body, "accepts")).map_err(ChallengeError::Body)?;
    let mut resource = None;
    let (offers, unreadable) = read_offers(accepts, Version::V1, |raw| {
        let offer: PaymentRequirementsV1 =
            header::from_value(raw).map_err(|why| why.to_string())?;
        let requirements = offer.to_v2().map_err(|why| why.to_string())?;
        resource = resource.take().or_else(|| offer.resource_info());
        Ok(requirements)
    })?;
    Ok(Challenge {
        resource,
        error: error_text(taken(&mut body, "error")),
        offers,
        unreadable,
        extensions: None,
    })
}

fn taken(body: &mut Value, name: &str) -> Value {
    body.get_mut(name).map(Value::take).unwrap_or_default()
}

fn list_of_offers(accepts: Value) -> Result<Vec<Value>, serde_json::Error> {
    match accepts {
        Value::Array(accepts) => Ok(accepts),
        _ => Err(serde_json::Error::custom("accepts is not a list of offers")),
    }
}

type Unreadable = (usize, String);

/// Reads the offers one by one: one that cannot be read does not hide the others.
fn read_offers(
    accepts: Vec<Value>,
    version: Version,
    mut read: impl FnMut(&Value) -> Result<PaymentRequirements, String>,
) -> Result<(Vec<Offer>, Vec<Unreadable>), ChallengeError> {
    if accepts.len() > OFFERS_MAX {
        return Err(ChallengeError::TooManyOffers(accepts.len()));
    }
    let mut offers = Vec::with_capacity(accepts.len());
    let mut unreadable = Vec::new();
    for (place, raw) in accepts.into_iter().enumerate() {
        match read(&raw) {
            Ok(requirements) => offers.push(Offer::X402(X402Offer {
                version,
                requirements,
                raw,
            })),
            Err(why) => unreadable.push((place, why)),
        }
    }
    Ok((offers, unreadable))
}

fn error_text(error: Value) -> Option<String> {
    match error {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
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
