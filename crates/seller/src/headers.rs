//! Which headers never pass through a seller, in either direction (ARCHITECTURE law 12), and what is
//! added to a paid answer.

use std::borrow::Cow;

use axum::body::Body;
use bytes::BytesMut;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Uri};

use farebox_wire::auth;
use farebox_wire::l402::{Scheme, credential};
use farebox_wire::x402;

/// Headers of payment protocols. What is behind a price neither sees a credential nor speaks for
/// the seller.
const PAYMENT_HEADERS: [&str; 6] = [
    x402::PAYMENT_SIGNATURE,
    x402::PAYMENT_REQUIRED,
    x402::PAYMENT_RESPONSE,
    x402::X_PAYMENT,
    x402::X_PAYMENT_RESPONSE,
    // The reference SDKs let a handler change the amount with it; ours do not.
    "settlement-overrides",
];
/// By which some servers take another method than the one in the request line (Express, Rails,
/// Symfony and others).
const METHOD_OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];
/// By which some servers take another path than the one in the request line (IIS, Symfony, Zend), or
/// put something in front of it (Spring).
const PATH_OVERRIDES: [&str; 5] = [
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-forwarded-prefix",
];
/// Starts of names that servers in front of a program decide by. With underscores they would reach it
/// beside the real ones.
const MEANT_WITH_HYPHENS: [&str; 5] = [
    "x-forwarded-",
    "x-real-ip",
    "content-length",
    "content-type",
    "transfer-encoding",
];
/// Our own.
const OWN_PREFIX: &str = "farebox-";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What shared caches believe before Cache-Control (RFC 9213, Edge Architecture, nginx).
const FOR_SHARED_CACHES: [&str; 2] = ["surrogate-control", "x-accel-expires"];
/// `CDN-Cache-Control` and what vendors put in front of it.
const CDN_SUFFIX: &str = "cdn-cache-control";

/// Copies what a request says out of the buffer of its connection. Whoever waits for a settlement would
/// keep all of that, and hyper would need another one meanwhile.
pub(crate) fn leave_buffer(request: &mut Request<Body>) {
    let headers = request.headers_mut();
    let mut all = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values_mut() {
        all.extend_from_slice(value.as_bytes());
        // The same bytes as before: they cannot be refused.
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(all.split().freeze()) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
    // What does not come out the same stays as it is.
    let copy = Uri::try_from(request.uri().to_string());
    if let Ok(copy) = copy
        && copy == *request.uri()
    {
        *request.uri_mut() = copy;
    }
}

/// Whether a header asks for another method than the one that has a price.
pub(crate) fn overrides_method(headers: &HeaderMap) -> bool {
    let mut names = headers.keys();
    names.any(|name| METHOD_OVERRIDES.contains(&read_by_cgi(name.as_str()).as_ref()))
}

/// Makes a request's headers fit for what is behind the price: no payment, nothing of ours, and no
/// other path than the one that was matched.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    remove_where(headers, |name| {
        let read = read_by_cgi(name);
        let is_disguised = || {
            MEANT_WITH_HYPHENS
                .iter()
                .any(|meant| read.starts_with(meant))
        };
        is_payment_header(&read)
            || PATH_OVERRIDES.contains(&read.as_ref())
            || (matches!(read, Cow::Owned(_)) && is_disguised())
    });
    strip_tokens(headers);
}

/// A name as it arrives behind CGI, WSGI and PHP, which take `_` and `-` for one.
fn read_by_cgi(name: &str) -> Cow<'_, str> {
    match name.contains('_') {
        true => Cow::Owned(name.replace('_', "-")),
        false => Cow::Borrowed(name),
    }
}

/// Removes every payment header and every `Farebox-*`; of those that other protocols use as well,
/// what they say of payments.
pub(crate) fn strip(headers: &mut HeaderMap) {
    remove_where(headers, is_payment_header);
    if headers.contains_key(WWW_AUTHENTICATE) {
        remove_values(headers, &WWW_AUTHENTICATE, asks_for_payment);
    }
}

