//! Reads the addresses that proxies have written into `Forwarded` (RFC 7239) and
//! `X-Forwarded-For`.
//!
//! Called by [`super::client`] for requests of trusted proxies. Each proxy appends whom it got the
//! request from, so the list is read from its end: the first address that is no trusted proxy's is
//! the client. What stands before it is never looked at, except to see that the grammar holds: a
//! client's unclosed quote must not swallow what a proxy appends.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderValue;

/// Proxies in a row: more than anybody has, and it bounds what one request costs.
const HOPS_MAX: usize = 16;

/// The client in `X-Forwarded-For`; `None` where it cannot be told.
pub(super) fn usual<'a>(
    values: impl DoubleEndedIterator<Item = &'a HeaderValue>,
    trusts: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let hops = values
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','))
        .map(|hop| {
            std::str::from_utf8(hop)
                .ok()
                .and_then(|hop| node(hop.trim()))
        });
    last_stranger(hops, trusts)
}

/// The client in `Forwarded`; `None` where it cannot be told.
pub(super) fn standard<'a>(
    values: impl DoubleEndedIterator<Item = &'a HeaderValue>,
    trusts: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut hops = Vec::new();
    for value in values {
        hops.extend(elements(value.to_str().ok()?)?);
    }
    last_stranger(hops.into_iter().rev(), trusts)
}

/// From the last hop on: the first that is not trusted, or the furthest that can be read.
fn last_stranger(
    hops: impl Iterator<Item = Option<IpAddr>>,
    trusts: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut furthest = None;
    for hop in hops.take(HOPS_MAX) {
        let Some(hop) = hop else {
            // A proxy that hides its client is all that is known of it.
            return furthest;
        };
        furthest = Some(hop);
        if !trusts(hop) {
            return furthest;
        }
    }
    furthest
}

/// An address, with or without a port; IPv6 also in brackets.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let address = match text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inside) => IpAddr::V6(inside.parse::<Ipv6Addr>().ok()?),
        None => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

/// The `for` of every element, in order; `None` where the grammar does not hold.
fn elements(text: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut hops = Vec::new();
    let mut named = None;
    let mut rest = text;
    loop {
        let (pair, end) = pair(rest.trim_start())?;
        if let Some((name, value)) = pair
            && name.eq_ignore_ascii_case("for")
        {
            // Twice in one element: nobody could tell which is meant.
            if named.replace(node(&value)).is_some() {
                return None;
            }
        }
        let end = end.trim_start();
        let mut chars = end.chars();
        match chars.next() {
            Some(';') => {}
            Some(',') => hops.push(named.take().flatten()),
            None => {
                hops.push(named.take().flatten());
                return Some(hops);
            }
            Some(_) => return None,
        }
        rest = chars.as_str();
    }
}

/// A name and its value.
type Pair<'a> = (&'a str, String);

/// One `name=value` and what follows it. Elements may be empty.
fn pair(text: &str) -> Option<(Option<Pair<'_>>, &str)> {
    let length = text.bytes().take_while(|byte| is_token(*byte)).count();
    let (name, rest) = text.split_at_checked(length)?;
    if name.is_empty() {
        return Some((None, rest));
    }
    let rest = rest.strip_prefix('=')?;
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let length = rest.bytes().take_while(|byte| is_token(*byte)).count();
            let (value, rest) = rest.split_at_checked(length)?;
            (value.to_owned(), rest)
        }
    };
    Some((Some((name, value)), rest))
}

/// What stands before the closing quote, and what after it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

/// A character of a token (RFC 9110 §5.6.2). Some proxies leave the quotes of `for=[::1]:80` and
/// `for=192.0.2.1:80` out; nothing is ambiguous about that.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' | b':' | b'[' | b']')
}
