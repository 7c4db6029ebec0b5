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

use crate::books::Books;
use crate::buyer::{self, Held};
use crate::postings::{self, Draft};
use crate::row::{self, Stored};
use crate::{accounts, apply, blob, error};

/// What stands in the journal for the first entry of a claim.
const CLAIM: &str = "\"Claim\"";
/// A payer's money is one pile, whoever in this ledger collects it.
const COLLECTORS: [Role; 2] = [Role::Seller, Role::Facilitator];

/// See [`farebox_core::ledger::Ledger::claim`].
pub(crate) fn claim(books: &mut Books, new: NewClaim) -> Result<Claimed, LedgerError> {
    if new.role == Role::Buyer {
        return Err(LedgerError::Store(
            "a buyer reserves, only a seller or a facilitator claims".to_owned(),
        ));
    }
    let refused = uncovered(books, &new)?;
    let mut payment = payment_of(new);
    // Most claims are first, and the index that refuses a second has to be asked in any case.
    if refused.is_none() {
        payment = match buyer::hold(books, payment, None, CLAIM)? {
            Held::First(stored) => {
                return Ok(Claimed::First(Box::new(books.keep_and_copy(stored))));
            }
            Held::Taken(payment) => payment,
        };
    }
    let existing = match &payment.identity {
        Some(identity) => find(books.file(), payment.role, identity)?,
        None => None,
    };
    match (existing, refused) {
        (Some(stored), _) if stored.payment.state.phase != Phase::Released => {
            Ok(Claimed::Repeat(Box::new(stored.payment)))
        }
        (_, Some(refused)) => Ok(refused),
        (Some(stored), None) => reclaim(books, stored, payment),
        (None, None) => Err(LedgerError::Damaged(format!(
            "the identity of {} is taken by no payment",
            payment.id
        ))),
    }
}

/// Why a claim cannot be made as far as the payer's means are concerned.
fn uncovered(books: &mut Books, new: &NewClaim) -> Result<Option<Claimed>, LedgerError> {
    Ok(match new.cover {
        Cover::Balance(balance, mark) => {
            shortfall(books, new, balance, mark)?.map(|left| Claimed::Insufficient { left })
        }
        Cover::OneAtATime(mark) if has_other_claims(books, new, mark)? => Some(Claimed::OneAtATime),
        Cover::OneAtATime(_) | Cover::NotNeeded => None,
    })
}

/// What was ever settled from a payer.
pub(crate) fn payer_mark(
    connection: &Connection,
    asset: &AssetId,
    payer: &str,
) -> Result<PayerMark, LedgerError> {
    let asset = asset.to_string();
    settled(payer, |account| {
        postings::balance(connection, account, &asset)
    })
}

/// The payment that claimed an identity.
pub(crate) fn find(
    connection: &Connection,
    role: Role,
    identity: &Identity,
) -> Result<Option<Stored>, LedgerError> {
    row::find(
        connection,
        row::BY_IDENTITY,
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
    books: &mut Books,
    new: &NewClaim,
    balance: Amount,
    mark: PayerMark,
) -> Result<Option<Amount>, LedgerError> {
    let Some(payer) = &new.terms.payer else {
        return Ok(None);
    };
    let asset = new.terms.asset.to_string();
    let settled = settled(payer, |account| balance_of(books, account, &asset))?.0;
    // The count never falls, so what is above the mark has gone since the balance was asked for.
    let gone = settled.checked_sub(mark.0).unwrap_or_default();
    let held = held_from(books, payer, &asset)?;
    let taken = gone
        .checked_add(Amount::from_atomic(held))
        .ok_or(LedgerError::Overflow)?;
    let left = balance.checked_sub(taken).unwrap_or_default();
    Ok((left < new.terms.amount).then_some(left))
}

/// Whether another claim of the payer holds money, or has settled since the mark was read.
fn has_other_claims(
    books: &mut Books,
    new: &NewClaim,
    mark: PayerMark,
) -> Result<bool, LedgerError> {
    let Some(payer) = &new.terms.payer else {
        return Ok(false);
    };
    let asset = new.terms.asset.to_string();
    Ok(held_from(books, payer, &asset)? > 0
        || settled(payer, |account| balance_of(books, account, &asset))? != mark)
}

/// What other claims hold of a payer's money.
fn held_from(books: &mut Books, payer: &str, asset: &str) -> Result<u128, LedgerError> {
    sum(
        |role| accounts::held_from(role, payer),
        |account| balance_of(books, account, asset),
    )
}

/// What was ever settled from a payer, by the balances of accounts.
fn settled(
    payer: &str,
    balance: impl FnMut(&str) -> Result<i128, LedgerError>,
) -> Result<PayerMark, LedgerError> {
    let settled = sum(|role| accounts::settled_from(role, payer).0, balance)?;
    Ok(PayerMark(Amount::from_atomic(settled)))
}

fn balance_of(books: &mut Books, account: &str, asset: &str) -> Result<i128, LedgerError> {
    Ok(books.account(account, asset)?.1.balance)
}

fn sum(
    account: impl Fn(Role) -> String,
    mut balance: impl FnMut(&str) -> Result<i128, LedgerError>,
) -> Result<u128, LedgerError> {
    COLLECTORS.iter().try_fold(0_u128, |sum, role| {
        let name = account(*role);
        let balance = balance(&name)?;
        let balance = u128::try_from(balance)
            .map_err(|_| LedgerError::Damaged(format!("{name} is negative: {balance}")))?;
        sum.checked_add(balance).ok_or(LedgerError::Overflow)
    })
}

/// A released claim that comes again is new in everything but its name.
fn reclaim(books: &mut Books, mut stored: Stored, new: Payment) -> Result<Claimed, LedgerError> {
    let now_ms = new.created_ms;
    let payment = &mut stored.payment;
    payment.terms = new.terms;
    payment.seller = new.seller;
    payment.handle = new.handle;
    payment.valid_before_s = new.valid_before_s;
    payment.updated_ms = now_ms;
    let mut draft = Draft::default();
    apply::take(books, &mut draft, &mut stored, &Event::Reclaimed, now_ms)?;
    draft.write(books, stored.seq)?;
    row::update(books, &mut stored)?;
    row::update_attachments(books, &stored)?;
    Ok(Claimed::First(Box::new(books.keep_and_copy(stored))))
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
