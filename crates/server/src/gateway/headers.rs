//! Which headers end at the gate, and which it writes itself.
//!
//! Called by the proxy for both directions. What a client says about its own address is thrown
//! away: there are no trusted proxies in front of the gate yet.

use std::net::IpAddr;

use http::header::{CONNECTION, EXPECT, HOST, HeaderName, UPGRADE};
use http::{HeaderMap, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers for one connection only (RFC 9110 §7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What upstreams believe about the client.
const ABOUT_THE_CLIENT: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-real-ip",
];

/// What is never for one connection alone, besides payment headers and [`ABOUT_THE_CLIENT`]. A client
/// that has `Connection` name one would have it removed on the way, though a proxy in front of the
/// gate, or the gate itself, had put it there.
const FOR_ALL: [&str; 11] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "origin",
    "range",
    "sec-websocket-key",
    "sec-websocket-version",
];

/// Whether `Connection` names a header that is for everybody on the way.
pub(crate) fn names_what_is_for_all(headers: &HeaderMap) -> bool {
    let is_for_all = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        let mut known = FOR_ALL.iter().chain(&ABOUT_THE_CLIENT);
        known.any(|known| *known == name) || farebox_seller::is_payment_header(&name)
    };
    values(headers, &CONNECTION).any(is_for_all)
}

/// Removes the headers that belong to one connection.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip(headers, |name| HOP_BY_HOP.contains(&name));
}

/// Removes those that are unwanted, and those that `Connection` names. Each name is looked at once:
/// that is cheaper than looking fifteen names up in a map that has none of them.
fn strip(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let named =
        values(headers, &CONNECTION).filter_map(|name| HeaderName::try_from(name.trim()).ok());
    let unwanted = headers
        .keys()
        .filter(|name| is_unwanted(name.as_str()))
        .cloned();
    let gone: Vec<HeaderName> = named.chain(unwanted).collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Makes a client's headers fit for the upstream, whose name is `host`.
pub(crate) fn for_upstream(headers: &mut HeaderMap, peer: Option<IpAddr>, host: &HeaderValue) {
    // The gate itself asks the client for the body when the upstream starts to read it.
    strip(headers, |name| {
        HOP_BY_HOP.contains(&name) || ABOUT_THE_CLIENT.contains(&name) || name == EXPECT
    });
    if let Some(asked) = headers.insert(HOST, host.clone()) {
        headers.insert(X_FORWARDED_HOST, asked);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(Ok(peer)) = peer.map(|ip| HeaderValue::try_from(ip.to_string())) {
        headers.insert(X_FORWARDED_FOR, peer);
    }
}

/// Asks for a WebSocket, or says that there is one: both headers end at every connection, so the
/// gate writes its own.
pub(crate) fn say_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether the list in `name` has `wanted`, in any case.
pub(crate) fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    values(headers, name).any(|listed| listed.trim().eq_ignore_ascii_case(wanted))
}

/// The items of all lists in `name`.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter();
    lines
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
