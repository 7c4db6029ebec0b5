//! Follows the postings in the order in which they were written: none is missing, every entry
//! sums to zero per asset, every running balance follows from the one before.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use farebox_core::ledger::LedgerError;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{add, damaged};
use crate::{blob, error};

/// One walk, from a posting to the end.
pub(super) struct Walk<'a> {
    connection: &'a Connection,
    start: i64,
    accounts: HashMap<i64, Account>,
    /// The entry whose postings are being read, and their sum per asset so far.
    entry: Option<i64>,
    sums: HashMap<String, i128>,
    /// Whether the postings of this entry began before the walk.
    is_cut: bool,
}

struct Account {
    name: String,
    asset: String,
    /// What the account says.
    balance: i128,
    /// What its last posting says; `None` before the first that we meet.
    running: Option<i128>,
}

struct Line {
    id: i64,
    entry: i64,
    account: i64,
    amount: i128,
    balance: i128,
}

impl<'a> Walk<'a> {
    /// Begins after the posting `start`; 0 is before the first.
    pub(super) fn after(connection: &'a Connection, start: i64) -> Self {
        Self {
            connection,
            start,
            accounts: HashMap::new(),
            entry: None,
            sums: HashMap::new(),
            is_cut: start > 0,
        }
    }

    /// Walks.
    pub(super) fn follow(&mut self) -> Result<(), LedgerError> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT id, entry, account, amount, balance FROM postings
                 WHERE id > ?1 ORDER BY id",
            )
            .map_err(error::store)?;
        let mut rows = statement.query([self.start]).map_err(error::store)?;
        let mut previous = self.start;
        while let Some(row) = rows.next().map_err(error::store)? {
            let line = read(row).map_err(error::store)?;
            if line.id != previous.saturating_add(1) {
                return Err(damaged(format!(
                    "posting {previous} is followed by posting {}",
                    line.id
                )));
            }
            previous = line.id;
            self.take(&line)?;
        }
        self.end_entry()
    }

    /// Whether a posting of this account was met.
    pub(super) fn has_seen(&self, account: i64) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Every account says what its last posting says.
    pub(super) fn compare_balances(&self) -> Result<(), LedgerError> {
        let wrong = self.accounts.values().find(|account| {
            account
                .running
                .is_some_and(|running| running != account.balance)
        });
        match wrong {
            Some(account) => Err(damaged(format!(
                "{} says {} and its last posting {}",
                account.name,
                account.balance,
                account.running.unwrap_or_default()
            ))),
            None => Ok(()),
        }
    }

    fn take(&mut self, line: &Line) -> Result<(), LedgerError> {
        match self.entry {
            Some(entry) if entry == line.entry => {}
            Some(entry) if entry > line.entry => {
                return Err(damaged(format!("entry {} is in two pieces", line.entry)));
            }
            _ => {
                self.end_entry()?;
                self.entry = Some(line.entry);
            }
        }
        let starts_at_zero = self.start == 0;
        let account = match self.accounts.entry(line.account) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => slot.insert(find(self.connection, line.account)?),
        };
        let before = account.running.or(starts_at_zero.then_some(0));
        if before.is_some_and(|before| before.checked_add(line.amount) != Some(line.balance)) {
            return Err(damaged(format!(
                "the balance of {} does not follow at posting {}",
                account.name, line.id
            )));
        }
        account.running = Some(line.balance);
        add(
            self.sums.entry(account.asset.clone()).or_default(),
            line.amount,
        )
    }

    fn end_entry(&mut self) -> Result<(), LedgerError> {
        let Some(entry) = self.entry else {
            return Ok(());
        };
        if !self.is_cut && self.sums.values().any(|sum| *sum != 0) {
            return Err(damaged(format!("entry {entry} does not sum to zero")));
        }
        self.is_cut = false;
        self.sums.clear();
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line {
        id: row.get(0)?,
        entry: row.get(1)?,
        account: row.get(2)?,
        amount: blob::from_signed(row.get(3)?),
        balance: blob::from_signed(row.get(4)?),
    })
}

fn find(connection: &Connection, id: i64) -> Result<Account, LedgerError> {
    connection
        .prepare_cached("SELECT name, asset, balance FROM accounts WHERE id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([id], |row| {
                    Ok(Account {
                        name: row.get(0)?,
                        asset: row.get(1)?,
                        balance: blob::from_signed(row.get(2)?),
                        running: None,
                    })
                })
                .optional()
        })
        .map_err(error::store)?
        .ok_or_else(|| damaged(format!("account {id} is missing")))
}
