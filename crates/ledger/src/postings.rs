//! Writes entries: the only place that changes a balance.
//!
//! Every entry is checked to sum to zero per asset before a byte of it is written; every posting
//! carries its account's balance after it. Balances are read in the same transaction.

use farebox_core::ledger::{LedgerError, Payment};
use farebox_core::payment::{Effect, Phase, Role};
use rusqlite::{Connection, OptionalExtension, params};

use crate::accounts::{self, Day, Place, Triple};
use crate::blob::{self, Blob};
use crate::error;

/// How US dollars are written where an asset is expected.
pub(crate) const USD: &str = "";

/// What is written down about an entry, besides its postings.
pub(crate) struct Entry<'a> {
    /// The payment's place in the file.
    pub(crate) payment: i64,
    /// Unix milliseconds.
    pub(crate) at_ms: u64,
    /// JSON.
    pub(crate) event: &'a str,
    /// `None` for the first.
    pub(crate) before: Option<Phase>,
    /// Afterwards.
    pub(crate) after: Phase,
}

/// One line of an entry.
pub(crate) struct Posting {
    account: String,
    asset: String,
    amount: i128,
}

/// The lines that an effect asks for; none if it is not a posting effect.
pub(crate) fn of_effect(
    effect: Effect,
    payment: &Payment,
    day: Option<Day>,
) -> Result<Vec<Posting>, LedgerError> {
    let Some((from, to)) = accounts::route_of(effect) else {
        return Ok(Vec::new());
    };
    let mut postings = Vec::new();
    let asset = payment.terms.asset.to_string();
    let amount = blob::posting_amount(payment.terms.amount)?;
    let own = Triple::of_payment(payment);
    transfer(&mut postings, own.at(from), own.at(to), &asset, amount);
    match (&payment.buyer, day) {
        (Some(buyer), Some(day)) => {
            let cost = blob::posting_cost(payment.terms.cost)?;
            for triple in budgets_of(buyer.agent.as_deref(), day) {
                transfer(&mut postings, triple.at(from), triple.at(to), USD, cost);
            }
        }
        // Counted when it settles, and not turned back when a reorg undoes it. A balance read
        // between the undoing and our hearing of it already has the amount again; to subtract it
        // from the count as well would show the payer twice as rich. Counting on errs the other
        // way, and only until the next look at the chain.
        _ if to == Place::Spent && from != Place::Spent && payment.role != Role::Buyer => {
            let (memo, counter) = accounts::settled_from(payment.role, accounts::payer_of(payment));
            transfer(&mut postings, &counter, &memo, &asset, amount);
        }
        _ => {}
    }
    Ok(postings)
}

/// Writes an entry and its postings.
pub(crate) fn write(
    connection: &Connection,
    entry: &Entry<'_>,
    postings: &[Posting],
) -> Result<(), LedgerError> {
    check_zero_sums(postings)?;
    let number = insert_entry(connection, entry).map_err(error::store)?;
    for posting in postings {
        post(connection, number, posting)?;
    }
    Ok(())
}

/// The balance of an account; zero where nothing was ever posted.
pub(crate) fn balance(
    connection: &Connection,
    account: &str,
    asset: &str,
) -> Result<i128, LedgerError> {
    Ok(find(connection, account, asset)?.map_or(0, |(_, balance)| balance))
}

/// The four triples (two without an agent) that a buyer's cost moves through.
fn budgets_of(agent: Option<&str>, day: Day) -> Vec<Triple> {
    let mut triples = vec![Triple::of_total(None), Triple::of_day(None, day)];
    if agent.is_some() {
        triples.extend([Triple::of_total(agent), Triple::of_day(agent, day)]);
    }
    triples
}

fn transfer(postings: &mut Vec<Posting>, from: &str, to: &str, asset: &str, amount: i128) {
    let line = |account: &str, amount| Posting {
        account: account.to_owned(),
        asset: asset.to_owned(),
        amount,
    };
    // The negative of what came from an unsigned amount always fits.
    postings.extend([line(from, -amount), line(to, amount)]);
}

fn check_zero_sums(postings: &[Posting]) -> Result<(), LedgerError> {
    for posting in postings {
        let sum = postings
            .iter()
            .filter(|other| other.asset == posting.asset)
            .try_fold(0_i128, |sum, other| sum.checked_add(other.amount))
            .ok_or(LedgerError::Overflow)?;
        if sum != 0 {
            return Err(LedgerError::Damaged(format!(
                "an entry would create {sum} of {}",
                posting.asset
            )));
        }
    }
    Ok(())
}

fn insert_entry(connection: &Connection, entry: &Entry<'_>) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO entries (payment, at_ms, event, phase_before, phase_after)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .insert(params![
            entry.payment,
            blob::time(entry.at_ms),
            entry.event,
            entry.before.map(phase_name),
            phase_name(entry.after),
        ])
}

fn post(connection: &Connection, entry: i64, posting: &Posting) -> Result<(), LedgerError> {
    let (account, before) = match find(connection, &posting.account, &posting.asset)? {
        Some(found) => found,
        None => (open_account(connection, posting).map_err(error::store)?, 0),
    };
    let balance = before
        .checked_add(posting.amount)
        .ok_or(LedgerError::Overflow)?;
    let balance = blob::signed(balance);
    insert_posting(
        connection,
        entry,
        account,
        blob::signed(posting.amount),
        balance,
    )
    .map_err(error::store)
}

fn insert_posting(
    connection: &Connection,
    entry: i64,
    account: i64,
    amount: Blob,
    balance: Blob,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO postings (entry, account, amount, balance) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![entry, account, amount, balance])?;
    connection
        .prepare_cached("UPDATE accounts SET balance = ?2 WHERE id = ?1")?
        .execute(params![account, balance])?;
    Ok(())
}

fn find(
    connection: &Connection,
    account: &str,
    asset: &str,
) -> Result<Option<(i64, i128)>, LedgerError> {
    connection
        .prepare_cached("SELECT id, balance FROM accounts WHERE name = ?1 AND asset = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![account, asset], |row| {
                    Ok((row.get(0)?, blob::from_signed(row.get(1)?)))
                })
                .optional()
        })
        .map_err(error::store)
}

fn open_account(connection: &Connection, posting: &Posting) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("INSERT INTO accounts (name, asset, balance) VALUES (?1, ?2, ?3)")?
        .insert(params![posting.account, posting.asset, blob::signed(0)])
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Reserved => "reserved",
        Phase::Sent => "sent",
        Phase::Settled => "settled",
        Phase::Rejected => "rejected",
        Phase::Unknown => "unknown",
        Phase::Released => "released",
        Phase::Lost => "lost",
    }
}
