//! Checks that the books add up (law 5): the tail at every start, everything for the doctor.
//!
//! It only reads. Whatever it finds wrong is [`LedgerError::Damaged`], with the place.

use std::collections::HashMap;

use farebox_core::ledger::LedgerError;
use farebox_core::payment::Hold;
use rusqlite::{Connection, params};

use crate::accounts::{Place, place_of};
use crate::{blob, error, row};

/// Postings in the tail: what a crash could have touched, many times over.
const TAIL_POSTINGS: i64 = 4096;

/// The last entries, and the balances of the accounts that they touch.
pub(crate) fn tail(connection: &Connection) -> Result<(), LedgerError> {
    let last: i64 = query(connection, "SELECT ifnull(max(id), 0) FROM postings")?;
    let accounts = Accounts::read(connection)?;
    let mut walk = Walk::default();
    walk.follow(connection, &accounts, last.saturating_sub(TAIL_POSTINGS))?;
    walk.compare_balances(&accounts)
}

/// Everything: the file, every entry, every running balance, every account, every payment.
pub(crate) fn full(connection: &Connection) -> Result<(), LedgerError> {
    let file: String = query(connection, "PRAGMA integrity_check(1)")?;
    if file != "ok" {
        return Err(LedgerError::Damaged(file));
    }
    let accounts = Accounts::read(connection)?;
    accounts.sum_to_zero()?;
    let mut walk = Walk::default();
    walk.follow(connection, &accounts, 0)?;
    for (id, account) in &accounts.by_id {
        if !walk.balances.contains_key(id) && account.balance != 0 {
            return Err(damaged(format!(
                "{} has a balance without postings",
                account.name
            )));
        }
    }
    walk.compare_balances(&accounts)?;
    payments(connection)
}

struct Account {
    name: String,
    asset: String,
    balance: i128,
}

struct Accounts {
    by_id: HashMap<i64, Account>,
}

impl Accounts {
    fn read(connection: &Connection) -> Result<Self, LedgerError> {
        let mut by_id = HashMap::new();
        let mut statement = connection
            .prepare_cached("SELECT id, name, asset, balance FROM accounts")
            .map_err(error::store)?;
        let mut rows = statement.query([]).map_err(error::store)?;
        while let Some(row) = rows.next().map_err(error::store)? {
            let account = Account {
                name: row.get(1).map_err(error::store)?,
                asset: row.get(2).map_err(error::store)?,
                balance: blob::from_signed(row.get(3).map_err(error::store)?),
            };
            by_id.insert(row.get(0).map_err(error::store)?, account);
        }
        Ok(Self { by_id })
    }

    fn sum_to_zero(&self) -> Result<(), LedgerError> {
        let mut sums: HashMap<&str, i128> = HashMap::new();
        for account in self.by_id.values() {
            add(sums.entry(&account.asset).or_default(), account.balance)?;
        }
        match sums.iter().find(|(_, sum)| **sum != 0) {
            Some((asset, sum)) => Err(damaged(format!("the accounts of {asset:?} sum to {sum}"))),
            None => Ok(()),
        }
    }
}

/// Follows the postings in the order in which they were written.
#[derive(Default)]
struct Walk {
    balances: HashMap<i64, i128>,
    entry: i64,
    sums: HashMap<String, i128>,
    is_partial: bool,
}

impl Walk {
    /// Reads the postings after `start`.
    fn follow(
        &mut self,
        connection: &Connection,
        accounts: &Accounts,
        start: i64,
    ) -> Result<(), LedgerError> {
        // The first entry of a tail may have begun before it.
        let mut previous = start.max(0);
        self.is_partial = previous > 0;
        let mut statement = connection
            .prepare_cached(
                "SELECT id, entry, account, amount, balance FROM postings WHERE id > ?1 ORDER BY id",
            )
            .map_err(error::store)?;
        let mut rows = statement.query(params![previous]).map_err(error::store)?;
        while let Some(row) = rows.next().map_err(error::store)? {
            let id: i64 = row.get(0).map_err(error::store)?;
            if id != previous.saturating_add(1) {
                return Err(damaged(format!("posting {previous} is followed by {id}")));
            }
            previous = id;
            let amount = blob::from_signed(row.get(3).map_err(error::store)?);
            let balance = blob::from_signed(row.get(4).map_err(error::store)?);
            let account: i64 = row.get(2).map_err(error::store)?;
            self.take_entry(row.get(1).map_err(error::store)?)?;
            let Some(known) = accounts.by_id.get(&account) else {
                return Err(damaged(format!("posting {id} has no account")));
            };
            add(self.sums.entry(known.asset.clone()).or_default(), amount)?;
            self.take_balance(id, account, amount, balance, start == 0)?;
        }
        self.take_entry(i64::MAX)
    }

