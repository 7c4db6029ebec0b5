//! From the call's URL along redirects to an answer, or to the place where a credential is shown.
//!
//! Redirects are followed before paying only, and a credential is attached at the one URL for
//! which it was signed: wherever else a redirect leads, it stays here (ARCHITECTURE law 11).

use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::purse::Ticket;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION,
};
use http::{HeaderMap, Method, StatusCode};
use reqwest::Response;
use url::Url;

use crate::call::Call;
use crate::options::REDIRECTS_MAX;
use crate::origin;
use crate::transport::{Hop, Transport};

/// Where a walk with a ticket ended.
pub(crate) enum Walked {
    /// At an answer to a request without a credential.
    Answered(Hop, Response),
    /// Before the request for which the ticket was signed: show it now.
    AtTheDoor(Hop),
}

/// Goes where a ticket belongs; on the way nothing is shown.
pub(crate) async fn to_door(
    transport: &Transport,
    call: &Call,
    ticket: &Ticket,
) -> Result<Walked, Fault> {
    let mut hop = first(call);
    for _ in 0..=REDIRECTS_MAX {
        if belongs(ticket, &hop.url) {
            return Ok(Walked::AtTheDoor(hop));
        }
        let response = transport.send(&hop, None).await?;
        match next(call, &hop, response.status(), response.headers()) {
            Some(next) => hop = next,
            None => return Ok(Walked::Answered(hop, response)),
        }
    }
    Err(too_many_redirects())
}

/// Whether a ticket was signed for this URL.
pub(crate) fn belongs(ticket: &Ticket, url: &Url) -> bool {
    let side = ticket.payment.buyer.as_ref();
    side.is_some_and(|side| side.url == origin::bare(url).as_str())
}

/// Whether an answer sends us elsewhere.
pub(crate) fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(LOCATION)
}

/// The first request of a call.
pub(crate) fn first(call: &Call) -> Hop {
    Hop {
        method: call.method.clone(),
        url: origin::without_fragment(&call.url),
        headers: call.headers.clone(),
        body: call.body.clone(),
        is_guarded: call.is_guarded(),
        max_time: call.max_time,
    }
}

pub(crate) fn too_many_redirects() -> Fault {
    Fault::harmless(
        "too_many_redirects",
        Kind::Network,
        Blame::Peer,
        format!("more than {REDIRECTS_MAX} redirects; fetch the last address itself"),
    )
}

/// The request that an answer sends us on with, where the call wants that.
pub(crate) fn next(call: &Call, hop: &Hop, status: StatusCode, headers: &HeaderMap) -> Option<Hop> {
    if !call.follow_redirects || !is_redirect(status, headers) {
        return None;
    }
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let url = origin::without_fragment(&hop.url.join(location).ok()?);
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let mut next = hop.clone();
    // What every browser does, and RFC 9110 §15.4 allows: a POST becomes a GET, except by 307
    // and 308.
    let turns_into_get = match status.as_u16() {
        303 => hop.method != Method::HEAD,
        301 | 302 => hop.method == Method::POST,
        _ => false,
    };
    if turns_into_get {
        next.method = Method::GET;
        next.body.clear();
        next.headers.remove(CONTENT_TYPE);
        next.headers.remove(CONTENT_LENGTH);
    }
    if !origin::is_same(&hop.url, &url) {
        for secret in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            next.headers.remove(secret);
        }
    }
    next.url = url;
    Some(next)
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
