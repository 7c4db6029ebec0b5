//! Holds money for a buyer: the twin, the budgets and the reserve in one transaction, so that no
//! two processes take the last cent or sign the same call twice.

use farebox_core::ledger::{BuyerSide, CallKey, LedgerError, NewSpend, Payment, Reserved};
use farebox_core::payment::{Effect, Role, State};
use rusqlite::Connection;

use crate::postings::{self, Entry};
use crate::row::{self, Stored};
use crate::{accounts, budget};

/// What stands in the journal for the first entry of a buyer's payment.
const RESERVE: &str = "\"Reserve\"";

/// See [`farebox_core::ledger::Ledger::reserve`].
pub(crate) fn reserve(connection: &Connection, new: NewSpend) -> Result<Reserved, LedgerError> {
    if !new.fresh
        && let Some(twin) = by_call(connection, &new.call)?
    {
        return Ok(Reserved::Twin(Box::new(twin)));
    }
    let day = accounts::day_of(new.now_ms);
    let agent = new.agent.as_deref();
    if let Err(denial) = budget::decide(connection, agent, day, new.terms.cost)? {
        return Ok(Reserved::Denied(denial));
    }
    let stored = row::insert(connection, payment_of(new), Some(day))?;
    hold(connection, &stored, RESERVE, stored.payment.created_ms)?;
    Ok(Reserved::First(Box::new(stored.payment)))
}

/// The newest payment that a call still waits for.
pub(crate) fn by_call(
    connection: &Connection,
    call: &CallKey,
) -> Result<Option<Payment>, LedgerError> {
    let tail = "WHERE call = ?1 AND is_live = 1 ORDER BY seq DESC LIMIT 1";
    Ok(row::find(connection, tail, [&call.0])?.map(|stored| stored.payment))
}

/// The first entry of a payment: its amount is held.
pub(crate) fn hold(
    connection: &Connection,
    stored: &Stored,
    event: &str,
    at_ms: u64,
) -> Result<(), LedgerError> {
    let lines = postings::of_effect(Effect::Reserve, &stored.payment, stored.day)?;
    let entry = Entry {
        payment: stored.seq,
        at_ms,
        event,
        before: None,
        after: stored.payment.state.phase,
    };
    postings::write(connection, &entry, &lines)
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
            url: new.url,
            credential: None,
            lease: new.lease,
        }),
        seller: None,
    }
}
