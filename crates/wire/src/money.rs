//! Money as a type: unsigned atomic units, US dollars in millionths, and strict readers for both.
//!
//! Called by everyone who touches an amount. It never rounds in silence, never reads a float, and
//! never turns an unreadable amount into zero (ARCHITECTURE law 1).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// Digits in the largest amount that we read (`u128::MAX` has 39).
const AMOUNT_DIGITS_MAX: usize = 39;
/// More decimals than any token in use; a bound so that powers of ten fit `u128`.
pub const DECIMALS_MAX: u8 = 36;

/// An amount of one asset in its atomic units, for instance 1000 = 0.001 USDC.
///
/// On the wire it is a string of decimal digits (x402 v2, `amount`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Nothing was there.
    #[error("the amount is empty; write atomic units as digits, for instance \"1000\"")]
    Empty,
    /// Something other than the digits 0 to 9: a sign, a blank, an exponent, a decimal point.
    #[error("the amount has a character that is not a digit; write atomic units as digits only")]
    NotDigits,
    /// `007`: two texts for one number are refused, so that equal amounts are equal texts.
    #[error("the amount starts with a zero")]
    LeadingZero,
    /// More than `u128` holds.
    #[error("the amount is larger than 2^128 - 1 atomic units")]
    TooLarge,
}

impl Amount {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);

    /// Takes atomic units as they are.
    #[must_use]
    pub const fn from_atomic(atomic: u128) -> Self {
        Self(atomic)
    }

    /// The atomic units.
    #[must_use]
    pub const fn atomic(self) -> u128 {
        self.0
    }

    /// Reads a canonical string of digits.
    ///
    /// # Errors
    /// Refuses blanks, signs, exponents, points, leading zeros and anything above `u128`.
    pub fn parse(text: &str) -> Result<Self, ParseAmountError> {
        if text.is_empty() {
            return Err(ParseAmountError::Empty);
        }
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseAmountError::NotDigits);
        }
        if text.len() > 1 && text.starts_with('0') {
            return Err(ParseAmountError::LeadingZero);
        }
        if text.len() > AMOUNT_DIGITS_MAX {
            return Err(ParseAmountError::TooLarge);
        }
        text.parse()
            .map(Self)
            .map_err(|_| ParseAmountError::TooLarge)
    }

    /// Sum, or `None` where it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Difference, or `None` where it would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Shows the amount in whole units of an asset with `decimals`, for instance `0.001`.
    #[must_use]
    pub fn to_decimal_string(self, decimals: u8) -> String {
        decimal_string(self.0, decimals)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, Self::parse)
    }
}

/// US dollars in millionths: the unit of every limit (ARCHITECTURE law 13).
///
/// In JSON and TOML it is a decimal string, `"0.05"` (`"0.05 USD"` is read as well).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsdMicros(pub u128);

/// Decimals of [`UsdMicros`].
pub const USD_DECIMALS: u8 = 6;

/// Why a text is not a sum of dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUsdError {
    /// Not of the form `0.05 USD`, `0.05` or `$0.05`.
    #[error("{0:?} is not a sum of dollars; write it like \"0.05 USD\"")]
    Form(String),
    /// Another currency.
    #[error("{0:?} is not in US dollars; write it like \"0.05 USD\"")]
    Currency(String),
    /// More than six decimals, or too large.
    #[error("{0:?} has more than six decimals or is too large")]
    Range(String),
}

impl UsdMicros {
    /// Reads `0.05 USD`, `$0.05` or `0.05`.
    ///
    /// # Errors
    /// Refuses other currencies, signs, exponents, leading zeros, more than six decimals and
    /// missing digits.
    pub fn parse(text: &str) -> Result<Self, ParseUsdError> {
        let number = match (text.strip_prefix('$'), text.split_once(' ')) {
            (Some(number), _) | (None, Some((number, "USD"))) => number,
            (None, Some(_)) => return Err(ParseUsdError::Currency(text.to_owned())),
            (None, None) => text,
        };
        parse_decimal(number, USD_DECIMALS)
            .map(Self)
            .map_err(|e| match e {
                DecimalError::Form => ParseUsdError::Form(text.to_owned()),
                DecimalError::Range => ParseUsdError::Range(text.to_owned()),
            })
    }

