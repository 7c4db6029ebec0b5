//! Holds money for a buyer: the twin, the budgets and the reserve in one transaction, so that no
//! two processes take the last cent or sign the same call twice.

use farebox_core::ledger::{BuyerSide, CallKey, LedgerError, NewSpend, Payment, Reserved};
use farebox_core::payment::{Effect, Role, State};
use rusqlite::Connection;

use crate::accounts::{self, Day};
use crate::books::Books;
use crate::budget;
use crate::postings::{self, Draft, Entry};
use crate::row::{self, Stored};

/// What stands in the journal for the first entry of a buyer's payment.
const RESERVE: &str = "\"Reserve\"";

/// See [`farebox_core::ledger::Ledger::reserve`].
/// May fail after it has written.
pub(crate) fn reserve(books: &mut Books, new: NewSpend) -> Result<Reserved, LedgerError> {
    if !new.fresh
        && let Some(twin) = by_call(books.file(), &new.call)?
    {
        return Ok(Reserved::Twin(Box::new(twin)));
    }
    let day = accounts::day_of(new.now_ms);
    let agent = new.agent.as_deref();
    if let Err(denial) = budget::decide(books, agent, day, new.terms.cost)? {
        return Ok(Reserved::Denied(denial));
    }
    match hold(books, payment_of(new), Some(day), RESERVE)? {
        Held::First(stored) => Ok(Reserved::First(Box::new(stored.payment))),
        Held::Taken(payment) => Err(LedgerError::Store(format!(
            "{} has no identity and yet a twin",
            payment.id
        ))),
    }
}

/// The newest payment that a call still waits for.
pub(crate) fn by_call(
    connection: &Connection,
    call: &CallKey,
) -> Result<Option<Payment>, LedgerError> {
    Ok(row::find(connection, row::BY_CALL, [&call.0])?.map(|stored| stored.payment))
}

/// What became of the first entry of a payment.
pub(crate) enum Held {
    /// It is written, and the amount is held.
    First(Stored),
    /// Another payment has its identity; nothing was written.
    Taken(Payment),
}

/// Writes a new payment with its first entry.
pub(crate) fn hold(
    books: &mut Books,
    payment: Payment,
    day: Option<Day>,
    event: &'static str,
) -> Result<Held, LedgerError> {
    let entry = Entry {
        at_ms: payment.created_ms,
        event: event.into(),
        before: None,
        after: payment.state.phase,
    };
    let lines = postings::of_effect(Effect::Reserve, &payment, day)?;
    let mut draft = Draft::default();
    draft.add(books, entry, lines)?;
    let held = row::insert(books, payment, day)?;
    if let Held::First(stored) = &held {
        draft.write(books, stored.seq)?;
    }
    Ok(held)
}

fn payment_of(new: NewSpend) -> Payment {
    Payment {
        id: new.id,
        role: Role::Buyer,
        state: State::reserved(),
        terms: new.terms,
        identity: None,
        created_ms: new.now_ms,
        updated_ms: new.now_ms,
        valid_before_s: None,
        handle: None,
        sent: Vec::new(),
        receipt: None,
        buyer: Some(BuyerSide {
            call: new.call,
            agent: new.agent,
            method: new.method,
            url: new.url,
            credential: None,
            lease: new.lease,
            actual: None,
        }),
        seller: None,
    }
}
