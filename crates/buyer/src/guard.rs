//! Keeps calls that an agent makes away from this machine and its network (ARCHITECTURE law 11).
//!
//! Addresses are judged where they are used: a host name after resolution, by the very list that
//! the connector then takes, and an address in a URL before the request. So no second look-up
//! can slip in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use farebox_core::cidr::Cidr;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that an agent may not reach.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host} is at {ip}, which is private or of this machine, and an agent may not reach it; allow it with `[policy] allow_private = [\"{ip}\"]`"
)]
pub(crate) struct PrivateAddress {
    host: String,
    ip: IpAddr,
}

/// Judges addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    allow: Vec<Cidr>,
}

impl Guard {
    pub(crate) fn new(allow: Vec<Cidr>) -> Self {
        Self { allow }
    }

    /// Judges a URL whose host is an address; names are judged when they are resolved.
    pub(crate) fn check_url(&self, url: &Url) -> Result<(), PrivateAddress> {
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check(&ip.to_string(), ip)
    }

    fn check(&self, host: &str, ip: IpAddr) -> Result<(), PrivateAddress> {
        let inner = embedded_v4(ip);
        let allowed = |ip: IpAddr| self.allow.iter().any(|block| block.contains(ip));
        if is_public(inner) || allowed(ip) || allowed(inner) {
            return Ok(());
        }
        Err(PrivateAddress {
            host: host.to_owned(),
            ip,
        })
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            // One private address among public ones is a trick, not a choice.
            for address in &found {
                guard.check(host, address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Unwraps the forms in which an IPv6 address carries an IPv4 one.
fn embedded_v4(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let v4 = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match [a, b, c, d, e, f] {
        // Mapped (::ffff:0:0/96), compatible (::/96), translated (64:ff9b::/96).
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(high, low),
        [0, 0, 0, 0, 0, 0] if v6.to_bits() > 1 => v4(high, low),
        // 6to4 (2002::/16).
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

/// Whether an address is of the public internet (IANA's special-purpose registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)        // this network, private, loopback
        | (100, 64..=127, _)        // carriers' NAT
        | (169, 254, _)             // link-local, and the clouds' metadata service
        | (172, 16..=31, _)         // private
        | (192, 0, 0 | 2)           // protocol assignments, documentation
        | (192, 88, 99)             // 6to4 relays
        | (192, 168, _)             // private
        | (198, 18..=19, _)         // benchmarks
        | (198, 51, 100)            // documentation
        | (203, 0, 113)             // documentation
        | (224..=255, _, _) // multicast, reserved, broadcast
    );
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Global unicast is 2000::/3; everything else is local, multicast or unassigned.
    let [a, b, ..] = ip.segments();
    let special = matches!(
        (a, b),
        (0x2001, 0..=0x01ff)        // protocol assignments, Teredo among them
        | (0x2001, 0x0db8)          // documentation
        | (0x3fff, 0..=0x0fff) // documentation
    );
    (a & 0xe000) == 0x2000 && !special
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
