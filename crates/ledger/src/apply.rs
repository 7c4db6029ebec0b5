//! Takes events: steps the state, posts what the step asks for, attaches what came with it.

use farebox_core::ledger::{
    Actual, Applied, Attach, BuyerSide, Lease, LedgerError, Payment, PaymentId, Taker,
};
use farebox_core::payment::{self, Effect, Event, Hold};
use rusqlite::params;

use crate::books::Books;
use crate::postings::{self, Draft, Entry};
use crate::row::{self, Stored};
use crate::{accounts, blob, seller, tokens};

/// What stands in the journal where it is heard how much of what is spent was really paid.
const PAID: &str = "\"Paid\"";

/// Events on one payment, in turn, inside the caller's transaction: all are decided before the
/// first is written.
pub(crate) fn apply(
    books: &mut Books,
    id: &PaymentId,
    events: &[Event],
    attach: Attach,
    now_ms: u64,
) -> Result<Applied, LedgerError> {
    let (stored, effects) = change(books, id, events, attach, now_ms)?;
    let payment = books.keep_and_copy(stored);
    Ok(Applied { payment, effects })
}

/// The same event on many payments. Nothing of one that is refused was written, so that the others
/// stand; where a write has failed, or the transaction is gone, all fail.
pub(crate) fn apply_to_each(
    books: &mut Books,
    takers: Vec<Taker>,
    event: &Event,
    now_ms: u64,
) -> Result<Vec<Result<Vec<Effect>, LedgerError>>, LedgerError> {
    let events = std::slice::from_ref(event);
    let mut taken = Vec::with_capacity(takers.len());
    for Taker { id, attach } in takers {
        books.begin_job();
        match change(books, &id, events, attach, now_ms) {
            Ok((stored, effects)) => {
                books.keep(stored);
                taken.push(Ok(effects));
            }
            Err(error) if books.has_written() || books.has_lost_transaction() => return Err(error),
            Err(error) => taken.push(Err(error)),
        }
    }
    Ok(taken)
}

fn change(
    books: &mut Books,
    id: &PaymentId,
    events: &[Event],
    attach: Attach,
    now_ms: u64,
) -> Result<(Stored, Vec<Effect>), LedgerError> {
    let mut stored = books.take(id)?;
    let namesake = namesake(books, &stored, &attach)?;
    let mut effects = Vec::new();
    let mut draft = Draft::default();
    let mut has_moved = hear(books, &mut draft, &mut stored, attach.actual, now_ms)?;
    for event in events {
        let (more, moved) = take(books, &mut draft, &mut stored, event, now_ms)?;
        effects.extend(more);
        has_moved |= moved;
    }
    let token = attach.token.clone();
    let added = attach_to(&mut stored.payment, attach);
    if has_moved || added != Added::Nothing {
        stored.payment.updated_ms = now_ms;
    }
    draft.write(books, stored.seq)?;
    if let Some(namesake) = namesake {
        row::unname(books, &namesake)?;
    }
    save(books, &mut stored, has_moved, added)?;
    if let Some(token) = token {
        tokens::keep(books, &token)?;
    }
    Ok((stored, effects))
}

/// The payment that has had the name which this one is about to get. It gives it up where its
/// hold was given back.
fn namesake(
    books: &Books,
    stored: &Stored,
    attach: &Attach,
) -> Result<Option<Stored>, LedgerError> {
    let payment = &stored.payment;
    let Some(identity) = attach.identity.as_ref().filter(|_| payment.buyer.is_some()) else {
        return Ok(None);
    };
    let other = seller::find(books.file(), payment.role, identity)?;
    match other.filter(|other| other.seq != stored.seq) {
        Some(other) if other.payment.state.hold != Hold::Returned => {
            Err(LedgerError::Taken(other.payment.id))
        }
        other => Ok(other),
    }
}

/// Takes what a payment has really cost. Where all of it counts as spent already, an entry says how
/// much less (or more) it was; returns whether there is one.
fn hear(
    books: &mut Books,
    draft: &mut Draft,
    stored: &mut Stored,
    actual: Option<Actual>,
    now_ms: u64,
) -> Result<bool, LedgerError> {
    let is_news = |buyer: &BuyerSide| actual.is_some() && buyer.actual != actual;
    let Some(actual) = actual.filter(|_| stored.payment.buyer.as_ref().is_some_and(is_news)) else {
        return Ok(false);
    };
    let is_spent = stored.payment.state.hold == Hold::Spent;
    if is_spent {
        let phase = stored.payment.state.phase;
        let entry = Entry {
            at_ms: now_ms,
            event: PAID.into(),
            before: Some(phase),
            after: phase,
        };
        let lines = postings::of_news(&stored.payment, actual, stored.day)?;
        draft.add(books, entry, lines)?;
    }
    if let Some(buyer) = &mut stored.payment.buyer {
        buyer.actual = Some(actual);
    }
    Ok(is_spent)
}

/// What belongs to a payment, without an event.
pub(crate) fn attach(books: &mut Books, id: &PaymentId, attach: Attach) -> Result<(), LedgerError> {
    let mut stored = books.take(id)?;
    let added = attach_to(&mut stored.payment, attach);
    save(books, &mut stored, false, added)?;
    books.keep(stored);
    Ok(())
}

