//! What the request log says of one request. Written by gateway and facilitator, read by whoever runs
//! them; where it goes is for the binary to say.
//!
//! A line has nothing that anybody could pay or get in with: no query, no header, no body, and of a
//! credential its digest alone (ARCHITECTURE law 15).

use std::time::Duration;

use farebox_core::ledger::PaymentId;
use http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, without the query; of a very long one its beginning.
    pub path: &'a str,
    /// The route that covered it, by its name; the endpoint of a facilitator has none.
    pub route: Option<&'a str>,
    /// The status of its answer.
    pub status: u16,
    /// Time to the head of the answer.
    pub took: Duration,
    /// The payment that the answer was served for.
    pub payment: Option<&'a PaymentId>,
    /// SHA-256 of the credential that came with it, as it came.
    pub credential: Option<[u8; 32]>,
}

/// Where lines go. It must return at once: a log that cannot be written slows nobody down.
pub trait RequestLog: Send + Sync {
    /// Takes one line.
    fn write(&self, line: &RequestLine<'_>);
}

/// Bytes of a path that a line has: lines that wait for the disk are kept in memory.
const PATH_BYTES_MAX: usize = 1_024;

/// What a line says of a path.
pub(crate) fn path_in_line(path: &str) -> String {
    let end = path.floor_char_boundary(PATH_BYTES_MAX);
    path.get(..end).unwrap_or_default().to_owned()
}

/// The digest of the credential in a request's headers, whichever version it speaks.
pub(crate) fn credential_in(headers: &HeaderMap) -> Option<[u8; 32]> {
    let shown = farebox_seller::layer::payment_header(headers)?;
    Some(Sha256::digest(shown.as_bytes()).into())
}

#[cfg(test)]
#[path = "request_log_tests.rs"]
mod tests;
