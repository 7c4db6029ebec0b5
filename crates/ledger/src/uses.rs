//! Counts the uses of what was paid by invoice, and books the payments: by the first use or by the
//! rail's word, whichever comes first, once.
//!
//! | state | what `taken` and the payment say | a use | the rail's word | a crash before COMMIT |
//! |---|---|---|---|---|
//! | unknown | no row | books it, takes one | books it, takes none | no row |
//! | paid | a payment, 0 taken | takes one | nothing | 0 taken |
//! | used n of N | a payment, n taken | takes one | nothing | n taken |
//! | exhausted | a payment, N taken | refused | nothing | N taken |
//! | withdrawn | a time, with or without a payment | refused | books it | as before |

use farebox_core::ledger::{LedgerError, Payment, PaymentId};
use farebox_core::payment::{self, Effect, Event, Role, State};
use farebox_core::uses::{Allowance, NewPaid, Told, Used};
use farebox_wire::identity::Identity;
use rusqlite::{Connection, OptionalExtension, params};

use crate::books::Books;
use crate::buyer::Held;
use crate::postings::{self, Draft, Entry};
use crate::{blob, error, row, seller};

/// What stands in the journal for a payment that had moved before we knew of it.
const COLLECT: &str = "\"Collect\"";

/// See [`farebox_core::ledger::Ledger::take_use`]. Most uses are one statement.
pub(crate) fn take(
    books: &mut Books,
    paid: NewPaid,
    allowed: Allowance,
) -> Result<Used, LedgerError> {
    if let Some(used) = count(books, &paid.identity, allowed)? {
        return Ok(used);
    }
    match find(books.file(), &paid.identity)? {
        Some(line) if line.is_revoked => Ok(Used::Revoked),
        Some(Line {
            payment: Some(payment),
            ..
        }) => Ok(match allowed {
            Allowance::Uses(_) => Used::Exhausted,
            Allowance::Unlimited => Used::Again { payment, used: 1 },
        }),
        Some(Line { payment: None, .. }) | None => match allowed {
            Allowance::Uses(0) => Ok(Used::Exhausted),
            Allowance::Uses(_) | Allowance::Unlimited => {
                let (payment, is_booked_now) = book(books, paid, 1)?;
                Ok(Used::First {
                    payment,
                    is_booked_now,
                })
            }
        },
    }
}

/// Takes one of the uses that are left; `None` where there is none, or nothing is booked. Of those
/// that are not limited only the first is counted.
fn count(
    books: &mut Books,
    identity: &Identity,
    allowed: Allowance,
) -> Result<Option<Used>, LedgerError> {
    let limit = match allowed {
        Allowance::Uses(limit) => i64::try_from(limit).unwrap_or(i64::MAX),
        Allowance::Unlimited => 1,
    };
    let sql = "UPDATE uses SET taken = taken + 1
         WHERE identity = ?1 AND payment IS NOT NULL AND revoked_ms IS NULL AND taken < ?2
         RETURNING taken, payment";
    let counted = books.write(sql, |statement| {
        statement
            .query_row(params![identity.as_str(), limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?))
            })
            .optional()
    })?;
    Ok(counted.map(|(taken, payment)| {
        let payment = PaymentId(payment);
        match taken {
            1 => Used::First {
                payment,
                is_booked_now: false,
            },
            taken => Used::Again {
                payment,
                used: taken.unsigned_abs(),
            },
        }
    }))
}

/// See [`farebox_core::ledger::Ledger::give_back_use`].
pub(crate) fn give_back(books: &mut Books, identity: &Identity) -> Result<(), LedgerError> {
    let sql = "UPDATE uses SET taken = taken - 1 WHERE identity = ?1 AND taken > 0";
    books
        .write(sql, |statement| statement.execute([identity.as_str()]))
        .map(|_| ())
}

/// See [`farebox_core::ledger::Ledger::revoke`].
pub(crate) fn revoke(
    books: &mut Books,
    identity: &Identity,
    now_ms: u64,
) -> Result<bool, LedgerError> {
    let sql = "INSERT INTO uses (identity, taken, revoked_ms) VALUES (?1, 0, ?2)
         ON CONFLICT (identity) DO UPDATE SET revoked_ms = ?2 WHERE revoked_ms IS NULL";
    let changed = books.write(sql, |statement| {
        statement.execute(params![identity.as_str(), blob::time(now_ms)])
    })?;
    Ok(changed > 0)
}

