//! What callers may make a facilitator do in vain (ARCHITECTURE law 8), kept per access token, or
//! per client where none is asked for.
//!
//! A caller on this machine is not limited unless limits were configured.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use farebox_core::clock::Clock;
use farebox_core::rail::Refusal;
pub(super) use farebox_seller::buckets::Cost;
use farebox_seller::buckets::{BucketLimits, Buckets, RetryAfterS};
use farebox_wire::x402::reason::Reason;

use super::access::AccessToken;

/// Bits of an IPv6 address that name one customer of a network; the rest is his to choose.
const IPV6_PREFIX_BITS: u32 = 64;

/// How much more than a client a token may cause in vain: it stands for a seller with buyers of
/// his own, and five poor ones in a second must not silence him for the others. A hundred
/// lookups in a second are still what a node takes from one caller.
const TOKEN_FACTOR: u32 = 20;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// Whoever has this token.
    Token(AccessToken),
    /// Whoever comes from there.
    Client(IpAddr),
}

impl Caller {
    pub(super) fn new(token: Option<AccessToken>, peer: SocketAddr) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None => Self::Client(prefix(peer.ip().to_canonical())),
        }
    }

    /// The digest of its token.
    pub(super) const fn token(&self) -> Option<&AccessToken> {
        match self {
            Self::Token(token) => Some(token),
            Self::Client(_) => None,
        }
    }
}

/// The buckets of all callers.
pub(super) struct Limits {
    /// Of those who come without a token.
    clients: Buckets<Caller>,
    tokens: Buckets<Caller>,
    /// Whether callers on this machine are limited too.
    on_loopback: bool,
    clock: Arc<dyn Clock>,
}

/// The buckets of one caller; `None` is not limited.
#[derive(Clone)]
pub(super) struct Allowance {
    limits: Arc<Limits>,
    caller: Option<Caller>,
}

impl Limits {
    /// The usual limits where none are configured; those that are count for everybody as written.
    pub(super) fn new(configured: Option<BucketLimits>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clients: Buckets::new(configured.unwrap_or_default()),
            tokens: Buckets::new(configured.unwrap_or_else(of_tokens)),
            on_loopback: configured.is_some(),
            clock,
        })
    }

    pub(super) fn of(self: &Arc<Self>, caller: Caller, peer: SocketAddr) -> Allowance {
        let is_limited = self.on_loopback || !peer.ip().to_canonical().is_loopback();
        Allowance {
            limits: Arc::clone(self),
            caller: is_limited.then_some(caller),
        }
    }

    const fn buckets(&self, caller: &Caller) -> &Buckets<Caller> {
        match caller {
            Caller::Token(_) => &self.tokens,
            Caller::Client(_) => &self.clients,
        }
    }
}

impl Allowance {
    /// Whether the caller may cause such work now.
    pub(super) fn may(&self, cost: Cost) -> Result<(), RetryAfterS> {
        let limits = &self.limits;
        match &self.caller {
            None => Ok(()),
            Some(caller) => limits
                .buckets(caller)
                .may(caller, cost, limits.clock.now_ms()),
        }
    }

    /// It was in vain.
    pub(super) fn charge(&self, cost: Cost) {
        let limits = &self.limits;
        if let Some(caller) = &self.caller {
            let buckets = limits.buckets(caller);
            buckets.charge(caller, cost, limits.clock.now_ms());
        }
    }

    /// Charges what a refusal has cost.
    pub(super) fn charge_for(&self, refusal: &Refusal) {
        match refusal.reason {
            Reason::InvalidSignature
            | Reason::SignatureUnreadable
            | Reason::SvmInvalidSignature
            | Reason::SvmTransactionUnreadable => self.charge(Cost::BadSignature),
            Reason::InsufficientBalance | Reason::SvmSimulationFailed => {
                self.charge(Cost::FirstSight);
            }
            _ => {}
        }
    }
}

fn of_tokens() -> BucketLimits {
    let of_clients = BucketLimits::default();
    let more = |limit: u32| limit.saturating_mul(TOKEN_FACTOR);
    BucketLimits {
        bad_signatures_per_s: more(of_clients.bad_signatures_per_s),
        first_sight_per_s: more(of_clients.first_sight_per_s),
        simulations_per_s: more(of_clients.simulations_per_s),
    }
}

/// Clients are told apart as far as they cannot choose.
fn prefix(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let mask = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