    fn take_entry(&mut self, entry: i64) -> Result<(), LedgerError> {
        if entry == self.entry {
            return Ok(());
        }
        if entry < self.entry {
            return Err(damaged(format!("entry {entry} is written in two pieces")));
        }
        if !self.is_partial && self.sums.values().any(|sum| *sum != 0) {
            return Err(damaged(format!(
                "entry {} does not sum to zero",
                self.entry
            )));
        }
        self.is_partial &= self.entry == 0;
        self.entry = entry;
        self.sums.clear();
        Ok(())
    }

    fn take_balance(
        &mut self,
        id: i64,
        account: i64,
        amount: i128,
        balance: i128,
        from_start: bool,
    ) -> Result<(), LedgerError> {
        let before = match self.balances.get(&account) {
            Some(before) => Some(*before),
            None => from_start.then_some(0),
        };
        if let Some(before) = before
            && before.checked_add(amount) != Some(balance)
        {
            return Err(damaged(format!(
                "the balance at posting {id} does not follow"
            )));
        }
        self.balances.insert(account, balance);
        Ok(())
    }

    fn compare_balances(&self, accounts: &Accounts) -> Result<(), LedgerError> {
        for (id, balance) in &self.balances {
            match accounts.by_id.get(id) {
                Some(account) if account.balance == *balance => {}
                Some(account) => {
                    return Err(damaged(format!(
                        "{} says {} and its postings say {balance}",
                        account.name, account.balance
                    )));
                }
                None => return Err(damaged(format!("account {id} is missing"))),
            }
        }
        Ok(())
    }
}

/// Every payment's hold agrees with the sum of its postings.
fn payments(connection: &Connection) -> Result<(), LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT e.payment, a.name, p.amount
             FROM postings p JOIN entries e ON e.id = p.entry JOIN accounts a ON a.id = p.account
             ORDER BY e.payment",
        )
        .map_err(error::store)?;
    let mut rows = statement.query([]).map_err(error::store)?;
    let mut current = (0, Held::default());
    while let Some(row) = rows.next().map_err(error::store)? {
        let payment: i64 = row.get(0).map_err(error::store)?;
        if payment != current.0 {
            check_payment(connection, current.0, &current.1)?;
            current = (payment, Held::default());
        }
        let name: String = row.get(1).map_err(error::store)?;
        let amount = blob::from_signed(row.get(2).map_err(error::store)?);
        match place_of(&name) {
            Some(Place::Held) => add(&mut current.1.held, amount)?,
            Some(Place::Spent) => add(&mut current.1.spent, amount)?,
            Some(Place::Away) | None => {}
        }
    }
    check_payment(connection, current.0, &current.1)
}

#[derive(Default)]
struct Held {
    held: i128,
    spent: i128,
}

fn check_payment(connection: &Connection, seq: i64, found: &Held) -> Result<(), LedgerError> {
    if seq == 0 {
        return Ok(());
    }
    let Some(stored) = row::find(connection, "WHERE seq = ?1", [seq])? else {
        return Err(damaged(format!("postings without a payment: row {seq}")));
    };
    let payment = stored.payment;
    let amount = blob::posting_amount(payment.terms.amount)?;
    let expected = match payment.state.hold {
        Hold::Held => (amount, 0),
        Hold::Spent => (0, amount),
        Hold::Returned => (0, 0),
    };
    if (found.held, found.spent) != expected {
        return Err(damaged(format!(
            "payment {} is {:?}, and its postings hold {} and spend {}",
            payment.id, payment.state.hold, found.held, found.spent
        )));
    }
    Ok(())
}

fn query<T: rusqlite::types::FromSql>(
    connection: &Connection,
    sql: &str,
) -> Result<T, LedgerError> {
    connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(error::store)
}

fn add(sum: &mut i128, amount: i128) -> Result<(), LedgerError> {
    *sum = sum.checked_add(amount).ok_or(LedgerError::Overflow)?;
    Ok(())
}

fn damaged(text: String) -> LedgerError {
    LedgerError::Damaged(text)
}
