//! Claims identities for sellers and facilitators: first wins, and the payer's balance is held in
//! the same transaction, so that a hundred authorizations on a balance for one give one First.

use farebox_core::ledger::{
    Claimed, ClaimedIdentity, Cover, LedgerError, NewClaim, PayerMark, Payment,
};
use farebox_core::payment::{Event, Phase, Role, State};
use farebox_wire::caip::AssetId;
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;
use rusqlite::{Connection, params};

use crate::row::{self, Stored};
use crate::{accounts, apply, blob, buyer, error, postings};

/// What stands in the journal for the first entry of a claim.
const CLAIM: &str = "\"Claim\"";
/// A payer's money is one pile, whoever in this ledger collects it.
const COLLECTORS: [Role; 2] = [Role::Seller, Role::Facilitator];

/// See [`farebox_core::ledger::Ledger::claim`].
pub(crate) fn claim(connection: &Connection, new: NewClaim) -> Result<Claimed, LedgerError> {
    if new.role == Role::Buyer {
        return Err(LedgerError::Store(
            "a buyer reserves, only a seller or a facilitator claims".to_owned(),
        ));
    }
    let existing = find(connection, new.role, &new.identity)?;
    if let Some(stored) = &existing
        && stored.payment.state.phase != Phase::Released
    {
        return Ok(Claimed::Repeat(Box::new(stored.payment.clone())));
    }
    match new.cover {
        Cover::Balance(balance, mark) => {
            if let Some(left) = shortfall(connection, &new, balance, mark)? {
                return Ok(Claimed::Insufficient { left });
            }
        }
        Cover::OneAtATime(mark) => {
            if held_from(connection, &new)? > 0 || has_paid_since(connection, &new, mark)? {
                return Ok(Claimed::OneAtATime);
            }
        }
        Cover::NotNeeded => {}
    }
    let stored = match existing {
        Some(stored) => reclaim(connection, stored, new)?,
        None => {
            let stored = row::insert(connection, payment_of(new), None)?;
            buyer::hold(connection, &stored, CLAIM, stored.payment.created_ms)?;
            stored
        }
    };
    Ok(Claimed::First(Box::new(stored.payment)))
}

/// What was ever settled from a payer.
pub(crate) fn payer_mark(
    connection: &Connection,
    asset: &AssetId,
    payer: &str,
) -> Result<PayerMark, LedgerError> {
    let asset = asset.to_string();
    sum(connection, &asset, |role| {
        accounts::settled_from(role, payer).0
    })
    .map(|settled| PayerMark(Amount::from_atomic(settled)))
}

/// The payment that claimed an identity.
pub(crate) fn find(
    connection: &Connection,
    role: Role,
    identity: &Identity,
) -> Result<Option<Stored>, LedgerError> {
    row::find(
        connection,
        "WHERE identity = ?1 AND role = ?2",
        params![identity.as_str(), accounts::role_name(role)],
    )
}

/// See [`farebox_core::ledger::Ledger::claimed`]. What is closed and has no handle any more was
/// pruned, long after its end.
pub(crate) fn claimed(
    connection: &Connection,
    role: Role,
    since_s: u64,
    limit: usize,
) -> Result<Vec<ClaimedIdentity>, LedgerError> {
    let sql = "SELECT identity, valid_before_s FROM payments
         WHERE handle IS NOT NULL AND is_open = 0 AND valid_before_s >= ?2
            AND role = ?1 AND identity IS NOT NULL
         UNION ALL
         SELECT identity, valid_before_s FROM payments
         WHERE is_open = 1 AND role = ?1 AND identity IS NOT NULL AND valid_before_s IS NOT NULL
         ORDER BY valid_before_s DESC LIMIT ?3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql).map_err(error::store)?;
    let mut rows = statement
        .query(params![
            accounts::role_name(role),
            blob::time(since_s),
            limit
        ])
        .map_err(error::store)?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next().map_err(error::store)? {
        let identity: String = row.get(0).map_err(error::store)?;
        let valid_before_s = row.get(1).map_err(error::store)?;
        claimed.push(ClaimedIdentity {
            identity: Identity::from_stored(&identity),
            valid_before_s: blob::from_time(valid_before_s)?,
        });
    }
    Ok(claimed)
}

/// What is left of a payer's balance, if that is less than the claim needs.
fn shortfall(
    connection: &Connection,
    new: &NewClaim,
    balance: Amount,
    mark: PayerMark,
) -> Result<Option<Amount>, LedgerError> {
    let Some(payer) = &new.terms.payer else {
        return Ok(None);
    };
    let settled = payer_mark(connection, &new.terms.asset, payer)?.0;
    // The count never falls, so what is above the mark has gone since the balance was asked for.
    let gone = settled.checked_sub(mark.0).unwrap_or_default();
    let held = held_from(connection, new)?;
    let taken = gone
        .checked_add(Amount::from_atomic(held))
        .ok_or(LedgerError::Overflow)?;
    let left = balance.checked_sub(taken).unwrap_or_default();
    Ok((left < new.terms.amount).then_some(left))
}

/// Whether anything was settled from the payer since the mark was read.
fn has_paid_since(
    connection: &Connection,
    new: &NewClaim,
    mark: PayerMark,
) -> Result<bool, LedgerError> {
    match &new.terms.payer {
        Some(payer) => Ok(payer_mark(connection, &new.terms.asset, payer)? != mark),
        None => Ok(false),
    }
}

/// What other claims hold of the payer's money.
fn held_from(connection: &Connection, new: &NewClaim) -> Result<u128, LedgerError> {
    let Some(payer) = &new.terms.payer else {
        return Ok(0);
    };
    let asset = new.terms.asset.to_string();
    sum(connection, &asset, |role| accounts::held_from(role, payer))
}

fn sum(
    connection: &Connection,
    asset: &str,
    account: impl Fn(Role) -> String,
) -> Result<u128, LedgerError> {
    COLLECTORS.iter().try_fold(0_u128, |sum, role| {
        let name = account(*role);
        let balance = postings::balance(connection, &name, asset)?;
        let balance = u128::try_from(balance)
            .map_err(|_| LedgerError::Damaged(format!("{name} is negative: {balance}")))?;
        sum.checked_add(balance).ok_or(LedgerError::Overflow)
    })
}

/// A released claim that comes again is new in everything but its name.
fn reclaim(
    connection: &Connection,
    mut stored: Stored,
    new: NewClaim,
) -> Result<Stored, LedgerError> {
    let now_ms = new.now_ms;
    let payment = &mut stored.payment;
    payment.terms = new.terms;
    payment.seller = Some(new.side);
    payment.handle = Some(new.handle);
    payment.valid_before_s = Some(new.valid_before_s);
    payment.updated_ms = now_ms;
    apply::take(connection, &mut stored, &Event::Reclaimed, now_ms)?;
    row::update(connection, &stored)?;
    row::update_attachments(connection, &stored)?;
    Ok(stored)
}

fn payment_of(new: NewClaim) -> Payment {
    Payment {
        id: new.id,
        role: new.role,
        state: State::reserved(),
        terms: new.terms,
        identity: Some(new.identity),
        created_ms: new.now_ms,
        updated_ms: new.now_ms,
        valid_before_s: Some(new.valid_before_s),
        handle: Some(new.handle),
        sent: Vec::new(),
        receipt: None,
        buyer: None,
        seller: Some(new.side),
    }
}
