//! Values that a person writes: addresses, spans of time, sums of dollars, gas money.
//!
//! Read from the configuration file and from flags by the same code, so that both take the same
//! texts. Nothing is rounded and nothing unreadable becomes zero.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use farebox_wire::money::{Amount, UsdMicros, parse_decimal};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Where to listen, for instance `127.0.0.1:8402`; port 0 takes a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.parse().map(Self);
        parsed.map_err(|_| {
            format!("{text:?} is not an address to listen on; write it like \"127.0.0.1:8402\"")
        })
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A span of time as a person writes it: `500ms`, `60s`, `5m`, `2h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timespan(pub(crate) Duration);

impl Timespan {
    /// The span in seconds, for what is counted so on the wire: `None` where it has a fraction of
    /// one, or is nothing, because nothing here is rounded.
    pub(crate) fn whole_seconds(self) -> Option<u64> {
        let whole = self.0.subsec_nanos() == 0 && !self.0.is_zero();
        whole.then_some(self.0.as_secs())
    }
}

impl FromStr for Timespan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || {
            format!("{text:?} is not a span of time; write it like \"60s\", \"500ms\" or \"5m\"")
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(refuse()),
        };
        number
            .checked_mul(unit_ms)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(refuse)
    }
}

impl<'de> Deserialize<'de> for Timespan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A part of a whole, from 0 to 1. Nothing that is counted or paid rests on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part(pub(crate) f64);

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let part = match toml::Value::deserialize(deserializer)? {
            toml::Value::Float(part) => Some(part),
            toml::Value::Integer(0) => Some(0.0),
            toml::Value::Integer(1) => Some(1.0),
            _ => None,
        };
        part.filter(|part| (0.0..=1.0).contains(part))
            .map(Self)
            .ok_or_else(|| D::Error::custom("a part is a number from 0.0 to 1.0"))
    }
}

/// A sum of dollars as a person writes it: `0.05 USD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usd(pub(crate) UsdMicros);

impl FromStr for Usd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        UsdMicros::parse(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// What something costs, as a person writes it: `0.001 USD`, `10 sat`, `1500 msat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Price {
    /// In dollars, whatever it is paid in.
    Usd(UsdMicros),
    /// In bitcoin, in millisatoshi.
    Msat(Amount),
}

impl Price {
    /// Whether it costs nothing.
    pub(crate) const fn is_free(self) -> bool {
        match self {
            Self::Usd(usd) => usd.0 == 0,
            Self::Msat(msat) => msat.is_zero(),
        }
    }
}

impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let decimals = match text.split_once(' ') {
            Some((_, "sat")) => 3,
            Some((_, "msat")) => 0,
            _ => return text.parse::<Usd>().map(|usd| Self::Usd(usd.0)),
        };
        let number = text.split(' ').next().unwrap_or_default();
        let msat = parse_decimal(number, decimals);
        msat.map(|msat| Self::Msat(Amount::from_atomic(msat)))
            .map_err(|_| {
                format!(
                    "{text:?} is no price; write it like \"0.001 USD\", \"10 sat\" or \"1500 msat\""
                )
            })
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// How many requests a token buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenUses {
    /// So many.
    Times(u64),
    /// As many as come while it is good.
    Unlimited,
}

impl<'de> Deserialize<'de> for TokenUses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) if text == "unlimited" => Ok(Self::Unlimited),
            toml::Value::Integer(times) if times > 0 => Ok(Self::Times(times.unsigned_abs())),
            _ => Err(D::Error::custom(
                "uses is neither a number from 1 nor \"unlimited\"",
            )),
        }
    }
}

/// Gas money as a person writes it: `0.05 ETH`, `100 gwei`. `ETH` is the chain's own coin, whatever
/// its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wei(pub(crate) u128);

impl FromStr for Wei {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let decimals = match text.split_once(' ') {
            Some((_, "ETH")) => 18,
            Some((_, "gwei")) => 9,
            _ => return Err(no_gas_money(text)),
        };
        let number = text.split(' ').next().unwrap_or_default();
        parse_decimal(number, decimals)
            .map(Self)
            .map_err(|_| no_gas_money(text))
    }
}

fn no_gas_money(text: &str) -> String {
    format!("{text:?} is no gas money; write it like \"0.05 ETH\" or \"100 gwei\"")
}

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// References to secrets: one, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct References(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "neither \"env:NAME\" nor a list of such references"
        )]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }))
    }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
