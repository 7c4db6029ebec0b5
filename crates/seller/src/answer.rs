//! The answers that a seller gives itself, readable for programs and for people.
//!
//! Bodies are `{"error": code, "message": sentence}`; a 402 adds the offers. Nothing of it may be
//! cached. The servers answer with the same [`problem`].

use axum::body::Body;
use farebox_core::rail::{Refusal, Terms};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::SettleResponse;
use farebox_wire::x402::{Version, header};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::quote::Quote;
use crate::till::NotClaimed;
use crate::till::settle::{PENDING, Settlement, unsettled_receipt};

/// Seconds after which a buyer may ask again where somebody else is being served or a rail is
/// not reachable.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const UPSTREAM_FAILED: &str = "upstream_failed";
const ONE_AT_A_TIME: &str = "one_payment_at_a_time";
const TOO_MANY: &str = "too_many_bad_payments";

/// An answer that is no success: machine code and one sentence.
#[must_use]
pub fn problem(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({ "error": code, "message": message });
    json_answer(status, body.to_string())
}

/// An answer whose body is JSON, which nobody may keep.
#[must_use]
pub fn json_answer(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The same answer; a 503 says when to come again.
#[must_use]
pub fn with_retry(mut response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}

/// How what is behind a price can fail without an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFailed {
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
}

impl UpstreamFailed {
    /// For a request that has nothing to pay.
    pub(crate) fn into_response(self) -> Response<Body> {
        problem(
            self.status(),
            UPSTREAM_FAILED,
            "the service behind this seller failed",
        )
    }

    /// For a paid request; with the receipt where it has been settled.
    pub(crate) fn into_refused(self, receipt: Option<String>) -> Refused {
        Refused::Upstream {
            status: self.status(),
            receipt,
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Error => StatusCode::BAD_GATEWAY,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a request with a credential gets no paid answer.
#[derive(Debug)]
pub(crate) enum Refused {
    /// 402 with a challenge: pay in another way, or again.
    Challenge {
        /// Machine code.
        reason: String,
        /// For people.
        message: String,
    },
    /// 402 with `success: false` and no challenge: the settlement failed or is not decided, and
    /// whoever pays again now may pay twice.
    Settlement {
        /// The receipt that says so.
        receipt: Box<SettleResponse>,
    },
    /// 409: the same credential is being served at this moment.
    InFlight,
    /// 429: this client has caused too much work in vain.
    TooMany {
        /// When it may come again.
        retry_after_s: u64,
    },
    /// 409: another payment of this payer is open, and nobody knows whether he has enough for two.
    OneAtATime,
    /// 409 and the first receipt: the same credential was served.
    Delivered {
        /// As it was given then.
        receipt: Option<String>,
    },
    /// 502 or 500 and no charge: what is for sale has failed. With a receipt where it was paid
    /// for before.
    Upstream {
        /// 502 where it failed, 500 where it broke.
        status: StatusCode,
        /// Of an earlier settlement.
        receipt: Option<String>,
    },
    /// Anything else, as it stands.
    Problem {
        /// Status.
        status: StatusCode,
        /// Machine code.
        code: &'static str,
        /// For people.
        message: String,
    },
}

impl Refused {
    /// 402 with a challenge for a reason of the protocol.
    pub(crate) fn challenge(reason: Reason, message: impl Into<String>) -> Self {
        Self::Challenge {
            reason: reason.code().to_owned(),
            message: message.into(),
        }
    }

    /// What a rail refuses: the buyer's fault is a challenge, ours is a 503.
    pub(crate) fn by_rail(refusal: Refusal) -> Self {
        if refusal.is_ours {
            return Self::Problem {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: refusal.reason.code(),
                message: refusal.message,
            };
        }
        Self::challenge(refusal.reason, refusal.message)
    }

    /// The ledger could not be used: nothing is sold until it can.
    pub(crate) fn by_ledger(error: &farebox_core::ledger::LedgerError) -> Self {
        tracing::error!(%error, "the ledger refused");
        Self::Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "ledger_unavailable",
            message: "the seller's books cannot be written; nothing was charged, try again later"
                .to_owned(),
        }
    }

    /// Why there is no claim.
    pub(crate) fn by_till(why: NotClaimed) -> Self {
        match why {
            NotClaimed::Refused(refusal) => Self::by_rail(refusal),
            NotClaimed::Ledger(error) => Self::by_ledger(&error),
            // Only another process on the same ledger can have come between: ask again.
            NotClaimed::Repeat(_) => Self::InFlight,
            NotClaimed::OneAtATime => Self::OneAtATime,
            NotClaimed::Insufficient { left } => Self::challenge(
                Reason::InsufficientBalance,
                format!(
                    "the payer has {left} atomic units left for this; earlier payments hold the rest"
                ),
            ),
            NotClaimed::NoRandomness(why) => Self::Problem {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                code: "no_randomness",
                message: why,
            },
        }
    }

    /// How an attempt to settle ended that hands nothing over.
    pub(crate) fn by_settlement(terms: &Terms, settlement: Settlement) -> Self {
        match settlement {
            Settlement::Settled { receipt, .. } | Settlement::Delivered { receipt } => {
                Self::Delivered {
                    receipt: Some(receipt),
                }
            }
            Settlement::Rejected {
                reason,
                message,
                transaction,
            } => Self::unsettled(terms, transaction.as_ref(), &reason, &message),
            Settlement::Pending { transaction } => Self::pending(terms, transaction.as_ref()),
            Settlement::Unsent { message, .. } => Self::Problem {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "settlement_unavailable",
                message,
            },
            Settlement::LedgerFailed(error) => Self::by_ledger(&error),
        }
    }

    /// Paid with this credential was another request.
    pub(crate) fn used_elsewhere() -> Self {
        Self::challenge(
            Reason::AlreadyUsed,
            "this payment was used for another request; sign a new one",
        )
    }

    /// 402 `settlement_pending`: sent, and nobody knows yet.
    pub(crate) fn pending(terms: &Terms, transaction: Option<&String>) -> Self {
        Self::unsettled(
            terms,
            transaction,
            PENDING,
            "the payment was sent and is not confirmed yet; send the same credential again, do \
             not sign a new one",
        )
    }

    /// 402 with `success: false`.
    pub(crate) fn unsettled(
        terms: &Terms,
        transaction: Option<&String>,
        reason: &str,
        message: &str,
    ) -> Self {
        Self::Settlement {
            receipt: Box::new(unsettled_receipt(
                terms,
                transaction.map(String::as_str),
                reason,
                message,
            )),
        }
    }

    /// Whether the answer holds offers.
    pub(crate) const fn is_challenge(&self) -> bool {
        matches!(self, Self::Challenge { .. })
    }

    /// Machine code, for the log.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Challenge { reason, .. } => reason,
            Self::Settlement { receipt } => receipt.error_reason.as_deref().unwrap_or_default(),
            Self::InFlight => Reason::InFlight.code(),
            Self::OneAtATime => ONE_AT_A_TIME,
            Self::TooMany { .. } => TOO_MANY,
            Self::Delivered { .. } => Reason::AlreadyUsed.code(),
            Self::Upstream { .. } => UPSTREAM_FAILED,
            Self::Problem { code, .. } => code,
        }
    }

