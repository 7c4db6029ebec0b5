//! Values that a person writes: addresses, spans of time, sums of dollars.
//!
//! Read from the configuration file and from flags by the same code, so that both take the same
//! texts. Nothing is rounded and nothing unreadable becomes zero.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use farebox_wire::money::UsdMicros;
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

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
