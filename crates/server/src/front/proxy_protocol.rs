//! The header that a proxy of bytes puts before the first byte of its client (PROXY protocol,
//! versions 1 and 2).
//!
//! Called by [`super::opening`] for connections of trusted proxies only: whoever else sends one is
//! read as what it would be without, which is no HTTP. Nothing is guessed: where the header is
//! expected and does not come, the connection ends.
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A header of version 2 with IPv6 and a few extensions.
pub(super) const USUAL_BYTES: usize = 256;
/// The longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;
/// Bytes of addresses and extensions in version 2. Certificates in extensions fit; more is no
/// header that anybody needs.
const PAYLOAD_BYTES_MAX: usize = 4 * 1024;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LINE_START: &[u8; 6] = b"PROXY ";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// More has to come.
    Unfinished,
    /// All of it.
    Whole {
        /// Who is behind the proxy; `None` where it speaks for itself or names nobody.
        client: Option<SocketAddr>,
        /// Bytes of the header.
        length: usize,
    },
    /// None, and what is wrong with it.
    Broken(&'static str),
}

/// Reads the header at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Header {
    if begins(bytes, SIGNATURE) {
        return version_2(bytes);
    }
    if begins(bytes, LINE_START) {
        return version_1(bytes);
    }
    Header::Broken("a trusted proxy has sent no PROXY header")
}

/// Whether `bytes` begin like `start`, as far as there are any.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(a, b)| a == b)
}

fn version_1(bytes: &[u8]) -> Header {
    let within = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return match bytes.len() < LINE_BYTES_MAX {
            true => Header::Unfinished,
            false => Header::Broken("a PROXY line is too long"),
        };
    };
    let length = end.saturating_add(2);
    let line = bytes.get(LINE_START.len()..end).unwrap_or_default();
    match std::str::from_utf8(line).ok().and_then(client_in_line) {
        Some(client) => Header::Whole { client, length },
        None => Header::Broken("a PROXY line names no addresses"),
    }
}

/// `TCP4 SOURCE DESTINATION PORT PORT`, or `UNKNOWN` and anything.
fn client_in_line(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (source, destination) = (words.next()?, words.next()?);
    let from = port(words.next()?)?;
    port(words.next()?)?;
    if words.next().is_some() {
        return None;
    }
    let client = match family {
        "TCP4" => {
            destination.parse::<Ipv4Addr>().ok()?;
            IpAddr::V4(source.parse().ok()?)
        }
        "TCP6" => {
            destination.parse::<Ipv6Addr>().ok()?;
            IpAddr::V6(source.parse().ok()?)
        }
        _ => return None,
    };
    Some(Some(SocketAddr::new(client, from)))
}

/// Digits alone: Rust also reads a plus.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

fn version_2(bytes: &[u8]) -> Header {
    let Some(&[.., command, family, high, low]) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Header::Unfinished;
    };
    let payload = usize::from(u16::from_be_bytes([high, low]));
    if payload > PAYLOAD_BYTES_MAX {
        return Header::Broken("a PROXY header is too long");
    }
    let length = FIXED_BYTES.saturating_add(payload);
    let Some(addresses) = bytes.get(FIXED_BYTES..length) else {
        return Header::Unfinished;
    };
    let client = match (command, family) {
        // LOCAL: the proxy asks for itself, such as whether anybody is at home.
        (0x20, _) => Some(None),
        (0x21, 0x11) => client_v4(addresses).map(Some),
        (0x21, 0x21) => client_v6(addresses).map(Some),
        // Datagrams, sockets of a file system, and what the sender cannot say.
        (0x21, _) => Some(None),
        _ => return Header::Broken("a PROXY header of an unknown version or command"),
    };
    match client {
        Some(client) => Header::Whole { client, length },
        None => Header::Broken("a PROXY header is too short for its addresses"),
    }
}

/// Two addresses of 4 bytes, two ports; extensions may follow.
fn client_v4(addresses: &[u8]) -> Option<SocketAddr> {
    let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses.first_chunk::<12>()?;
    let port = u16::from_be_bytes([high, low]);
    Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port))
}

/// Two addresses of 16 bytes, two ports.
fn client_v6(addresses: &[u8]) -> Option<SocketAddr> {
    let [high, low, _, _] = *addresses.get(32..)?.first_chunk::<4>()?;
    let source = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
    Some(SocketAddr::new(
        source.into(),
        u16::from_be_bytes([high, low]),
    ))
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