    /// The answer on the wire.
    pub(crate) fn into_response(
        self,
        quote: &Quote,
        path: &str,
        version: Version,
    ) -> Response<Body> {
        match self {
            Self::Challenge { reason, message } => quote.refusal(path, &reason, &message),
            Self::Settlement { receipt } => unsettled_answer(&receipt, version),
            Self::TooMany { retry_after_s } => {
                let mut response = problem(
                    StatusCode::TOO_MANY_REQUESTS,
                    TOO_MANY,
                    "too many payments from your network could not be collected; wait, then send \
                     a good one",
                );
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, retry_after_s.into());
                response
            }
            Self::InFlight => come_again(
                Reason::InFlight.code(),
                "a request with this payment is being served; wait, then send it again",
            ),
            Self::OneAtATime => come_again(
                ONE_AT_A_TIME,
                "another payment of this payer is not settled yet, and this seller takes one at a \
                 time; wait, then send the same credential again",
            ),
            Self::Delivered { receipt } => with_receipt(
                problem(
                    StatusCode::CONFLICT,
                    Reason::AlreadyUsed.code(),
                    "this payment was served already; its receipt is in the header",
                ),
                receipt.as_deref(),
                version,
            ),
            Self::Upstream { status, receipt } => {
                let message = match receipt {
                    Some(_) => {
                        "the service behind this price failed after it was paid; send the same credential again"
                    }
                    None => "the service behind this price failed; nothing was charged",
                };
                with_receipt(
                    problem(status, UPSTREAM_FAILED, message),
                    receipt.as_deref(),
                    version,
                )
            }
            Self::Problem {
                status,
                code,
                message,
            } => with_retry(problem(status, code, &message)),
        }
    }
}

/// 409: the same credential is good in a moment.
fn come_again(code: &str, message: &str) -> Response<Body> {
    let mut response = problem(StatusCode::CONFLICT, code, message);
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    response
}

fn unsettled_answer(receipt: &SettleResponse, version: Version) -> Response<Body> {
    let response = problem(
        StatusCode::PAYMENT_REQUIRED,
        receipt.error_reason.as_deref().unwrap_or_default(),
        receipt.error_message.as_deref().unwrap_or_default(),
    );
    let text = serde_json::to_string(receipt).unwrap_or_default();
    with_receipt(response, Some(&text), version)
}

/// Adds the receipt, kept as JSON text of version 2, as the header of the client's version.
pub(crate) fn with_receipt(
    mut response: Response<Body>,
    receipt: Option<&str>,
    version: Version,
) -> Response<Body> {
    let value = receipt.and_then(|json| {
        let text = match version {
            Version::V1 => {
                let receipt: SettleResponse = header::from_json(json.as_bytes()).ok()?;
                header::encode(&receipt.into_v1()).ok()?
            }
            Version::V2 => {
                let body: serde_json::Value = serde_json::from_str(json).ok()?;
                header::encode(&body).ok()?
            }
        };
        HeaderValue::try_from(text).ok()
    });
    if let Some(value) = value {
        let name = HeaderName::from_static(version.receipt_header());
        response.headers_mut().insert(name, value);
    }
    response
}
