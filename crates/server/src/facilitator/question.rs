//! Reads the body of `/verify` and `/settle`, in either version of the protocol.
//!
//! The bytes are a stranger's. What is no question is a 400 with one short sentence; a version or
//! network that means nothing is what is wrong with the payment. Everything behind this file
//! speaks version 2; the answer is written in the version of the question.

use farebox_core::rail::Refusal;
use farebox_wire::x402::Version;
use farebox_wire::x402::facilitator::{self, RequestError};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements};

/// Bytes of a body: a credential of the largest header that is read, the offer beside it, and
/// room for resource and extensions, which both may carry.
pub(super) const BODY_BYTES_MAX: usize = 128 * 1024;

/// How the caller speaks, for the answer.
#[derive(Clone)]
pub(super) struct Speech {
    pub(super) version: Version,
    /// What the caller calls the network.
    pub(super) network: String,
}

/// A credential and the offer that it is held against.
pub(super) struct Question {
    pub(super) payload: PaymentPayload,
    pub(super) requirements: PaymentRequirements,
}

/// Why there is no question.
pub(super) enum Unread {
    /// It is none: 400.
    Malformed(String),
    /// It means nothing here.
    Refused(Speech, Refusal),
}

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Result<(Speech, Question), Unread> {
    let request = facilitator::read(body).map_err(unread)?;
    let speech = Speech {
        version: request.version(),
        network: request.network().to_owned(),
    };
    match request.into_v2() {
        Ok(request) => {
            let question = Question {
                payload: request.payment_payload,
                requirements: request.payment_requirements,
            };
            Ok((speech, question))
        }
        Err(why) => Err(Unread::Refused(
            speech,
            refusal(why.reason(), why.to_string()),
        )),
    }
}

fn unread(why: RequestError) -> Unread {
    match why {
        RequestError::Version { version, network } => {
            let message = format!(
                "x402 version {version} is not spoken here; /supported lists those that are"
            );
            let speech = Speech {
                version: Version::V2,
                network,
            };
            Unread::Refused(speech, refusal(Reason::InvalidX402Version, message))
        }
        other => Unread::Malformed(other.to_string()),
    }
}

fn refusal(reason: Reason, message: String) -> Refusal {
    Refusal {
        reason,
        message,
        is_ours: false,
    }
}

impl Speech {
    /// The code of a reason in the caller's version: one of them has another spelling in the first.
    pub(super) fn code(&self, code: String) -> String {
        match self.version {
            Version::V1 if code == Reason::ValueMismatch.code() => VALUE_MISMATCH_V1.to_owned(),
            _ => code,
        }
    }
}

/// The authorization is over another amount, in version 1.
const VALUE_MISMATCH_V1: &str = "invalid_exact_evm_authorization_value";
