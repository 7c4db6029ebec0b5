//! Reads what a facilitator is asked, in whichever version it is asked.
//!
//! Called by a facilitator with the body of `/verify` and `/settle`, which it has bounded. The
//! version is the credential's (`paymentPayload.x402Version`), as the official servers decide it.

use serde::Deserialize;
use serde_json::Value;

use crate::json;
use crate::x402::types::FacilitatorRequest;
use crate::x402::v1::{FacilitatorRequestV1, Untranslatable};
use crate::x402::{Version, header};

/// Characters of a peer's name for a network that are kept: CAIP-2 allows 41.
const NETWORK_CHARS_MAX: usize = 64;

/// A question in the version in which it came.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyRequest {
    /// Version 1.
    V1(FacilitatorRequestV1),
    /// Version 2.
    V2(FacilitatorRequest),
}

/// Why a body is no question.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is not what its version says.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Of a version that is not known.
    #[error("x402Version {version} is not spoken here, only 1 and 2")]
    Version {
        /// Its number.
        version: u64,
        /// The network of the offer as the caller calls it, cut; empty where there is none.
        network: String,
    },
    /// Credential and envelope contradict each other.
    #[error("x402Version is {envelope}, but that of paymentPayload is {payload}")]
    TwoVersions {
        /// Of the body.
        envelope: u64,
        /// Of the credential.
        payload: u64,
    },
}

/// Reads a body.
///
/// # Errors
/// See [`RequestError`]; nothing is repaired.
pub fn read(bytes: &[u8]) -> Result<AnyRequest, RequestError> {
    // Almost every question is whole and of a known version; only what is not is taken apart.
    let read = match serde_json::from_slice::<Glance>(bytes) {
        Ok(glance) => read_as(glance.payment_payload.x402_version, bytes),
        Err(_) => None,
    };
    match read {
        Some(Ok((request, envelope))) => same_version(request, envelope),
        Some(Err(_)) | None => read_slowly(bytes),
    }
}

/// The question, and the version of its envelope; `None` where the credential's is not known.
fn read_as(version: u64, bytes: &[u8]) -> Option<Result<(AnyRequest, u64), serde_json::Error>> {
    let v1 = |request: FacilitatorRequestV1| {
        let envelope = request.x402_version;
        (AnyRequest::V1(request), envelope)
    };
    let v2 = |request: FacilitatorRequest| {
        let envelope = request.x402_version;
        (AnyRequest::V2(request), envelope)
    };
    match version {
        1 => Some(header::from_json(bytes).map(v1)),
        2 => Some(header::from_json(bytes).map(v2)),
        _ => None,
    }
}

/// Reads what is probably wrong, to say of the first thing that is.
fn read_slowly(bytes: &[u8]) -> Result<AnyRequest, RequestError> {
    let envelope: Envelope = header::from_json(bytes)?;
    let version = envelope.version()?;
    match read_as(version, bytes) {
        Some(read) => same_version(read?.0, envelope.x402_version),
        None => Err(RequestError::Version {
            version,
            network: envelope.network(),
        }),
    }
}

fn same_version(request: AnyRequest, envelope: u64) -> Result<AnyRequest, RequestError> {
    let payload = match request {
        AnyRequest::V1(_) => 1,
        AnyRequest::V2(_) => 2,
    };
    match envelope == payload {
        true => Ok(request),
        false => Err(RequestError::TwoVersions { envelope, payload }),
    }
}

impl AnyRequest {
    /// In which version it came.
    #[must_use]
    pub const fn version(&self) -> Version {
        match self {
            Self::V1(_) => Version::V1,
            Self::V2(_) => Version::V2,
        }
    }

    /// The network as the caller calls it, for the answer.
    #[must_use]
    pub fn network(&self) -> &str {
        match self {
            Self::V1(request) => &request.payment_requirements.network,
            Self::V2(request) => request.payment_requirements.network.as_str(),
        }
    }

    /// The question in version 2, which everything behind the wire speaks.
    ///
    /// # Errors
    /// Where a question of version 1 means nothing: its [`Untranslatable::reason`] is the answer.
    pub fn into_v2(self) -> Result<FacilitatorRequest, Untranslatable> {
        match self {
            Self::V1(request) => request.to_v2(),
            Self::V2(request) => Ok(request),
        }
    }
}

/// The version of the credential, whatever stands beside it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Glance {
    payment_payload: GlanceAtPayload,
}

/// See [`Glance`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GlanceAtPayload {
    x402_version: u64,
}

/// What tells one version from another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    x402_version: u64,
    #[serde(deserialize_with = "json::map")]
    payment_payload: Value,
    #[serde(deserialize_with = "json::map")]
    payment_requirements: Value,
}

impl Envelope {
    fn version(&self) -> Result<u64, serde_json::Error> {
        header::version(&self.payment_payload).map_err(|error| match error {
            header::HeaderError::Json(error) => error,
            other => serde::de::Error::custom(other),
        })
    }

    fn network(&self) -> String {
        let name = self.payment_requirements.get("network");
        let name = name.and_then(Value::as_str).unwrap_or_default();
        name.chars().take(NETWORK_CHARS_MAX).collect()
    }
}
