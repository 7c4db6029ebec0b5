//! The front door that the gateway and the facilitator share: accepts connections, and turns away
//! requests that two servers could read in two ways.
//!
//! `connections` accepts, `opening` finds out who comes and in which protocol (`proxy_protocol`, `tls`), `http1`
//! and `http2` serve. `framing` watches the bytes below HTTP/1.1, `plain` makes requests of HTTP/2 like
//! those of HTTP/1.1, `host` finds requests for two hosts, `client` says who asks (`forwarded`), `stall` and `streams` give up on clients
//! that do not read, `timer` has one timer per connection, `redirect` sends those without TLS to it, `challenges`
//! shows a certificate authority whose a name is, `tunnel` is what goes on after a 101.
//! Nothing here knows of payments, except that none belongs on a line in the clear.

pub(crate) mod challenges;
pub(crate) mod client;
pub(crate) mod connections;
mod forwarded;
mod framing;
mod host;
mod http1;
mod http2;
mod opening;
mod plain;
mod proxy_protocol;
pub(crate) mod redirect;
mod stall;
mod stream;
mod streams;
mod timer;
pub(crate) mod tls;
pub(crate) mod tunnel;

use std::net::IpAddr;

use axum::body::Body;
use farebox_core::cidr::Cidr;
use farebox_seller::answer::problem;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use self::framing::Ambiguous;
use self::plain::Fault;
use self::tls::Tls;

/// Bytes of a request's head: twice the largest payment header that is read. More is answered
/// with 431. In HTTP/1.1 every byte counts, to the end of the empty line; in HTTP/2 names, values and
/// 32 bytes for each header (RFC 9113 §6.5.2).
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 100;
/// Bytes of a request's path and query, the limit of common servers.
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// What a server has in front of it besides an address. The default is HTTP in the clear, and
/// everybody is who they are.
#[derive(Clone, Debug, Default)]
pub struct FrontDoor {
    /// TLS, where it is spoken here; then nothing else is.
    pub tls: Option<Tls>,
    /// Proxies in front, whose word about their clients is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether those proxies put a PROXY header before each connection. They all have to.
    pub proxy_protocol: bool,
}

impl FrontDoor {
    /// Whether `address` is a trusted proxy's.
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies
            .iter()
            .any(|block| block.contains(address))
    }
}

/// What nobody behind the door should see.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<Response<Body>> {
    if request.extensions().get::<Ambiguous>().is_some() {
        return Some(and_close(problem(
            StatusCode::BAD_REQUEST,
            "ambiguous_framing",
            "a request has either Content-Length or Transfer-Encoding, never both",
        )));
    }
    if let Some(fault) = request.extensions().get::<Fault>() {
        return Some(problem(fault.status, fault.code, fault.message));
    }
    if has_foreign_transfer_coding(request.headers()) {
        return Some(and_close(problem(
            StatusCode::NOT_IMPLEMENTED,
            "transfer_coding_not_supported",
            "the only Transfer-Encoding that is understood here is `chunked`",
        )));
    }
    if let Some(message) = host::wrong(request) {
        let refused = problem(StatusCode::BAD_REQUEST, "ambiguous_host", message);
        return Some(and_close(refused));
    }
    let target = request.uri().path_and_query();
    target
        .is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX)
        .then(|| {
            problem(
                StatusCode::URI_TOO_LONG,
                "target_too_long",
                "the path and query are longer than 8 KiB",
            )
        })
}

/// The same answer, and the connection ends with it.
pub(crate) fn and_close(mut refused: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    refused.headers_mut().insert(CONNECTION, close);
    refused
}

/// Whether a body is coded in a way that chunks alone do not undo. hyper takes off the chunks of
/// `gzip, chunked`, and nobody would tell the reader of the rest.
fn has_foreign_transfer_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else {
        return false;
    };
    codings.next().is_some()
        || !first
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked")
}
