//! From the bytes of a credential to the payment that it is: laws 7 and 8, as far as no chain is
//! needed.
//!
//! Called by `redeem` before anything else. Both versions of x402 end in the same examination, so
//! the same authorization has the same identity and digest in either dress and is bought once.

use std::sync::Arc;

use farebox_core::rail::{CollectRail, Examined, Refusal, SignatureCheck};
use farebox_wire::x402::Version;
use farebox_wire::x402::header::{self, HeaderError};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::v1::PaymentPayloadV1;
use http::StatusCode;

use crate::answer::Refused;
use crate::buckets::Cost;
use crate::client::Meter;
use crate::config::SettleWhen;
use crate::epoch::{Answerable, MadeOffer};
use crate::shop::{OpenRoute, Priced, Shop};

/// The offer that a credential answers, and what is known of it.
pub(crate) struct Found {
    pub(crate) rail: Arc<dyn CollectRail>,
    pub(crate) examined: Examined,
    /// When it is settled, as the offer says.
    pub(crate) settle: SettleWhen,
    /// Whether the offer is over, so that it may only be a payment that is known.
    pub(crate) is_over: bool,
}

/// A credential as it came.
pub(crate) struct Credential {
    /// By the header that it came in.
    pub(crate) version: Version,
    pub(crate) bytes: Vec<u8>,
}

/// Finds the offer that a credential answers, and checks all that needs no chain.
pub(crate) fn examine(
    shop: &Shop,
    open: &OpenRoute,
    credential: &Credential,
    meter: &Meter,
) -> Result<Found, Refused> {
    let Some(priced) = &open.price else {
        return Err(no_match("this route is free; send no payment"));
    };
    let now_ms = shop.till.clock().now_ms();
    match credential.version {
        Version::V1 => {
            let payload = PaymentPayloadV1::decode(&credential.bytes).map_err(unreadable)?;
            meter.may(Cost::BadSignature)?;
            answer_in_version_1(priced, &payload, now_ms, meter)
        }
        Version::V2 => {
            let payload = header::decode_payment(&credential.bytes).map_err(unreadable)?;
            meter.may(Cost::BadSignature)?;
            answer_in_version_2(open, priced, &payload, now_ms, meter)
        }
    }
}

fn unreadable(error: HeaderError) -> Refused {
    match error {
        HeaderError::TooLong { .. } => Refused::Problem {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            code: "payment_header_too_long",
            message: error.to_string(),
        },
        HeaderError::Version(_) => Refused::challenge(
            Reason::InvalidX402Version,
            "PAYMENT-SIGNATURE carries x402 version 2, X-PAYMENT version 1; send the credential \
             in its own header",
        ),
        _ => Refused::challenge(Reason::InvalidPayload, error.to_string()),
    }
}

fn no_match(message: &str) -> Refused {
    Refused::challenge(Reason::NoMatchingRequirements, message)
}

fn answer_in_version_2(
    open: &OpenRoute,
    priced: &Priced,
    payload: &PaymentPayload,
    now_ms: u64,
    meter: &Meter,
) -> Result<Found, Refused> {
    if !echoes_this_route(open, priced, payload) {
        return Err(no_match(
            "`resource.url` is not this resource; copy it from the challenge",
        ));
    }
    let offered = priced.epochs.offer_for(&payload.accepted, now_ms);
    let offered = offered.ok_or_else(not_offered)?;
    let MadeOffer { rail, offer } = offered.made;
    match rail.examine(payload, offer, now_ms / 1_000) {
        Ok(examined) => Ok(found(offered, examined)),
        Err(refusal) => {
            let refused = meter.charged(refusal);
            Err(if offered.is_over {
                not_offered()
            } else {
                refused
            })
        }
    }
}

/// A credential of version 1 names no asset. Where offers differ in nothing else, the one is
/// answered whose signature is good: it is over the token's own name and address.
fn answer_in_version_1(
    priced: &Priced,
    payload: &PaymentPayloadV1,
    now_ms: u64,
    meter: &Meter,
) -> Result<Found, Refused> {
    let mut undecided = None;
    let mut first_refusal = None;
    for offered in priced.epochs.offers_in_version_1(payload, now_ms) {
        match examine_as(offered.made, payload, now_ms / 1_000) {
            Ok(examined) if examined.signature == SignatureCheck::Good => {
                return Ok(found(offered, examined));
            }
            Ok(examined) => {
                undecided.get_or_insert_with(|| found(offered, examined));
            }
            // What is over refuses nothing that is offered now.
            Err(_) if offered.is_over => {}
            Err(refusal) => {
                first_refusal.get_or_insert(refusal);
            }
        }
    }
    match (undecided, first_refusal) {
        (Some(undecided), _) => Ok(undecided),
        (None, Some(refusal)) => Err(meter.charged(refusal)),
        (None, None) => Err(no_match(
            "scheme and network are of no offer in x402 version 1 of this resource; send \
             PAYMENT-SIGNATURE, or sign one of `accepts`",
        )),
    }
}

fn examine_as(
    made: &MadeOffer,
    payload: &PaymentPayloadV1,
    now_s: u64,
) -> Result<Examined, Refusal> {
    let MadeOffer { rail, offer } = made;
    rail.examine(&payload.answering(offer.raw.clone()), offer, now_s)
}

fn found(offered: Answerable<'_>, examined: Examined) -> Found {
    Found {
        rail: Arc::clone(&offered.made.rail),
        examined,
        settle: offered.settle,
        is_over: offered.is_over,
    }
}

/// What answers no offer of now.
pub(crate) fn not_offered() -> Refused {
    no_match("`accepted` is not an offer of this resource; copy it from the challenge")
}

fn echoes_this_route(open: &OpenRoute, priced: &Priced, payload: &PaymentPayload) -> bool {
    match &payload.resource {
        None => true,
        Some(resource) => priced
            .quote
            .path_of(&resource.url)
            .is_some_and(|path| open.route.matcher.matches_path(path)),
    }
}
