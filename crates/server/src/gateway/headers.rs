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

/// Removes the headers that belong to one connection.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip(headers, |name| HOP_BY_HOP.contains(&name));
}

/// Removes those that are unwanted, and those that `Connection` names. Each name is looked at once:
/// that is cheaper than looking fifteen names up in a map that has none of them.
fn strip(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let named = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok());
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

/// Whether a client wants to leave HTTP for a WebSocket.
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers
        .get_all(UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
