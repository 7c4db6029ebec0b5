//! Makes a request of HTTP/2 what the same request would be in HTTP/1.1.
//!
//! Called by [`super::http2`] before anybody behind the door sees it: the path alone in its target, the
//! host in `Host`, one `Cookie`. h2 itself has refused pseudo-headers that are missing, unknown, twice
//! or late, names in upper case, characters that no value may have, `Connection`,
//! `Transfer-Encoding`, `Upgrade`, `Keep-Alive`, `Proxy-Connection`, a `TE` that is not `trailers`, and
//! bodies that are not as long as announced. What is refused here is what two readers could
//! understand in two ways; the request then carries a [`Fault`], and [`super::refusal`] answers it.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};

use super::HEADERS_MAX;

/// What is wrong with a request, as an extension of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

impl Fault {
    const fn bad(code: &'static str, message: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message,
        }
    }
}

/// Makes it so, or says what is wrong with it.
pub(super) fn make<B>(request: &mut Request<B>) {
    if let Err(fault) = try_make(request) {
        request.extensions_mut().insert(fault);
    }
}

/// Takes off what HTTP/2 has no place for; hyper would complain about each.
pub(super) fn strip_answer(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

fn try_make<B>(request: &mut Request<B>) -> Result<(), Fault> {
    check_headers(request.headers())?;
    let host = host(request)?;
    let uri = request.uri();
    if request.method() == Method::CONNECT {
        return Err(Fault::bad(
            "absolute_form",
            "CONNECT is for proxies; send the path with another method",
        ));
    }
    if uri
        .scheme_str()
        .is_some_and(|scheme| !matches!(scheme, "http" | "https"))
    {
        return Err(Fault::bad(
            "absolute_form",
            "the scheme of a request is http or https",
        ));
    }
    let Some(path) = uri.path_and_query().cloned() else {
        return Err(Fault::bad(
            "ambiguous_path",
            "the path must start with a slash",
        ));
    };
    *request.uri_mut() = Uri::from(path);
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    join_cookies(headers)
}

fn check_headers(headers: &HeaderMap) -> Result<(), Fault> {
    if headers.len() > HEADERS_MAX {
        return Err(Fault {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            code: "too_many_headers",
            message: "a request has 100 headers at most",
        });
    }
    if several(headers, &CONTENT_LENGTH) {
        return Err(Fault::bad(
            "ambiguous_framing",
            "a request has one Content-Length",
        ));
    }
    let is_padded = |value: &HeaderValue| value.as_bytes().trim_ascii() != value.as_bytes();
    if headers.values().any(is_padded) {
        return Err(Fault::bad(
            "malformed_header",
            "the value of a header begins or ends with a blank",
        ));
    }
    Ok(())
}

/// The one host that the request is for.
fn host<B>(request: &Request<B>) -> Result<HeaderValue, Fault> {
    const DIFFERENT: Fault = Fault::bad(
        "ambiguous_host",
        "a request names one host, in :authority or in Host",
    );
    let headers = request.headers();
    if several(headers, &HOST) {
        return Err(DIFFERENT);
    }
    let said = headers.get(HOST);
    let Some(authority) = request.uri().authority().map(http::uri::Authority::as_str) else {
        return said.cloned().ok_or(DIFFERENT);
    };
    if authority.contains('@') {
        return Err(Fault::bad("ambiguous_host", "a host has no user"));
    }
    match said {
        Some(said) if !said.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => Err(DIFFERENT),
        _ => HeaderValue::from_str(authority).map_err(|_| DIFFERENT),
    }
}

/// HTTP/2 may send each cookie in a line of its own (RFC 9113 §8.2.3); HTTP/1.1 has one.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Fault> {
    if !several(headers, &COOKIE) {
        return Ok(());
    }
    let lines: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = HeaderValue::from_bytes(&lines.join(b"; ".as_slice()));
    let joined = joined.map_err(|_| Fault::bad("malformed_header", "a cookie cannot be read"))?;
    headers.insert(COOKIE, joined);
    Ok(())
}

fn several(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
