//! The keys about Lightning: which node is ours on a network, and what carrying a payment may cost.
//!
//! Part of `file.rs`; `assemble` makes nodes of it.

use std::str::FromStr;

use farebox_wire::money::parse_decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::values::Wei;

/// A Lightning node of ours.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSection {
    /// What runs there.
    pub(crate) kind: NodeKind,
    /// Where its REST interface is, for instance `https://127.0.0.1:8080`.
    pub(crate) url: String,
    /// A reference to the macaroon, `file:invoice.macaroon`, or `env:NAME` with its bytes in hex.
    pub(crate) macaroon: String,
    /// Its own certificate, `file:tls.cert`, which is then the only one that is taken; else those that this machine trusts.
    #[serde(default)]
    pub(crate) cert: Option<String>,
    /// Whether invoices tell payers of channels that the network does not know; needed where there are no others.
    #[serde(default)]
    pub(crate) private_channels: bool,
}

/// What kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeKind {
    /// lnd, a process of its own.
    Lnd,
}

/// The most that moving money may cost: on an EVM chain a price of gas, on Lightning what the way may
/// take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxFee {
    /// For one unit of gas.
    Gas(Wei),
    /// Millisatoshis for one payment.
    Msat(u64),
    /// Millionths of the amount.
    Part(u32),
}

impl FromStr for MaxFee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(gas) = text.parse() {
            return Ok(Self::Gas(gas));
        }
        let refuse = || {
            format!(
                "{text:?} is no fee; write it like \"1000 gwei\", or \"10 sat\" or \"1%\" on Lightning"
            )
        };
        if let Some(number) = text.strip_suffix(" sat") {
            let msat = parse_decimal(number, 3).ok();
            let msat = msat.and_then(|msat| u64::try_from(msat).ok());
            return msat.map(Self::Msat).ok_or_else(refuse);
        }
        let part: Percent = text.parse().map_err(|_| refuse())?;
        Ok(Self::Part(part.0))
    }
}

impl<'de> Deserialize<'de> for MaxFee {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A part of a whole as a person writes it: `10%`, kept in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) u32);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%');
        let millionths = number.and_then(|number| parse_decimal(number, 4).ok());
        let millionths = millionths.and_then(|part| u32::try_from(part).ok());
        millionths
            .filter(|part| *part <= 1_000_000)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no part of a whole; write it like \"10%\""))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[path = "lightning_tests.rs"]
mod tests;
