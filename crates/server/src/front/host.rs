//! Which server a request says that it is for (RFC 9112 §3.2, RFC 9113 §8.3.1): once, and as a host.
//!
//! Nothing here is chosen by it, but servers behind the gate and proxies before it do choose by it;
//! where two of them could take two hosts from one request, it is refused.

use http::header::HOST;
use http::uri::Authority;
use http::{Request, Version};

/// What is wrong with the host of a request, in one sentence.
pub(super) fn wrong<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Some("a request has one Host");
    }
    let Some(host) = first else {
        return (request.version() == Version::HTTP_11).then_some("a request has a Host");
    };
    let Some(host) = read(host.as_bytes()) else {
        return Some("the Host is a name or an address, with a port at most");
    };
    // HTTP/1 with an authority in its request line is refused by the seller.
    let other = request.uri().authority().filter(|authority| {
        request.version() > Version::HTTP_11
            && !authority.as_str().eq_ignore_ascii_case(host.as_str())
    });
    other.map(|_| "Host and :authority differ")
}

/// A host and a port at most: no user, and no port that is none.
fn read(bytes: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(bytes).ok()?;
    let text = authority.as_str();
    let host = authority.host();
    let port = text.strip_prefix(host)?;
    let is_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
    };
    let is_host = !host.is_empty() && !host.contains(['%', ',', ';', '@']);
    (is_port && is_host).then_some(authority)
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
