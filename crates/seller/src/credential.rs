//! From the bytes of a credential to the payment that it is: laws 7 and 8, as far as no chain is
//! needed.
//!
//! Called by `redeem` before anything else. Both versions of x402 end in the same examination, so
//! the same authorization has the same identity and digest in either dress and is bought once.

use std::sync::Arc;

use farebox_core::rail::{CollectRail, Examined, Refusal, SellerOffer, SignatureCheck};
use farebox_wire::x402::Version;
use farebox_wire::x402::header::{self, HeaderError};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::v1::PaymentPayloadV1;
use http::StatusCode;

use crate::answer::Refused;
use crate::buckets::Cost;
use crate::client::Meter;
use crate::shop::{OpenRoute, Priced, Shop};

type Found = (Arc<dyn CollectRail>, Examined);

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
    let now_s = shop.till.clock().now_s();
    match credential.version {
        Version::V1 => {
            let payload = PaymentPayloadV1::decode(&credential.bytes).map_err(unreadable)?;
            meter.may(Cost::BadSignature)?;
            answer_in_version_1(priced, &payload, now_s, meter)
        }
        Version::V2 => {
            let payload = header::decode_payment(&credential.bytes).map_err(unreadable)?;
            meter.may(Cost::BadSignature)?;
            answer_in_version_2(open, priced, &payload, now_s, meter)
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
    now_s: u64,
    meter: &Meter,
) -> Result<Found, Refused> {
    if !echoes_this_route(open, priced, payload) {
        return Err(no_match(
            "`resource.url` is not this resource; copy it from the challenge",
        ));
    }
    let (rail, offer) = priced.offer_for(&payload.accepted).ok_or_else(|| {
        no_match("`accepted` is not an offer of this resource; copy it from the challenge")
    })?;
    match rail.examine(payload, offer, now_s) {
        Ok(examined) => Ok((Arc::clone(rail), examined)),
        Err(refusal) => Err(meter.charged(refusal)),
    }
}

/// A credential of version 1 names no asset. Where offers differ in nothing else, the one is
/// answered whose signature is good: it is over the token's own name and address.
fn answer_in_version_1(
    priced: &Priced,
    payload: &PaymentPayloadV1,
    now_s: u64,
    meter: &Meter,
) -> Result<Found, Refused> {
    let mut undecided = None;
    let mut first_refusal = None;
    for (rail, offer) in priced.offers_in_version_1(payload) {
        match examine_as(rail, offer, payload, now_s) {
            Ok(examined) if examined.signature == SignatureCheck::Good => {
                return Ok((Arc::clone(rail), examined));
            }
            Ok(examined) => {
                undecided.get_or_insert_with(|| (Arc::clone(rail), examined));
            }
            Err(refusal) => {
                first_refusal.get_or_insert(refusal);
            }
        }
    }
    match (undecided, first_refusal) {
        (Some(found), _) => Ok(found),
        (None, Some(refusal)) => Err(meter.charged(refusal)),
        (None, None) => Err(no_match(
            "scheme and network are of no offer in x402 version 1 of this resource; send \
             PAYMENT-SIGNATURE, or sign one of `accepts`",
        )),
    }
}

fn examine_as(
    rail: &Arc<dyn CollectRail>,
    offer: &SellerOffer,
    payload: &PaymentPayloadV1,
    now_s: u64,
) -> Result<Examined, Refusal> {
    rail.examine(&payload.answering(offer.raw.clone()), offer, now_s)
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
