//! Which server a request says that it is for (RFC 9112 §3.2, RFC 9113 §8.3.1): once, and as a host.
//!
//! Nothing here is chosen by it, but servers behind the gate and proxies before it do choose by it;
//! where two of them could take two hosts from one request, it is refused.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::{HeaderValue, Request, Version};

/// What is wrong with the host of a request, in one sentence.
pub(super) fn wrong<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Some("a request has one Host");
    }
    // HTTP/1 with an authority in its request line is refused by the seller.
    let later = request.version() > Version::HTTP_11;
    let authority = request.uri().authority().filter(|_| later);
    let authority = authority.map(|authority| authority.as_str());
    let first = first.map(HeaderValue::as_bytes);
    let mut said = first.into_iter().chain(authority.map(str::as_bytes));
    if said.any(|host| read(host).is_none()) {
        return Some("a host is a name or an address, with a port at most");
    }
    match (first, authority) {
        (None, _) if request.version() == Version::HTTP_11 => Some("a request has a Host"),
        (Some(host), Some(other)) if !other.as_bytes().eq_ignore_ascii_case(host) => {
            Some("Host and :authority differ")
        }
        _ => None,
    }
}

/// A host and a port at most: no user, and no port that is none. Read by hand, because every request
/// passes here and a parsed authority is a copy.
fn read(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (is_host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (name, port) = text.split_at(end);
            (is_name(name), port)
        }
    };
    let is_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
    };
    (is_port && is_host).then_some(text)
}

/// What names of servers are made of, and the few characters besides that URLs allow in them.
fn is_name(name: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+=".contains(&byte);
    !name.is_empty() && name.bytes().all(is_usual)
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
