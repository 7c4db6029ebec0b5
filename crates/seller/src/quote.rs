//! The 402: what a route costs and how to pay it, written once per route.
//!
//! One answer speaks both versions of x402: version 2 in the header, version 1 in the body, for
//! the offers that version 1 has words for. A client of version 2 does not look at the body.
//!
//! Called by the layer for every request without a credential, so it reads no clock, no ledger
//! and no rail (law 9). The resource's URL is the seller's own origin and the request's path;
//! the `Host` header is never believed.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use farebox_core::rail::SellerOffer;
use farebox_wire::money::Amount;
use farebox_wire::x402;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentRequired, ResourceInfo};
use farebox_wire::x402::v1::{self, PaymentRequirementsV1};
use http::header::HeaderName;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::answer::json_answer;
use crate::config::{Protocol, Route, SellerError};
use crate::path::PATH_BYTES_MAX;

/// Bytes of the encoded challenge, without the path, that we write: nginx reads 8 KiB of
/// response headers, and others must fit beside this one.
const CHALLENGE_BYTES_MAX: usize = 6 * 1024;
/// Stands where the URL goes. The quotes and the key keep it apart from any text inside a JSON
/// string.
const HOLE_URL: &str = "farebox:here";
/// The URL in version 2, and of each offer in version 1.
const HOLES: [&str; 2] = ["\"url\":\"farebox:here\"", "\"resource\":\"farebox:here\""];
/// 1 sat has a thousand millisatoshi.
const MSAT_DECIMALS: u8 = 3;
const PAYMENT_REQUIRED: HeaderName = HeaderName::from_static(x402::PAYMENT_REQUIRED);

/// A route's challenge.
pub(crate) struct Quote {
    public_url: String,
    required: PaymentRequired,
    /// The offers that version 1 has words for, their URL left open.
    offers_v1: Vec<PaymentRequirementsV1>,
    cost: String,
    ways: Ways,
    header: Template,
    body: Template,
    /// Both, where the route covers one path only.
    fixed: Option<(HeaderValue, Bytes)>,
}

impl Quote {
    /// Writes the challenge.
    pub(crate) fn new(
        public_url: &str,
        route: &Route,
        offers: &[SellerOffer],
    ) -> Result<Self, SellerError> {
        let required = PaymentRequired {
            x402_version: x402::VERSION,
            error: Some(Reason::PaymentRequired.code().to_owned()),
            resource: ResourceInfo {
                url: HOLE_URL.to_owned(),
                description: route.description.clone(),
                mime_type: route.mime_type.clone(),
                ..ResourceInfo::default()
            },
            accepts: offers.iter().map(|offer| offer.raw.clone()).collect(),
            extensions: None,
        };
        let offers_v1: Vec<_> = offers
            .iter()
            .filter_map(|offer| PaymentRequirementsV1::of(&offer.requirements, &required.resource))
            .collect();
        let cost = match route.price_msat {
            Some(msat) => sats(msat),
            None => format!("{} USD", route.price),
        };
        let ways = Ways {
            x402: !offers.is_empty(),
            l402: route.accept.contains(&Protocol::L402),
        };
        let broken = |why: &str| SellerError::Challenge(route.id.clone(), why.to_owned());
        let header_json = serde_json::to_string(&required).map_err(|e| broken(&e.to_string()))?;
        let message = first_message(&cost, &offers_v1, ways);
        let body_json = body(&required, &offers_v1, "payment_required", &message, ways)
            .map_err(|e| broken(&e.to_string()))?;
        let mut quote = Self {
            public_url: public_url.to_owned(),
            header: Template::new(&header_json).ok_or_else(|| broken("no URL"))?,
            body: Template::new(&body_json).ok_or_else(|| broken("no URL"))?,
            required,
            offers_v1,
            cost,
            ways,
            fixed: None,
        };
        let bytes = quote.header_text("").len();
        if bytes > CHALLENGE_BYTES_MAX {
            return Err(SellerError::ChallengeTooLong(route.id.clone(), bytes));
        }
        quote.fixed = route
            .matcher
            .exact_path()
            .and_then(|path| quote.first_parts(path));
        Ok(quote)
    }

    /// The first challenge: nothing was presented.
    pub(crate) fn first(&self, path: &str) -> Response<Body> {
        match self.fixed.clone().or_else(|| self.first_parts(path)) {
            Some((header, body)) => self.answer(header, body),
            None => self.refusal(path, Reason::PaymentRequired.code(), &self.cost),
        }
    }

    /// A challenge after a rejection: the same offers, and what was wrong.
    pub(crate) fn refusal(&self, path: &str, reason: &str, message: &str) -> Response<Body> {
        let mut required = self.required.clone();
        required.resource.url = self.url(path);
        required.error = Some(reason.to_owned());
        let mut offers_v1 = self.offers_v1.clone();
        for offer in &mut offers_v1 {
            offer.resource.clone_from(&required.resource.url);
        }
        let body = body(&required, &offers_v1, reason, message, self.ways).unwrap_or_default();
        match x402::header::encode(&required).map(HeaderValue::try_from) {
            Ok(Ok(header)) => self.answer(header, body.into()),
            // Base64 is always a header value; the body says the same in any case.
            _ => json_answer(StatusCode::PAYMENT_REQUIRED, body),
        }
    }

