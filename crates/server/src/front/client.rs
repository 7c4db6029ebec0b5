//! Who a request comes from, and who is believed to stand behind the proxies before us.
//!
//! [`super::http1`] and [`super::http2`] put a [`Client`] into the extensions of every request: its
//! address is the one that limits are kept for, and what the gateway tells upstreams. Headers are
//! read only when the other end of the connection is a trusted proxy; then the last address that is
//! not such a proxy is believed, because everything left of it is what the client says itself.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use super::FrontDoor;
use super::forwarded;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// The other end, or whom a trusted proxy has named in its PROXY header.
    pub(super) peer: SocketAddr,
    /// Whether headers of `peer` about its clients are believed.
    pub(super) is_peer_trusted: bool,
    pub(super) is_tls: bool,
}

/// Where a request comes from: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The other end of the connection, or whom a trusted proxy has named in its PROXY header.
    pub(crate) peer: SocketAddr,
    /// Who is believed to have asked: `peer`, or whom it names where it is trusted.
    pub(crate) address: IpAddr,
    /// Whether `peer` is a trusted proxy: what it says about the client may be passed on.
    pub(crate) is_peer_trusted: bool,
    /// Whether it names somebody, and its headers do not contradict each other.
    pub(crate) is_named: bool,
    /// Whether the connection to us is over TLS.
    pub(crate) is_tls: bool,
}

impl Arrival {
    /// Who asks, in a request with these headers.
    pub(super) fn client(&self, headers: &HeaderMap, front: &FrontDoor) -> Client {
        let peer = self.peer.ip();
        let named = match self.is_peer_trusted {
            true => believed(headers, front),
            false => None,
        };
        Client {
            peer: self.peer,
            address: named.unwrap_or(peer),
            is_peer_trusted: self.is_peer_trusted,
            is_named: named.is_some(),
            is_tls: self.is_tls,
        }
    }
}

/// Whom the proxies name. A proxy keeps one of the two headers and hands the other one on as it
/// came; where both are there and differ, nobody knows which is the client's invention.
fn believed(headers: &HeaderMap, front: &FrontDoor) -> Option<IpAddr> {
    let trusts = |address| front.trusts(address);
    let standard = headers
        .contains_key(FORWARDED)
        .then(|| forwarded::standard(headers.get_all(FORWARDED).iter(), trusts));
    let usual = headers
        .contains_key(&X_FORWARDED_FOR)
        .then(|| forwarded::usual(headers.get_all(&X_FORWARDED_FOR).iter(), trusts));
    match (standard, usual) {
        (Some(one), Some(other)) if one != other => None,
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => None,
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