/// Writes as little as will do: every column that is named costs its indexes.
fn save(
    books: &mut Books,
    stored: &mut Stored,
    has_moved: bool,
    added: Added,
) -> Result<(), LedgerError> {
    if has_moved || added != Added::Nothing {
        row::update(books, stored)?;
    }
    if added == Added::More {
        row::update_attachments(books, stored)?;
    }
    Ok(())
}

/// A sign of life; `false` where another owner has the payment.
pub(crate) fn renew_lease(
    books: &mut Books,
    id: &PaymentId,
    lease: &Lease,
) -> Result<bool, LedgerError> {
    let sql = "UPDATE payments SET lease_until_ms = ?3 WHERE id = ?1 AND lease_owner = ?2";
    let renewed = books.write(sql, |statement| {
        statement.execute(params![id.0, lease.owner, blob::time(lease.until_ms)])
    })?;
    if renewed == 0 {
        // Another owner, or no payment at all?
        row::by_id(books.file(), id)?;
    }
    Ok(renewed > 0)
}

/// Compare and swap: `false` where the lease is no longer the one that was seen.
pub(crate) fn take_lease(
    books: &mut Books,
    id: &PaymentId,
    seen: &Lease,
    lease: &Lease,
) -> Result<bool, LedgerError> {
    let sql = "UPDATE payments SET lease_owner = ?4, lease_until_ms = ?5
             WHERE id = ?1 AND lease_owner = ?2 AND lease_until_ms = ?3";
    let taken = books.write(sql, |statement| {
        statement.execute(params![
            id.0,
            seen.owner,
            blob::time(seen.until_ms),
            lease.owner,
            blob::time(lease.until_ms)
        ])
    })?;
    if taken == 0 {
        // Another taker, or no payment at all?
        row::by_id(books.file(), id)?;
    }
    Ok(taken > 0)
}

/// Steps a payment and drafts its entry; the caller writes both. Gives the effects that are left,
/// and whether anything about the payment changed.
///
/// An event that changes nothing leaves no entry, so that a watcher may repeat itself for years;
/// a sending always does, because something left the house.
pub(crate) fn take(
    books: &mut Books,
    draft: &mut Draft,
    stored: &mut Stored,
    event: &Event,
    now_ms: u64,
) -> Result<(Vec<Effect>, bool), LedgerError> {
    let transition = payment::step(&stored.payment.state, event)?;
    let sent = match event {
        Event::Sending { transaction } => transaction.as_ref(),
        _ => None,
    };
    let is_sending = matches!(event, Event::Sending { .. });
    if transition.state == stored.payment.state && !is_sending {
        return Ok((left(&transition.effects), false));
    }
    let mut lines = Vec::new();
    for effect in &transition.effects {
        lines.extend(postings::of_effect(*effect, &stored.payment, stored.day)?);
    }
    let entry = Entry {
        at_ms: now_ms,
        event: row::json(event)?.into(),
        before: Some(stored.payment.state.phase),
        after: transition.state.phase,
    };
    draft.add(books, entry, lines)?;
    stored.payment.state = transition.state;
    if let Some(sent) = sent.filter(|sent| !stored.payment.hashes().any(|hash| *hash == sent.hash))
    {
        stored.payment.sent.push(sent.clone());
    }
    Ok((left(&transition.effects), true))
}

fn left(effects: &[Effect]) -> Vec<Effect> {
    effects
        .iter()
        .copied()
        .filter(|effect| accounts::route_of(*effect).is_none())
        .collect()
}

/// What an attachment has brought that was not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Added {
    Nothing,
    /// A receipt or a digest, which are written with the state.
    Facts,
    /// Something that is written apart.
    More,
}

/// Puts each field where it belongs and says what it changed. What the side of this payment has no
/// place for is ignored; a claim keeps the identity that it claimed.
fn attach_to(payment: &mut Payment, attach: Attach) -> Added {
    let mut facts = put(&mut payment.receipt, attach.receipt);
    let mut more = attach.handle.is_some()
        | attach.actual.is_some()
        | put(&mut payment.valid_before_s, attach.valid_before_s);
    if let Some(handle) = attach.handle {
        payment.handle = Some(handle);
    }
    if let Some(buyer) = &mut payment.buyer {
        more |= put(&mut payment.identity, attach.identity);
        if let Some(credential) = attach.credential {
            buyer.credential = Some(credential);
            more = true;
        }
        if let Some(lease) = attach.lease {
            buyer.lease = lease;
            more = true;
        }
    }
    if let Some(seller) = &mut payment.seller {
        facts |= put(&mut seller.body_digest, attach.body_digest);
        if let Some(digest) = attach.request_digest {
            facts |= seller.request_digest != digest;
            seller.request_digest = digest;
        }
    }
    match (more, facts) {
        (true, _) => Added::More,
        (false, true) => Added::Facts,
        (false, false) => Added::Nothing,
    }
}

fn put<T: PartialEq>(place: &mut Option<T>, value: Option<T>) -> bool {
    let is_new = value.is_some() && *place != value;
    if is_new {
        *place = value;
    }
    is_new
}
