//! Which headers end at the gate, and which it writes itself.
//!
//! Called by the proxy for both directions. What a client says about itself is thrown away, unless
//! it is a trusted proxy that says it.

use std::net::IpAddr;

use http::header::{
    CONNECTION, EXPECT, FORWARDED, HOST, HeaderName, SET_COOKIE, TE, TRAILER, UPGRADE,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue};

use crate::front::client::Client;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers for one connection only (RFC 9110 §7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// How all of what proxies say begins, but for `Forwarded` itself: who asked, how, and for some who is
/// signed in (`X-Forwarded-User`).
const X_FORWARDED: &str = "x-forwarded-";

/// The client's address in one word. It is never passed on: a proxy that does not write it hands
/// the client's own on, and nobody can tell the two apart.
const X_REAL_IP: &str = "x-real-ip";

/// Whether upstreams believe what stands there about the client.
fn is_about_the_client(name: &str) -> bool {
    name == FORWARDED.as_str() || name == X_REAL_IP || name.starts_with(X_FORWARDED)
}

/// What is never for one connection alone, besides payment headers and what is about the client. A client
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
        FOR_ALL.contains(&name.as_str())
            || is_about_the_client(&name)
            || farebox_seller::is_payment_header(&name)
    };
    values(headers, &CONNECTION).any(is_for_all)
}

/// Makes an upstream's headers fit for the client. Trailers are announced to those who take them.
pub(crate) fn for_client(headers: &mut HeaderMap, takes_trailers: bool) {
    strip(headers, |name| {
        HOP_BY_HOP.contains(&name) || (!takes_trailers && name == TRAILER)
    });
    if takes_trailers && let Some(announced) = joined(headers, &TRAILER) {
        headers.remove(TRAILER);
        let names = announced.split(',').map(str::trim);
        let names: Vec<&str> = names
            .filter(|name| !is_no_trailer(&name.to_ascii_lowercase()))
            .collect();
        if !names.is_empty()
            && let Ok(names) = HeaderValue::try_from(names.join(", "))
        {
            headers.insert(TRAILER, names);
        }
    }
}

/// Whether a name stands in no trailer of an answer: what frames, routes or pays.
fn is_no_trailer(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
        || FOR_ALL.contains(&name)
        || [TRAILER, SET_COOKIE, WWW_AUTHENTICATE]
            .iter()
            .any(|other| name == other)
        || is_about_the_client(name)
        || farebox_seller::is_payment_header(name)
}

/// Makes the trailers of an answer fit for the client.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers, is_no_trailer);
}

/// Whether a request says that its sender takes trailers.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    lists(headers, &TE, "trailers")
}

/// Asks for trailers, on behalf of a client that takes them.
pub(crate) fn say_trailers(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("te"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
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

/// Makes a client's headers fit for the upstream, whose name is `host`. What a trusted proxy says
/// about its client is passed on, with the proxy itself added; what anybody else says is replaced.
pub(crate) fn for_upstream(headers: &mut HeaderMap, client: Option<&Client>, host: &HeaderValue) {
    let is_trusted = client.is_some_and(|client| client.is_peer_trusted);
    // The gate itself asks the client for the body when the upstream starts to read it.
    strip(headers, |name| {
        HOP_BY_HOP.contains(&name)
            || name == EXPECT
            || name == TRAILER
            || name == X_REAL_IP
            || (!is_trusted && is_about_the_client(name))
    });
    if let Some(asked) = headers.insert(HOST, host.clone())
        && !(is_trusted && headers.contains_key(&X_FORWARDED_HOST))
    {
        headers.insert(X_FORWARDED_HOST, asked);
    }
    if !(is_trusted && headers.contains_key(&X_FORWARDED_PROTO)) {
        let is_tls = client.is_some_and(|client| client.is_tls);
        let ours = HeaderValue::from_static(if is_tls { "https" } else { "http" });
        headers.insert(X_FORWARDED_PROTO, ours);
    }
    let Some(client) = client else {
        return;
    };
    let peer = client.peer.ip().to_canonical();
    if is_trusted {
        add_hop(headers, client, peer);
    }
    if !headers.contains_key(&X_FORWARDED_FOR)
        && let Ok(peer) = HeaderValue::try_from(peer.to_string())
    {
        headers.insert(X_FORWARDED_FOR, peer);
    }
}

/// Adds the trusted proxy to the lists that it has sent, whichever those are; without the lists
/// where the gate itself does not believe them.
fn add_hop(headers: &mut HeaderMap, client: &Client, peer: IpAddr) {
    let node = match peer {
        IpAddr::V4(peer) => format!("for={peer}"),
        IpAddr::V6(peer) => format!("for=\"[{peer}]\""),
    };
    for (name, hop) in [(X_FORWARDED_FOR, peer.to_string()), (FORWARDED, node)] {
        let hops = joined(headers, &name).filter(|_| client.is_named);
        headers.remove(&name);
        if let Some(Ok(hops)) = hops.map(|hops| HeaderValue::try_from(format!("{hops}, {hop}"))) {
            headers.insert(name, hops);
        }
    }
}

/// All lines of a list as one; `None` where there is none, or one that is no text.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<&str> = lines
        .map(|line| line.to_str().ok())
        .collect::<Option<_>>()?;
    (!lines.is_empty()).then(|| lines.join(", "))
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