    /// Whether it holds offers of x402.
    pub(crate) const fn speaks_x402(&self) -> bool {
        self.ways.x402
    }

    fn answer(&self, header: HeaderValue, body: Bytes) -> Response<Body> {
        let mut response = json_answer(StatusCode::PAYMENT_REQUIRED, body);
        if self.ways.x402 {
            response.headers_mut().insert(PAYMENT_REQUIRED, header);
        }
        response
    }

    /// Whether `url`, echoed by a client, is on this seller's origin; then its path.
    pub(crate) fn path_of<'a>(&self, url: &'a str) -> Option<&'a str> {
        let rest = url.strip_prefix(self.public_url.as_str())?;
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        match path {
            "" => Some("/"),
            path => path.starts_with('/').then_some(path),
        }
    }

    fn first_parts(&self, path: &str) -> Option<(HeaderValue, Bytes)> {
        let header = HeaderValue::try_from(self.header_text(path)).ok()?;
        Some((header, self.body.fill(&self.url(path)).into()))
    }

    fn header_text(&self, path: &str) -> String {
        STANDARD.encode(self.header.fill(&self.url(path)))
    }

    fn url(&self, path: &str) -> String {
        debug_assert!(path.len() <= PATH_BYTES_MAX);
        format!("{}{path}", self.public_url)
    }
}

/// Whether an offer can be made in version 1 too.
pub(crate) fn has_words_in_version_1(offer: &SellerOffer) -> bool {
    PaymentRequirementsV1::of(&offer.requirements, &ResourceInfo::default()).is_some()
}

/// JSON with holes for the resource's URL: what stands before, between and after them.
struct Template {
    pieces: Vec<String>,
}

impl Template {
    /// `None` where there is no hole.
    fn new(json: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = json;
        while let Some((at, hole)) = next_hole(rest) {
            let (before, from) = rest.split_at(at);
            let (key, _) = hole.split_at(hole.len() - HOLE_URL.len() - 2);
            pieces.push([before, key].concat());
            rest = from.strip_prefix(hole)?;
        }
        if pieces.is_empty() {
            return None;
        }
        pieces.push(rest.to_owned());
        Some(Self { pieces })
    }

    fn fill(&self, url: &str) -> String {
        self.pieces.join(&Value::from(url).to_string())
    }
}

/// The first hole and where it begins.
fn next_hole(json: &str) -> Option<(usize, &'static str)> {
    let found = HOLES
        .iter()
        .filter_map(|hole| Some((json.find(hole)?, *hole)));
    found.min_by_key(|(at, _)| *at)
}

/// How a route may be paid.
#[derive(Clone, Copy)]
struct Ways {
    x402: bool,
    l402: bool,
}

/// Millisatoshi as people read them: `10 sat`, `1.5 sat`.
fn sats(msat: Amount) -> String {
    format!("{} sat", msat.to_decimal_string(MSAT_DECIMALS))
}

fn first_message(cost: &str, offers_v1: &[PaymentRequirementsV1], ways: Ways) -> String {
    const L402: &str = "pay the invoice of WWW-Authenticate and send the request again with \
                        `Authorization: L402 <token>:<preimage>`";
    if !ways.x402 {
        return format!("this costs {cost}: {L402}");
    }
    let how = match offers_v1 {
        [] => "sign one of `accepts` and send the request again with the header PAYMENT-SIGNATURE",
        _ => {
            "sign one of `accepts` and send the request again with the header X-PAYMENT, or an \
             offer of the header PAYMENT-REQUIRED with PAYMENT-SIGNATURE"
        }
    };
    match ways.l402 {
        true => format!("this costs {cost}: {how}; or {L402}"),
        false => format!("this costs {cost} per request: {how}"),
    }
}

/// The challenge for clients of version 1, and for people and programs that read no headers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadableChallenge<'a, T> {
    error: &'a str,
    message: &'a str,
    hint: &'static str,
    x402_version: u64,
    /// In version 1 each offer has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a ResourceInfo>,
    accepts: &'a [T],
}

/// The same where there are no offers of x402: the invoice stands in the header.
#[derive(Serialize)]
struct ReadableInvoice<'a> {
    error: &'a str,
    message: &'a str,
    hint: &'static str,
    resource: &'a ResourceInfo,
}

/// In version 1 where that has words for an offer; else the header once more.
fn body(
    required: &PaymentRequired,
    offers_v1: &[PaymentRequirementsV1],
    code: &str,
    message: &str,
    ways: Ways,
) -> Result<String, serde_json::Error> {
    if !ways.x402 {
        let hint = "`farebox fetch URL` and every L402 client pay this";
        return serde_json::to_string(&ReadableInvoice {
            error: code,
            message,
            hint,
            resource: &required.resource,
        });
    }
    let hint = "`farebox fetch URL` and every x402 client pay this; see https://x402.org";
    match offers_v1 {
        [] => serde_json::to_string(&ReadableChallenge {
            error: code,
            message,
            hint,
            x402_version: required.x402_version,
            resource: Some(&required.resource),
            accepts: &required.accepts,
        }),
        offers => serde_json::to_string(&ReadableChallenge {
            error: code,
            message,
            hint,
            x402_version: v1::VERSION,
            resource: None,
            accepts: offers,
        }),
    }
}
