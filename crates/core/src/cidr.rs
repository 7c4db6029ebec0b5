//! Blocks of addresses, as people write them: `10.0.0.0/8`, `fd00::/8`, `127.0.0.1`.
//!
//! The buyer asks them which private networks agents may reach, the servers which proxies they
//! trust. No name is ever resolved here.

use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses, for instance `127.0.0.1/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    ip: IpAddr,
    bits: u8,
}

/// Why a text is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a block of addresses; write it like \"127.0.0.1/32\" or \"fd00::/8\"")]
pub struct ParseCidrError(String);

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseCidrError(text.chars().take(80).collect());
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| error())?;
        let widest = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(widest), |b| b.parse().map_err(|_| error()))?;
        if bits > widest {
            return Err(error());
        }
        Ok(Self { ip, bits })
    }
}

impl Cidr {
    /// Whether `ip` is in it. An IPv4 address in IPv6's clothes is not in an IPv4 block.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.ip, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let other = net.to_bits() ^ ip.to_bits();
                other.checked_shr(32_u32.saturating_sub(bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let other = net.to_bits() ^ ip.to_bits();
                other.checked_shr(128_u32.saturating_sub(bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "cidr_tests.rs"]
mod tests;
