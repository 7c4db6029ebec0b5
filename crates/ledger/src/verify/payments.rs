//! Every payment's state agrees with the sum of its postings, and its flags with its state.

use farebox_core::ledger::{LedgerError, Payment};
use farebox_core::payment::{Hold, Role};
use rusqlite::Connection;

use super::{add, damaged, query};
use crate::accounts::{Place, Purpose, purpose_of};
use crate::postings::Sums;
use crate::{blob, error, row};

/// What the postings of one payment come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Of its own asset.
    own: Pair,
    /// Of the owner's budget.
    budget: Pair,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Pair {
    held: i128,
    spent: i128,
}

/// Checks all of them, sorted by SQLite so that memory does not grow with the ledger.
pub(super) fn check(connection: &Connection) -> Result<(), LedgerError> {
    let mut statement = connection
        .prepare(
            "SELECT e.payment, a.name, p.amount
             FROM postings p JOIN entries e ON e.id = p.entry JOIN accounts a ON a.id = p.account
             ORDER BY e.payment",
        )
        .map_err(error::store)?;
    let mut rows = statement.query([]).map_err(error::store)?;
    let mut current: Option<(i64, Found)> = None;
    let mut checked: i64 = 0;
    while let Some(row) = rows.next().map_err(error::store)? {
        let seq: i64 = row.get(0).map_err(error::store)?;
        let name: String = row.get(1).map_err(error::store)?;
        let amount = blob::from_signed(row.get(2).map_err(error::store)?);
        if let Some((done, sums)) = current.take_if(|(at, _)| *at != seq) {
            check_one(connection, done, &sums)?;
            checked = checked.saturating_add(1);
        }
        let (_, sums) = current.get_or_insert_with(|| (seq, Found::default()));
        sums.take(&name, amount)?;
    }
    if let Some((done, sums)) = current {
        check_one(connection, done, &sums)?;
        checked = checked.saturating_add(1);
    }
    let all: i64 = query(connection, "SELECT count(*) FROM payments")?;
    if checked == all {
        return Ok(());
    }
    Err(damaged(format!(
        "{all} payments, and postings for {checked} of them"
    )))
}

impl Found {
    fn take(&mut self, account: &str, amount: i128) -> Result<(), LedgerError> {
        let (pair, place) = match purpose_of(account) {
            Some((Purpose::Payment, place)) => (&mut self.own, place),
            Some((Purpose::OwnersTotal, place)) => (&mut self.budget, place),
            None => return Ok(()),
        };
        match place {
            Place::Held => add(&mut pair.held, amount),
            Place::Spent => add(&mut pair.spent, amount),
            Place::Away => Ok(()),
        }
    }

    fn expected(payment: &Payment) -> Result<Self, LedgerError> {
        let hold = payment.state.hold;
        let budget = match payment.role {
            Role::Buyer => Pair::expected(hold, Sums::of_budget(payment)?),
            Role::Seller | Role::Facilitator => Pair::default(),
        };
        Ok(Self {
            own: Pair::expected(hold, Sums::of_asset(payment)?),
            budget,
        })
    }
}

impl Pair {
    fn expected(hold: Hold, sums: Sums) -> Self {
        let (held, spent) = match hold {
            Hold::Held => (sums.held, 0),
            Hold::Spent => (0, sums.spent),
            Hold::Returned => (0, 0),
        };
        Self { held, spent }
    }
}

fn check_one(connection: &Connection, seq: i64, found: &Found) -> Result<(), LedgerError> {
    let Some(stored) = row::find(connection, row::BY_SEQ, [seq])? else {
        return Err(damaged(format!("the payment in row {seq} is missing")));
    };
    let payment = stored.payment;
    let state = &payment.state;
    if *found != Found::expected(&payment)? {
        return Err(damaged(format!(
            "payment {} is {:?}, and its postings come to {found:?}",
            payment.id, state.hold
        )));
    }
    let flags: (bool, bool) = connection
        .prepare_cached("SELECT is_open, is_live FROM payments WHERE seq = ?1")
        .and_then(|mut statement| statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(error::store)?;
    if flags != (row::is_open(state), row::is_live(state)) {
        return Err(damaged(format!(
            "payment {} is not listed as what it is",
            payment.id
        )));
    }
    Ok(())
}