/// Removes tokens with their preimages. Other schemes of `Authorization`, and macaroons that are meant
/// for what is behind the price, stay.
fn strip_tokens(headers: &mut HeaderMap) {
    if headers.contains_key(AUTHORIZATION) {
        remove_values(headers, &AUTHORIZATION, |value| {
            is_token(&AUTHORIZATION, value)
        });
    }
    let carriers: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_metadata(name))
        .cloned()
        .collect();
    for name in carriers {
        remove_values(headers, &name, |value| is_token(&name, value));
    }
}

/// The first header with a token of L402.
pub(crate) fn token_in(headers: &HeaderMap) -> Option<&HeaderValue> {
    let tokens = headers.iter().filter(|(name, value)| is_token(name, value));
    tokens.map(|(_, value)| value).next()
}

fn is_metadata(name: &HeaderName) -> bool {
    credential::METADATA.iter().any(|other| name == other)
}

/// Whether a header carries a token, readable or not.
fn is_token(name: &HeaderName, value: &HeaderValue) -> bool {
    if name == AUTHORIZATION {
        let is_token = |line| {
            let line = auth::authorization(line);
            line.is_some_and(|line| Scheme::from_name(line.scheme).is_some())
        };
        let value = value.as_bytes();
        // A proxy may have folded several lines into one.
        let mut start = 0;
        for comma in memchr::memchr_iter(b',', value) {
            if value.get(start..comma).is_some_and(is_token) {
                return true;
            }
            start = comma.saturating_add(1);
        }
        return value.get(start..).is_some_and(is_token);
    }
    if !is_metadata(name) {
        return false;
    }
    let only_this = |other: &str| (name == other).then_some(value.as_bytes());
    credential::read(only_this).is_ok_and(|found| found.is_some())
}

/// Whether a challenge speaks L402: only the seller does.
fn asks_for_payment(value: &HeaderValue) -> bool {
    let said = auth::challenges([value.as_bytes()]);
    let readable = said
        .challenges
        .iter()
        .map(|challenge| Some(&challenge.scheme));
    let broken = said.unreadable.iter().map(|broken| broken.scheme.as_ref());
    let mut schemes = readable.chain(broken).flatten();
    schemes.any(|scheme| Scheme::from_name(scheme).is_some())
}

/// Removes some of the values of a header; each is looked at once.
fn remove_values(
    headers: &mut HeaderMap,
    name: &HeaderName,
    is_unwanted: impl Fn(&HeaderValue) -> bool,
) {
    let mut count = 0_usize;
    let wanted = |value: &&HeaderValue| {
        count = count.saturating_add(1);
        !is_unwanted(value)
    };
    let kept: Vec<HeaderValue> = headers
        .get_all(name)
        .iter()
        .filter(wanted)
        .cloned()
        .collect();
    if kept.len() == count {
        return;
    }
    headers.remove(name);
    for value in kept {
        headers.append(name, value);
    }
}

/// Whether a header, by its name in lower case, is one of a payment protocol or our own: such a one
/// never passes through a seller.
#[must_use]
pub fn is_payment_header(name: &str) -> bool {
    PAYMENT_HEADERS.contains(&name) || name.starts_with(OWN_PREFIX)
}

/// Whether a head or trailers hold the outcome of a call of gRPC, and it is not good.
pub(crate) fn says_that_grpc_failed(headers: &HeaderMap) -> bool {
    headers
        .get(&GRPC_STATUS)
        .is_some_and(|status| status.as_bytes() != b"0")
}

/// Looks at each name once: most requests have nothing that must go, and names are cheaper to
/// compare than to look up.
fn remove_where(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    // No allocation until there is something to remove.
    let unwanted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// Keeps shared caches from serving a paid answer to others.
pub(crate) fn make_private(headers: &mut HeaderMap) {
    remove_where(headers, |name| {
        FOR_SHARED_CACHES.contains(&name) || name.ends_with(CDN_SUFFIX)
    });
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        return;
    }
    let said: Vec<String> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_owned())
        .filter(|directive| !directive.is_empty() && !is_for_shared_caches(directive))
        .chain(std::iter::once("private".to_owned()))
        .collect();
    let value = HeaderValue::try_from(said.join(", "))
        .unwrap_or_else(|_| HeaderValue::from_static("private"));
    headers.insert(CACHE_CONTROL, value);
}

fn is_for_shared_caches(directive: &str) -> bool {
    let name = directive.split('=').next().unwrap_or_default().trim();
    ["public", "private", "s-maxage"]
        .iter()
        .any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
