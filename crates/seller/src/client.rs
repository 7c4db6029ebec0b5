//! Who a request comes from, and how much work in vain that client may still cause (law 8).
//!
//! The server in front of the layer says where a request comes from ([`ClientAddress`]); where
//! nobody does, nobody is limited, because one bucket for all would let any stranger lock all
//! others out. Called by `credential` and `redeem`; a valid payment is never charged.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use farebox_core::rail::Refusal;
use farebox_wire::x402::reason::Reason;

use crate::answer::Refused;
use crate::buckets::{Buckets, Cost, RetryAfterS};
use crate::config::ClientLimits;
use crate::shop::Shop;

/// Where a request comes from: an extension of the request. Put in only what the connection or a
/// trusted proxy says, never a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The network that one customer of a provider has: a single IPv4 address, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    V4([u8; 4]),
    V6(u64),
}

impl Prefix {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => Self::V6(upper_half(v6)),
        }
    }
}

fn upper_half(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The buckets of all clients.
pub(crate) struct Guard {
    buckets: Buckets<Prefix>,
    limits: ClientLimits,
}

impl Guard {
    pub(crate) fn new(limits: ClientLimits) -> Self {
        Self {
            buckets: Buckets::new(limits.buckets),
            limits,
        }
    }

    /// What it was told.
    pub(crate) const fn limits(&self) -> ClientLimits {
        self.limits
    }

    /// Whom an address stands for; `None` where nobody says, or for a client of this machine.
    pub(crate) fn prefix(&self, client: Option<ClientAddress>) -> Option<Prefix> {
        let ClientAddress(address) = client?;
        let is_spared = address.to_canonical().is_loopback() && !self.limits.even_loopback;
        (!is_spared).then(|| Prefix::of(address))
    }
}

/// One client's account.
pub(crate) struct Meter {
    shop: Arc<Shop>,
    prefix: Option<Prefix>,
}

impl Meter {
    pub(crate) fn new(shop: &Arc<Shop>, client: Option<ClientAddress>) -> Self {
        Self {
            shop: Arc::clone(shop),
            prefix: shop.guard.prefix(client),
        }
    }

    /// Whether the client may cause this work: 429 where it has caused too much in vain.
    pub(crate) fn may(&self, cost: Cost) -> Result<(), Refused> {
        let Some(prefix) = &self.prefix else {
            return Ok(());
        };
        let now_ms = self.shop.till.clock().now_ms();
        let may = self.shop.guard.buckets.may(prefix, cost, now_ms);
        may.map_err(|RetryAfterS(seconds)| Refused::TooMany {
            retry_after_s: seconds,
        })
    }

    /// The work was done, and in vain.
    pub(crate) fn charge(&self, cost: Cost) {
        if let Some(prefix) = &self.prefix {
            let now_ms = self.shop.till.clock().now_ms();
            self.shop.guard.buckets.charge(prefix, cost, now_ms);
        }
    }

    /// What a rail refuses, and charges for what the refusal shows to have been in vain.
    pub(crate) fn charged(&self, refusal: Refusal) -> Refused {
        match refusal.reason {
            _ if refusal.is_ours => {}
            Reason::InvalidSignature
            | Reason::SignatureUnreadable
            | Reason::SvmInvalidSignature
            | Reason::SvmTransactionUnreadable => self.charge(Cost::BadSignature),
            Reason::InsufficientBalance | Reason::SvmSimulationFailed => {
                self.charge(Cost::FirstSight);
            }
            _ => {}
        }
        Refused::by_rail(refusal)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
