//! Numbers as they are stored: amounts as 16 big-endian bytes (law 1: SQL integers overflow at
//! 9.2 units of an 18-decimal token), times as SQL integers.

use farebox_core::ledger::LedgerError;
use farebox_wire::money::{Amount, UsdMicros};

/// A signed amount on disk.
pub(crate) type Blob = [u8; 16];

/// For balances and postings.
pub(crate) const fn signed(value: i128) -> Blob {
    value.to_be_bytes()
}

/// Reads a balance or posting.
pub(crate) const fn from_signed(blob: Blob) -> i128 {
    i128::from_be_bytes(blob)
}

/// For limits.
pub(crate) fn limit(value: Option<UsdMicros>) -> Option<Blob> {
    value.map(|usd| usd.0.to_be_bytes())
}

/// Reads a limit.
pub(crate) fn from_limit(blob: Option<Blob>) -> Option<UsdMicros> {
    blob.map(|bytes| UsdMicros(u128::from_be_bytes(bytes)))
}

/// For amounts that stand beside a payment.
pub(crate) const fn amount(value: Amount) -> Blob {
    value.atomic().to_be_bytes()
}

/// Reads such an amount.
pub(crate) fn from_amount(blob: Option<Blob>) -> Option<Amount> {
    blob.map(|bytes| Amount::from_atomic(u128::from_be_bytes(bytes)))
}

/// An amount as a posting can carry it.
pub(crate) fn posting_amount(amount: Amount) -> Result<i128, LedgerError> {
    i128::try_from(amount.atomic()).map_err(|_| LedgerError::Overflow)
}

/// A cost as a posting can carry it.
pub(crate) fn posting_cost(cost: UsdMicros) -> Result<i128, LedgerError> {
    i128::try_from(cost.0).map_err(|_| LedgerError::Overflow)
}

/// A time for SQL. What lies beyond is as good as never, so it is cut, and never turns into the
/// past.
pub(crate) fn time(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a time.
pub(crate) fn from_time(value: i64) -> Result<u64, LedgerError> {
    u64::try_from(value)
        .map_err(|_| LedgerError::Damaged(format!("a stored time is negative: {value}")))
}