/// See [`farebox_core::ledger::Ledger::book_told`]. May fail after it has written.
pub(crate) fn book_told(books: &mut Books, told: Told) -> Result<Vec<PaymentId>, LedgerError> {
    let mut booked = Vec::new();
    for paid in told.paid {
        let line = find(books.file(), &paid.identity)?;
        if line.is_some_and(|line| line.payment.is_some()) {
            continue;
        }
        let (payment, is_booked_now) = book(books, paid, 0)?;
        if is_booked_now {
            booked.push(payment);
        }
    }
    let place = i64::try_from(told.index)
        .map_err(|_| LedgerError::Store("the node's count does not fit".to_owned()))?;
    let sql = "INSERT INTO told (source, place) VALUES (?1, ?2)
         ON CONFLICT (source) DO UPDATE SET place = max(place, ?2)";
    books.write(sql, |statement| {
        statement.execute(params![told.source, place])
    })?;
    Ok(booked)
}

/// See [`farebox_core::ledger::Ledger::told_to`].
pub(crate) fn told_to(connection: &Connection, source: &str) -> Result<u64, LedgerError> {
    let place: Option<i64> = connection
        .prepare_cached("SELECT place FROM told WHERE source = ?1")
        .and_then(|mut statement| statement.query_row([source], |row| row.get(0)).optional())
        .map_err(error::store)?;
    Ok(place.map_or(0, |place| u64::try_from(place).unwrap_or_default()))
}

/// What is written of one name.
struct Line {
    payment: Option<PaymentId>,
    is_revoked: bool,
}

fn find(connection: &Connection, identity: &Identity) -> Result<Option<Line>, LedgerError> {
    connection
        .prepare_cached("SELECT payment, revoked_ms IS NOT NULL FROM uses WHERE identity = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([identity.as_str()], |row| {
                    let payment: Option<String> = row.get(0)?;
                    Ok(Line {
                        payment: payment.map(PaymentId),
                        is_revoked: row.get(1)?,
                    })
                })
                .optional()
        })
        .map_err(error::store)
}

/// Writes the payment with its postings and its counter. It is not booked yet, as far as the
/// counters say; where the payments know better, the counter follows them.
fn book(books: &mut Books, paid: NewPaid, taken: i64) -> Result<(PaymentId, bool), LedgerError> {
    let identity = paid.identity.clone();
    let payment = payment_of(paid)?;
    let entry = Entry {
        at_ms: payment.created_ms,
        event: COLLECT.into(),
        before: None,
        after: payment.state.phase,
    };
    // It was never held: straight from the payers to the revenue.
    let lines = postings::of_effect(Effect::CommitReturned, &payment, None)?;
    let mut draft = Draft::default();
    draft.add(books, entry, lines)?;
    let (id, is_booked_now) = match row::insert(books, payment, None)? {
        Held::First(stored) => {
            draft.write(books, stored.seq)?;
            let id = stored.payment.id.clone();
            books.keep(stored);
            (id, true)
        }
        Held::Taken(payment) => match seller::find(books.file(), Role::Seller, &identity)? {
            Some(stored) => (stored.payment.id, false),
            None => {
                return Err(LedgerError::Damaged(format!(
                    "the identity of {} is taken by no payment",
                    payment.id
                )));
            }
        },
    };
    let sql = "INSERT INTO uses (identity, payment, taken) VALUES (?1, ?2, ?3)
         ON CONFLICT (identity) DO UPDATE SET payment = ?2, taken = ?3";
    books.write(sql, |statement| {
        statement.execute(params![identity.as_str(), id.0, taken])
    })?;
    Ok((id, is_booked_now))
}

/// Settled for good from its first moment, by the same rules as any other.
fn payment_of(paid: NewPaid) -> Result<Payment, LedgerError> {
    let proven = Event::Settled {
        transaction: paid.transaction,
        is_final: true,
    };
    let state = payment::step(&State::reserved(), &proven)?.state;
    Ok(Payment {
        id: paid.id,
        role: Role::Seller,
        state,
        terms: paid.terms,
        identity: Some(paid.identity),
        created_ms: paid.now_ms,
        updated_ms: paid.now_ms,
        valid_before_s: None,
        handle: None,
        sent: Vec::new(),
        receipt: None,
        buyer: None,
        seller: Some(paid.side),
    })
}

/// The counters agree with the payments that they are for.
pub(crate) fn check(connection: &Connection) -> Result<(), LedgerError> {
    let sql = "SELECT u.identity FROM uses u LEFT JOIN payments p ON p.id = u.payment
         WHERE u.payment IS NOT NULL AND (p.identity IS NOT u.identity OR p.role IS NOT 'seller')
         LIMIT 1";
    let wrong: Option<String> = connection
        .query_row(sql, [], |row| row.get(0))
        .optional()
        .map_err(error::store)?;
    match wrong {
        Some(identity) => Err(LedgerError::Damaged(format!(
            "the uses of {identity} are counted for another payment"
        ))),
        None => Ok(()),
    }
}
