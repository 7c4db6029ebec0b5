//! The keys about Lightning: which node is ours on a network, and what carrying a payment may cost.
//!
//! Part of `file.rs`; `assemble` makes nodes of it.

use std::str::FromStr;

use farebox_wire::money::parse_decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::values::{Listen, Wei};

/// A Lightning node of ours.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSection {
    /// What runs there.
    pub(crate) kind: NodeKind,
    /// Of `lnd`: where its REST interface is, for instance `https://127.0.0.1:8080`. Needed there.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// Of `lnd`: a reference to the macaroon, `file:invoice.macaroon`, or `env:NAME` with its bytes in hex. Needed there.
    #[serde(default)]
    pub(crate) macaroon: Option<String>,
    /// Of `lnd`: its own certificate, `file:tls.cert`, which is then the only one that is taken; else those that this machine trusts.
    #[serde(default)]
    pub(crate) cert: Option<String>,
    /// Of `lnd`: whether invoices tell payers of channels that the network does not know; needed where there are no others.
    #[serde(default)]
    pub(crate) private_channels: bool,
    /// Of `embedded`: its folder, with its seed; by default one for each network in the data directory.
    #[serde(default)]
    pub(crate) dir: Option<String>,
    /// Of `embedded`: where it listens for peers; by default nowhere.
    #[serde(default)]
    pub(crate) listen: Vec<Listen>,
    /// Of `embedded`: where it looks at the chain. Needed there.
    #[serde(default)]
    pub(crate) chain: Option<ChainSourceSection>,
}

/// What kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeKind {
    /// lnd, a process of its own.
    Lnd,
    /// In this process.
    Embedded,
}

/// Where an embedded node looks at the chain: one of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChainSourceSection {
    /// An Esplora HTTP interface, for instance `https://blockstream.info/api`.
    pub(crate) esplora: Option<String>,
    /// An Electrum server, for instance `ssl://electrum.blockstream.info:60002`.
    pub(crate) electrum: Option<String>,
    /// The JSON-RPC of a bitcoind.
    pub(crate) bitcoind: Option<BitcoindSection>,
}

/// The JSON-RPC of a bitcoind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "embedded-node"), allow(dead_code))]
pub(crate) struct BitcoindSection {
    /// Name or address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// What it calls `rpcuser`.
    pub(crate) user: String,
    /// A reference to what it calls `rpcpassword`.
    pub(crate) password: String,
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
