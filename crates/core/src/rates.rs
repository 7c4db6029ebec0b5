//! What an asset is worth in US dollars, where it is not a dollar itself (ARCHITECTURE law 13).
//!
//! Rails ask a [`Rates`] that the program fills in from its configuration, to price a sale in
//! bitcoin and to count a purchase in dollars. A rate is never the peer's, and one that is missing,
//! too old or jumping is an error, never a guess. Both directions round against us where it is
//! about a limit: a cost is rounded up, and so is an asking price.

use farebox_wire::money::{Amount, UsdMicros};

/// What one whole unit of an asset is worth: for BTC/USD one bitcoin, in millionths of a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Positive.
    micros_per_unit: u128,
    /// When the source said so, in Unix milliseconds; the time of asking where it is fixed.
    pub as_of_ms: u64,
}

/// Why there is no rate now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoRate {
    /// `rate_missing`, `rate_stale`, `rate_jumped`, `rate_out_of_range`.
    pub code: &'static str,
    /// One sentence that says what to do.
    pub message: String,
}

/// Knows rates. Answers from memory: a feed is read in the background.
pub trait Rates: Send + Sync {
    /// The rate of a pair such as `BTC/USD`.
    ///
    /// # Errors
    /// [`NoRate`] where nothing that is fresh and plausible is known.
    fn rate(&self, pair: &str) -> Result<Rate, NoRate>;
}

/// Knows none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRates;

impl Rates for NoRates {
    fn rate(&self, pair: &str) -> Result<Rate, NoRate> {
        Err(NoRate {
            code: "rate_missing",
            message: format!(
                "nobody has said what {pair} is; set it in [rates], for instance {pair:?} = {{ fixed = \"60000\" }} on a test network"
            ),
        })
    }
}

impl Rate {
    /// A rate; `None` where it is nothing.
    #[must_use]
    pub const fn new(per_unit: UsdMicros, as_of_ms: u64) -> Option<Self> {
        match per_unit.0 {
            0 => None,
            micros_per_unit => Some(Self {
                micros_per_unit,
                as_of_ms,
            }),
        }
    }

    /// What one whole unit is worth.
    #[must_use]
    pub const fn per_unit(self) -> UsdMicros {
        UsdMicros(self.micros_per_unit)
    }

    /// What `amount`, in atomic units of which `10^decimals` are one whole unit, is worth, rounded
    /// up; `None` where that does not fit.
    #[must_use]
    pub fn worth(self, amount: Amount, decimals: u8) -> Option<UsdMicros> {
        let units = 10_u128.checked_pow(decimals.into())?;
        let whole = amount.atomic().checked_mul(self.micros_per_unit)?;
        Some(UsdMicros(whole.div_ceil(units)))
    }

    /// The least amount that is worth at least `usd`, in atomic units of which `10^decimals` are
    /// one whole unit; `None` where that does not fit.
    #[must_use]
    pub fn amount_for(self, usd: UsdMicros, decimals: u8) -> Option<Amount> {
        let units = 10_u128.checked_pow(decimals.into())?;
        let atomic = usd.0.checked_mul(units)?.div_ceil(self.micros_per_unit);
        Some(Amount::from_atomic(atomic))
    }
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
