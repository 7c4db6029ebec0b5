//! Reads the body of `/verify` and `/settle`: one shape per protocol version.
//!
//! The bytes are a stranger's. Whatever is wrong with them is a 400 with one short sentence; a
//! version, scheme or network that is not served here is the business of `desk`.

use farebox_wire::x402;
use farebox_wire::x402::header::from_json;
use farebox_wire::x402::types::{FacilitatorRequest, PaymentPayload, PaymentRequirements};
use serde::Deserialize;
use serde_json::Value;

/// Bytes of a body: a credential of the largest header that is read, the offer beside it, and
/// room for resource and extensions, which both may carry.
pub(super) const BODY_BYTES_MAX: usize = 128 * 1024;

/// A credential and the offer that it is held against.
pub(super) struct Question {
    pub(super) payload: PaymentPayload,
    pub(super) requirements: PaymentRequirements,
    /// The network as the caller calls it, for the answer.
    pub(super) network: String,
}

/// Why there is no question.
pub(super) enum Unread {
    /// It is none: 400.
    Malformed(String),
    /// It is one of a version that is not spoken here.
    Version {
        version: u64,
        /// The network of the offer, as far as it has one.
        network: String,
    },
}

/// What tells one version from another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payment_payload: Value,
    payment_requirements: Value,
}

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Result<Question, Unread> {
    match from_json::<FacilitatorRequest>(body) {
        Ok(request) if request.payment_payload.x402_version == x402::VERSION => Ok(Question {
            network: request.payment_requirements.network.to_string(),
            payload: request.payment_payload,
            requirements: request.payment_requirements,
        }),
        Ok(request) => Err(Unread::Version {
            version: request.payment_payload.x402_version,
            network: request.payment_requirements.network.to_string(),
        }),
        Err(why) => Err(other_version(body).unwrap_or_else(|| Unread::Malformed(why.to_string()))),
    }
}

/// What has another shape may be of another version; then that is what is wrong with it.
fn other_version(body: &[u8]) -> Option<Unread> {
    let envelope: Envelope = from_json(body).ok()?;
    let version = envelope.payment_payload.get("x402Version")?.as_u64()?;
    let network = envelope.payment_requirements.get("network")?.as_str()?;
    (version != x402::VERSION).then(|| Unread::Version {
        version,
        // Echoed, so not longer than any name of a network.
        network: network.chars().take(NETWORK_CHARS_MAX).collect(),
    })
}

/// Characters of a network's name: CAIP-2 allows 41.
const NETWORK_CHARS_MAX: usize = 64;
