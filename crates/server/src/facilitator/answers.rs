//! The answers, as the official facilitators write them.
//!
//! Business failures are 200; our own trouble is 200 too and names itself
//! (`unexpected_verify_error`, `unexpected_settle_error`), because clients of the SDKs read the
//! body and not the status. Only where the books cannot be used the status is 503, and where the
//! caller has to wait it is 429, with the same body: then nothing was looked at.

use axum::body::Body;
use farebox_core::ledger::LedgerError;
use farebox_core::rail::Refusal;
use farebox_seller::answer::{json_answer, problem, with_retry};
use farebox_seller::buckets::RetryAfterS;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{SettleResponse, VerifyResponse};
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};

use super::hand_over::Owed;
use super::question::Speech;

/// Most answers are shorter, and none has to grow many times.
const ANSWER_LEN: usize = 320;

/// Where the books cannot be used.
const NO_BOOKS: &str =
    "the facilitator's books cannot be used; nothing was settled, try again later";

/// Where a caller has used up what he may have us do in vain.
const TOO_MUCH: &str =
    "too many of your payments were invalid or not funded; wait as long as Retry-After says";

/// Answer of `/verify`.
pub(super) enum Verified {
    /// It would settle now.
    Valid { payer: Option<String> },
    /// It would not.
    Invalid {
        reason: String,
        message: String,
        payer: Option<String>,
    },
    /// Nobody can say.
    NoBooks,
    /// Too much of what this caller asked was in vain.
    TooMuch(RetryAfterS),
}

impl Verified {
    pub(super) fn refused(refusal: Refusal, payer: Option<String>) -> Self {
        Self::Invalid {
            reason: refusal.reason.code().to_owned(),
            message: refusal.message,
            payer,
        }
    }

    pub(super) fn no_books(error: &LedgerError) -> Self {
        tracing::error!(%error, "the ledger refused");
        Self::NoBooks
    }

    pub(super) fn into_response(self, speech: &Speech) -> Response<Body> {
        let mut body = VerifyResponse {
            is_valid: false,
            invalid_reason: None,
            invalid_message: None,
            payer: None,
            extensions: None,
            extra: None,
        };
        let mut status = StatusCode::OK;
        match self {
            Self::Valid { payer } => {
                body.is_valid = true;
                body.payer = payer;
            }
            Self::Invalid {
                reason,
                message,
                payer,
            } => {
                body.invalid_reason = Some(speech.code(reason));
                body.invalid_message = Some(message);
                body.payer = payer;
            }
            Self::TooMuch(after) => {
                body.invalid_reason = Some(Reason::UnexpectedVerify.code().to_owned());
                body.invalid_message = Some(TOO_MUCH.to_owned());
                return too_much(after, &body);
            }
            Self::NoBooks => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                body.invalid_reason = Some(Reason::UnexpectedVerify.code().to_owned());
                body.invalid_message = Some(NO_BOOKS.to_owned());
            }
        }
        with_retry(json_answer(status, written(&body)))
    }
}

/// Answer of `/settle`.
pub(super) enum Settled {
    /// `success: true`.
    Yes {
        transaction: String,
        /// Where one caller alone is owed this answer.
        owed: Option<Owed>,
    },
    /// `success: false`, and the money has not moved or this caller is not owed the answer.
    No {
        reason: String,
        message: String,
        /// Where one was sent.
        transaction: Option<String>,
    },
    /// Nothing was settled, and nobody could write it down.
    NoBooks,
    /// The key of another request: 409.
    KeyReused,
    /// Too much of what this caller asked was in vain.
    TooMuch(RetryAfterS),
}

impl Settled {
    pub(super) fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self::No {
            reason: reason.code().to_owned(),
            message: message.into(),
            transaction: None,
        }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        match refusal.reason {
            // What could not be verified was not settled.
            Reason::UnexpectedVerify => Self::no(Reason::UnexpectedSettle, refusal.message),
            reason => Self::no(reason, refusal.message),
        }
    }

    pub(super) fn no_books(error: &LedgerError) -> Self {
        tracing::error!(%error, "the ledger refused");
        Self::NoBooks
    }

    /// The answer as the caller speaks.
    pub(super) fn into_response(self, speech: &Speech, payer: Option<String>) -> Response<Body> {
        let mut body = SettleResponse {
            success: false,
            transaction: String::new(),
            network: speech.network.clone(),
            error_reason: None,
            error_message: None,
            payer,
            amount: None,
            extensions: None,
            extra: None,
        };
        let mut status = StatusCode::OK;
        match self {
            Self::Yes { transaction, owed } => {
                body.success = true;
                body.transaction = transaction;
                let text = written(&body);
                return json_answer(
                    StatusCode::OK,
                    match owed {
                        Some(owed) => owed.into_body(text.into()),
                        None => text.into(),
                    },
                );
            }
            Self::No {
                reason,
                message,
                transaction,
            } => {
                body.error_reason = Some(speech.code(reason));
                body.error_message = Some(message);
                body.transaction = transaction.unwrap_or_default();
            }
            Self::NoBooks => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                body.error_reason = Some(Reason::UnexpectedSettle.code().to_owned());
                body.error_message = Some(NO_BOOKS.to_owned());
            }
            Self::TooMuch(after) => {
                body.error_reason = Some(Reason::UnexpectedSettle.code().to_owned());
                body.error_message = Some(TOO_MUCH.to_owned());
                return too_much(after, &body);
            }
            Self::KeyReused => {
                return problem(
                    StatusCode::CONFLICT,
                    "idempotency_key_reused",
                    "this Idempotency-Key came with another body; a key belongs to one payment",
                );
            }
        }
        with_retry(json_answer(status, written(&body)))
    }
}

/// 429, with the time to wait. It is a verdict, for clients that read nothing else, and a problem.
/// The verdict's reason is our own trouble: the payment may be good, and another facilitator may
/// be asked.
fn too_much(RetryAfterS(after_s): RetryAfterS, verdict: &impl serde::Serialize) -> Response<Body> {
    // Our own types always have a JSON form.
    let mut fields = serde_json::to_value(verdict).unwrap_or_default();
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("error".to_owned(), "too_many_requests".into());
        fields.insert("message".to_owned(), TOO_MUCH.into());
    }
    let mut answer = json_answer(StatusCode::TOO_MANY_REQUESTS, fields.to_string());
    answer.headers_mut().insert(RETRY_AFTER, after_s.into());
    answer
}

/// A body that cannot be read.
pub(super) fn malformed(why: &str) -> Response<Body> {
    problem(
        StatusCode::BAD_REQUEST,
        Reason::InvalidPayload.code(),
        &format!("the body is not {{x402Version, paymentPayload, paymentRequirements}}: {why}"),
    )
}

fn written(body: &impl serde::Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(ANSWER_LEN);
    // Our own types always have a JSON form.
    match serde_json::to_writer(&mut text, body) {
        Ok(()) => text,
        Err(_) => Vec::new(),
    }
}
