//! Checks that the books add up (law 5): the tail at every start, everything for the doctor.
//!
//! It only reads, inside one read transaction of its caller. Whatever it finds wrong is
//! [`LedgerError::Damaged`], with the place.

mod payments;
mod walk;

use std::collections::HashMap;

use farebox_core::ledger::LedgerError;
use rusqlite::Connection;
use rusqlite::types::FromSql;

use crate::{blob, error, uses};
use walk::Walk;

/// Postings in the tail: what a crash could have touched, many times over.
const TAIL_POSTINGS: i64 = 4096;

/// The last entries, and the balances of the accounts that they touch.
pub(crate) fn tail(connection: &Connection) -> Result<(), LedgerError> {
    let last: i64 = query(connection, "SELECT ifnull(max(id), 0) FROM postings")?;
    let mut walk = Walk::after(connection, last.saturating_sub(TAIL_POSTINGS).max(0));
    walk.follow()?;
    walk.compare_balances()
}

/// Everything: the file, every entry, every running balance, every account, every payment.
pub(crate) fn full(connection: &Connection) -> Result<(), LedgerError> {
    let file: String = query(connection, "PRAGMA integrity_check(1)")?;
    if file != "ok" {
        return Err(LedgerError::Damaged(file));
    }
    let mut walk = Walk::after(connection, 0);
    walk.follow()?;
    walk.compare_balances()?;
    accounts(connection, &walk)?;
    payments::check(connection)?;
    uses::check(connection)
}

/// The accounts of each asset sum to zero, and none has a balance out of nothing.
fn accounts(connection: &Connection, walk: &Walk<'_>) -> Result<(), LedgerError> {
    let mut sums: HashMap<String, i128> = HashMap::new();
    let mut statement = connection
        .prepare("SELECT id, name, asset, balance FROM accounts")
        .map_err(error::store)?;
    let mut rows = statement.query([]).map_err(error::store)?;
    while let Some(row) = rows.next().map_err(error::store)? {
        let (id, name): (i64, String) = (
            row.get(0).map_err(error::store)?,
            row.get(1).map_err(error::store)?,
        );
        let balance = blob::from_signed(row.get(3).map_err(error::store)?);
        if balance != 0 && !walk.has_seen(id) {
            return Err(damaged(format!("{name} has a balance without postings")));
        }
        let asset = row.get(2).map_err(error::store)?;
        add(sums.entry(asset).or_default(), balance)?;
    }
    match sums.iter().find(|(_, sum)| **sum != 0) {
        Some((asset, sum)) => Err(damaged(format!("the accounts of {asset:?} sum to {sum}"))),
        None => Ok(()),
    }
}

fn query<T: FromSql>(connection: &Connection, sql: &str) -> Result<T, LedgerError> {
    connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(error::store)
}

fn add(sum: &mut i128, amount: i128) -> Result<(), LedgerError> {
    *sum = sum
        .checked_add(amount)
        .ok_or_else(|| damaged("a sum of postings does not fit".to_owned()))?;
    Ok(())
}

fn damaged(text: String) -> LedgerError {
    LedgerError::Damaged(text)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
