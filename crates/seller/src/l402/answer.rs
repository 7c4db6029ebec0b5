//! What a buyer of L402 is told: the challenge, and why a token buys nothing.
//!
//! No credential, or one that was good once: 402. One that is not ours, or not for this: 401. Both
//! have a new challenge. Called by the layer and by `redeem`.

use axum::body::Body;
use farebox_wire::l402::credential::CredentialError;
use http::header::WWW_AUTHENTICATE;
use http::{Response, StatusCode};

use super::token::Bad;
use crate::answer::{problem, with_retry};
use crate::client::Prefix;
use crate::shop::{OpenRoute, Shop};

/// Why a token buys nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    status: StatusCode,
    /// Machine code.
    pub(crate) code: &'static str,
    message: String,
}

impl Denied {
    /// It was good once: buy another.
    pub(crate) fn over(code: &'static str, message: &str) -> Self {
        Self {
            status: StatusCode::PAYMENT_REQUIRED,
            code,
            message: message.to_owned(),
        }
    }

    fn wrong(code: &'static str, message: String) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code,
            message,
        }
    }

    /// What cannot be read, or only in two ways.
    pub(crate) fn unreadable(why: CredentialError) -> Self {
        match why {
            CredentialError::TwoCredentials
            | CredentialError::SeveralTokens
            | CredentialError::TooMany => Self {
                status: StatusCode::BAD_REQUEST,
                code: "several_credentials",
                message: why.to_string(),
            },
            CredentialError::NoToken
            | CredentialError::NoPreimage
            | CredentialError::Token
            | CredentialError::Preimage(_) => Self::wrong("token_unreadable", why.to_string()),
        }
    }

    pub(super) fn bad(why: &Bad) -> Self {
        let code = match why {
            Bad::Unreadable(_) => "token_unreadable",
            Bad::Preimage => "preimage_wrong",
            Bad::Forged => "token_forged",
            Bad::NotAllowed(_) | Bad::Lacks(_) | Bad::Tier { .. } => "token_not_allowed",
            Bad::Expired { .. } => {
                return Self::over("token_expired", &why.to_string());
            }
        };
        Self::wrong(code, why.to_string())
    }

    /// Whether the answer has a challenge.
    pub(crate) fn is_challenge(&self) -> bool {
        self.status != StatusCode::BAD_REQUEST
    }

    pub(crate) fn into_problem(self) -> Response<Body> {
        problem(self.status, self.code, &self.message)
    }
}

/// The challenge of a route that can be paid over L402, with what was wrong with the token that
/// came. Over both dialects where the route takes both.
pub(crate) async fn challenge(
    shop: &Shop,
    open: &OpenRoute,
    path: &str,
    prefix: Option<Prefix>,
    denied: Option<Denied>,
) -> Response<Body> {
    let Some(priced) = &open.price else {
        return problem(StatusCode::NOT_FOUND, "not_found", "nothing is for sale");
    };
    let (answer, status) = match denied {
        Some(denied) => (
            priced.quote.refusal(path, denied.code, &denied.message),
            denied.status,
        ),
        None => (priced.quote.first(path), StatusCode::PAYMENT_REQUIRED),
    };
    with_lines(shop, open, prefix, answer, status).await
}

/// Adds the lines of the route to a challenge, if it has some and they can be had now; and counts.
/// `status` is for an answer that has them: a 401 has to say how to do better.
pub(crate) async fn with_lines(
    shop: &Shop,
    open: &OpenRoute,
    prefix: Option<Prefix>,
    mut answer: Response<Body>,
    status: StatusCode,
) -> Response<Body> {
    let Some(priced) = &open.price else {
        return answer;
    };
    let speaks_x402 = priced.quote.speaks_x402();
    if speaks_x402 {
        open.counts.challenges.up();
    }
    let Some(offering) = &priced.l402 else {
        return answer;
    };
    match offering.lines(prefix, &shop.public_url).await {
        Some(lines) => {
            open.counts.l402_challenges.up();
            for line in lines {
                answer.headers_mut().append(WWW_AUTHENTICATE, line);
            }
            *answer.status_mut() = status;
            answer
        }
        None if speaks_x402 => answer,
        None => with_retry(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_invoice",
            "the seller has no invoice for you at the moment; nothing was charged, try again",
        )),
    }
}
