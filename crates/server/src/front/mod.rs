//! The front door that the gateway and the facilitator share: accepts connections, and turns away
//! requests that two servers could read in two ways.
//!
//! `connections` accepts and serves HTTP/1.1, `framing` watches the bytes below it, `host` finds
//! requests for two hosts, `stall` gives up on clients that do not read, `timer` has one timer per
//! connection, `tunnel` is what goes on after a 101. Nothing here knows of payments.

pub(crate) mod connections;
mod framing;
mod host;
mod stall;
mod timer;
pub(crate) mod tunnel;

use axum::body::Body;
use farebox_seller::answer::problem;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use self::framing::Ambiguous;

/// Bytes of a request's path and query, the limit of common servers.
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// What nobody behind the door should see.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<Response<Body>> {
    if request.extensions().get::<Ambiguous>().is_some() {
        return Some(and_close(problem(
            StatusCode::BAD_REQUEST,
            "ambiguous_framing",
            "a request has either Content-Length or Transfer-Encoding, never both",
        )));
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
