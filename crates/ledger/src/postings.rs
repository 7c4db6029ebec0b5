//! Decides and writes entries: the only place that changes a balance.
//!
//! Every entry is checked to sum to zero per asset before a byte of it is written; every posting
//! carries its account's balance after it.

use std::borrow::Cow;
use std::rc::Rc;

use farebox_core::ledger::{Actual, LedgerError, Payment};
use farebox_core::payment::{Effect, Phase, Role};
use farebox_wire::money::Amount;
use rusqlite::{Connection, OptionalExtension, params};

use crate::accounts::{self, Day, Place, Triple};
use crate::books::Books;
use crate::cache::Slot;
use crate::{blob, error};

/// How US dollars are written where an asset is expected.
pub(crate) const USD: &str = "";

/// What is written down about an entry, besides its postings.
pub(crate) struct Entry {
    /// Unix milliseconds.
    pub(crate) at_ms: u64,
    /// JSON.
    pub(crate) event: Cow<'static, str>,
    /// `None` for the first.
    pub(crate) before: Option<Phase>,
    /// Afterwards.
    pub(crate) after: Phase,
}

/// One line of an entry.
pub(crate) struct Posting {
    account: String,
    asset: Rc<str>,
    amount: i128,
}

/// Entries of one payment that are decided and checked. Nothing of them is written yet, so that
/// whatever forbids one of them leaves nothing.
#[derive(Default)]
pub(crate) struct Draft {
    entries: Vec<(Entry, Vec<Line>)>,
}

struct Line {
    posting: Posting,
    slot: Slot,
    /// Of the account after it.
    balance: i128,
}

impl Draft {
    /// Adds an entry: its lines have to sum to zero, and its accounts to have room for them.
    pub(crate) fn add(
        &mut self,
        books: &mut Books,
        entry: Entry,
        postings: Vec<Posting>,
    ) -> Result<(), LedgerError> {
        check_zero_sums(&postings)?;
        let mut lines: Vec<Line> = Vec::with_capacity(postings.len());
        for posting in postings {
            let (slot, account) = books.account(&posting.account, &posting.asset)?;
            let earlier = self.entries.iter().flat_map(|(_, lines)| lines);
            let before = earlier
                .chain(&lines)
                .rfind(|line| line.slot == slot)
                .map_or(account.balance, |line| line.balance);
            let balance = before
                .checked_add(posting.amount)
                .ok_or(LedgerError::Overflow)?;
            lines.push(Line {
                posting,
                slot,
                balance,
            });
        }
        self.entries.push((entry, lines));
        Ok(())
    }

    /// Writes all of it for the payment in this row.
    pub(crate) fn write(self, books: &mut Books, payment: i64) -> Result<(), LedgerError> {
        for (entry, lines) in self.entries {
            let number = insert_entry(books, payment, &entry)?;
            post(books, number, &lines)?;
        }
        Ok(())
    }
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
    let mut postings = Vec::with_capacity(4);
    let asset: Rc<str> = payment.terms.asset.to_string().into();
    let sums = Sums::of_asset(payment)?;
    let own = |place| accounts::of_payment(payment, place);
    transfer(&mut postings, own, (from, to), &asset, sums);
    match (&payment.buyer, day) {
        (Some(buyer), Some(day)) => {
            let (cost, usd) = (Sums::of_budget(payment)?, Rc::from(USD));
            for triple in budgets_of(buyer.agent.as_deref(), day) {
                let at = |place| triple.at(place).to_owned();
                transfer(&mut postings, at, (from, to), &usd, cost);
            }
        }
        // Counted when it settles, and not turned back when a reorg undoes it. A balance read
        // between the undoing and our hearing of it already has the amount again; to subtract it
        // from the count as well would show the payer twice as rich. Counting on errs the other
        // way, and only until the next look at the chain.
        _ if to == Place::Spent && from != Place::Spent && payment.role != Role::Buyer => {
            let (memo, counter) = accounts::settled_from(payment.role, accounts::payer_of(payment));
            post_line(&mut postings, counter, &asset, -sums.spent);
            post_line(&mut postings, memo, &asset, sums.spent);
        }
        _ => {}
    }
    Ok(postings)
}

/// The lines for a payment all of which has become spent, and of which less (or more) turns out to
/// have been.
pub(crate) fn of_news(
    payment: &Payment,
    actual: Actual,
    day: Option<Day>,
) -> Result<Vec<Posting>, LedgerError> {
    let mut told = payment.clone();
    if let Some(buyer) = &mut told.buyer {
        buyer.actual = Some(actual);
    }
    let mut postings = of_effect(Effect::WriteOff, payment, day)?;
    postings.extend(of_effect(Effect::CommitReturned, &told, day)?);
    Ok(postings)
}