    /// Sum, or `None` where it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Difference, or `None` where it would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl fmt::Display for UsdMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal_string(self.0, USD_DECIMALS))
    }
}

impl Serialize for UsdMicros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UsdMicros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, Self::parse)
    }
}

/// What one whole unit of an asset is worth, and how finely it divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsdRate {
    /// Dollars for one whole unit, in millionths (1,000,000 for a dollar stablecoin).
    pub usd_per_unit: UsdMicros,
    /// Decimals of the asset.
    pub decimals: u8,
}

impl UsdRate {
    /// What `amount` is worth, rounded up: a limit must never be passed by rounding.
    ///
    /// `None` where the numbers do not fit, or the rate is zero (nothing is free of every
    /// limit); the caller refuses.
    #[must_use]
    pub fn usd_of(&self, amount: Amount) -> Option<UsdMicros> {
        let scale = pow10(self.decimals)?;
        if self.usd_per_unit.0 == 0 {
            return None;
        }
        // The product may not fit where the quotient would: whole units and remainder apart.
        let whole = (amount.0 / scale).checked_mul(self.usd_per_unit.0)?;
        let part = (amount.0 % scale)
            .checked_mul(self.usd_per_unit.0)?
            .div_ceil(scale);
        whole.checked_add(part).map(UsdMicros)
    }

    /// The atomic units that are worth at least `usd`, rounded up: a price is never cut.
    ///
    /// `None` where the numbers do not fit or the rate is zero; the caller refuses.
    #[must_use]
    pub fn amount_for(&self, usd: UsdMicros) -> Option<Amount> {
        let scale = pow10(self.decimals)?;
        let product = usd.0.checked_mul(scale)?;
        if self.usd_per_unit.0 == 0 {
            return None;
        }
        Some(Amount(product.div_ceil(self.usd_per_unit.0)))
    }
}

/// Why a decimal number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not digits with at most one point between them.
    Form,
    /// More decimals than allowed, or too large.
    Range,
}

/// Reads `12.5` as 12.5 x 10^`decimals`, exactly.
///
/// # Errors
/// [`DecimalError::Form`] for anything but `digits[.digits]` without leading zeros,
/// [`DecimalError::Range`] where it does not fit or would need rounding.
pub fn parse_decimal(text: &str, decimals: u8) -> Result<u128, DecimalError> {
    let (whole, part) = match text.split_once('.') {
        Some((whole, part)) if !part.is_empty() => (whole, part),
        Some(_) => return Err(DecimalError::Form),
        None => (text, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero || !digits(whole) || !digits(part) {
        return Err(DecimalError::Form);
    }
    let decimals = usize::from(decimals);
    if part.len() > decimals || whole.len() > AMOUNT_DIGITS_MAX {
        return Err(DecimalError::Range);
    }
    let mut text = String::with_capacity(whole.len() + decimals);
    text.push_str(whole);
    text.push_str(part);
    text.extend(std::iter::repeat_n('0', decimals - part.len()));
    text.parse().map_err(|_| DecimalError::Range)
}

fn pow10(decimals: u8) -> Option<u128> {
    if decimals > DECIMALS_MAX {
        return None;
    }
    10u128.checked_pow(u32::from(decimals))
}

fn decimal_string(atomic: u128, decimals: u8) -> String {
    let Some(scale) = pow10(decimals) else {
        return atomic.to_string();
    };
    let (whole, part) = (atomic / scale, atomic % scale);
    if part == 0 {
        return whole.to_string();
    }
    let part = format!("{part:0width$}", width = usize::from(decimals));
    format!("{whole}.{}", part.trim_end_matches('0'))
}

#[cfg(test)]
#[path = "money_tests.rs"]
mod tests;