/// What a payment comes to while it is held, and once it is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) held: i128,
    pub(crate) spent: i128,
}

impl Sums {
    /// Of its own asset: a buyer's with the fee, which nobody else knows.
    pub(crate) fn of_asset(payment: &Payment) -> Result<Self, LedgerError> {
        let terms = &payment.terms;
        let with = |fee: Amount| {
            let sum = terms.amount.checked_add(fee).ok_or(LedgerError::Overflow)?;
            blob::posting_amount(sum)
        };
        let (most, fee) = match &payment.buyer {
            Some(buyer) => {
                let actual = buyer.actual.map(|actual| actual.fee);
                (terms.fee_max, actual.unwrap_or(terms.fee_max))
            }
            None => (Amount::ZERO, Amount::ZERO),
        };
        Ok(Self {
            held: with(most)?,
            spent: with(fee)?,
        })
    }

    /// Of the dollars of budgets.
    pub(crate) fn of_budget(payment: &Payment) -> Result<Self, LedgerError> {
        let most = payment.terms.cost;
        let actual = payment.buyer.as_ref().and_then(|buyer| buyer.actual);
        Ok(Self {
            held: blob::posting_cost(most)?,
            spent: blob::posting_cost(actual.map_or(most, |actual| actual.cost))?,
        })
    }

    const fn at(self, place: Place) -> Option<i128> {
        match place {
            Place::Held => Some(self.held),
            Place::Spent => Some(self.spent),
            Place::Away => None,
        }
    }
}

/// The balance of an account in the file, for readers; zero where nothing was ever posted.
pub(crate) fn balance(
    connection: &Connection,
    account: &str,
    asset: &str,
) -> Result<i128, LedgerError> {
    Ok(find(connection, account, asset)?.map_or(0, |(_, balance)| balance))
}

/// An account's place and balance in the file.
pub(crate) fn find(
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

/// The four triples (two without an agent) that a buyer's cost moves through.
fn budgets_of(agent: Option<&str>, day: Day) -> Vec<Triple> {
    let mut triples = vec![Triple::of_total(None), Triple::of_day(None, day)];
    if agent.is_some() {
        triples.extend([Triple::of_total(agent), Triple::of_day(agent, day)]);
    }
    triples
}

/// Moves what a payment has at one place to another. Where the two are not the same, as where less
/// is spent than was held, the rest comes from away or goes there.
fn transfer(
    postings: &mut Vec<Posting>,
    account: impl Fn(Place) -> String,
    (from, to): (Place, Place),
    asset: &Rc<str>,
    sums: Sums,
) {
    let (out, into) = match (sums.at(from), sums.at(to)) {
        (Some(out), Some(into)) => (out, into),
        (Some(both), None) | (None, Some(both)) => (both, both),
        (None, None) => return,
    };
    // What came from unsigned amounts can be negative and differ without overflow.
    post_line(postings, account(from), asset, -out);
    post_line(postings, account(to), asset, into);
    if out != into {
        post_line(postings, account(Place::Away), asset, out - into);
    }
}

fn post_line(postings: &mut Vec<Posting>, account: String, asset: &Rc<str>, amount: i128) {
    postings.push(Posting {
        account,
        asset: Rc::clone(asset),
        amount,
    });
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

fn insert_entry(books: &mut Books, payment: i64, entry: &Entry) -> Result<i64, LedgerError> {
    let sql = "INSERT INTO entries (payment, at_ms, event, phase_before, phase_after)
             VALUES (?1, ?2, ?3, ?4, ?5)";
    books.write(sql, |statement| {
        statement.insert(params![
            payment,
            blob::time(entry.at_ms),
            entry.event,
            entry.before.map(phase_name),
            phase_name(entry.after),
        ])
    })
}

fn post(books: &mut Books, entry: i64, lines: &[Line]) -> Result<(), LedgerError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let account = match books.id_at(line.slot) {
            Some(id) => id,
            None => open_account(books, &line.posting)?,
        };
        books.posted(line.slot, account, line.balance);
        rows.push((
            entry,
            account,
            blob::signed(line.posting.amount),
            blob::signed(line.balance),
        ));
    }
    let sql = "INSERT INTO postings (entry, account, amount, balance) VALUES (?1, ?2, ?3, ?4)";
    books.write(sql, |statement| {
        rows.into_iter()
            .try_for_each(|row| statement.execute(row).map(|_| ()))
    })
}

/// Its balance is written at the end of the transaction, as everybody's.
fn open_account(books: &mut Books, posting: &Posting) -> Result<i64, LedgerError> {
    books.write(
        "INSERT INTO accounts (name, asset, balance) VALUES (?1, ?2, ?3)",
        |statement| statement.insert(params![posting.account, &*posting.asset, blob::signed(0)]),
    )
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
