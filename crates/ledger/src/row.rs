//! A payment as a row: written whole, read whole.

use farebox_core::ledger::{
    Actual, BuyerSide, CallKey, Lease, LedgerError, Payment, PaymentId, SellerSide,
};
use farebox_core::payment::{Hold, Phase, Role, State};
use farebox_core::rail::{Credential, Handle};
use farebox_wire::identity::Identity;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::accounts::{Day, role_name};
use crate::books::Books;
use crate::buyer::Held;
use crate::{blob, error};

/// A payment with what only this store knows of it.
pub(crate) struct Stored {
    /// Its place in the file.
    pub(crate) seq: i64,
    /// The day of its reserve (buyers).
    pub(crate) day: Option<Day>,
    /// The marks that stand in the row.
    marks: Marks,
    /// The payment.
    pub(crate) payment: Payment,
}

#[cfg(test)]
impl Stored {
    /// In the first row.
    pub(crate) fn of_test(payment: Payment) -> Self {
        Self {
            seq: 1,
            day: None,
            marks: Marks::of(&payment.state),
            payment,
        }
    }
}

/// What the row's partial indexes are about.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Marks {
    is_open: bool,
    is_live: bool,
}

impl Marks {
    fn of(state: &State) -> Self {
        Self {
            is_open: is_open(state),
            is_live: is_live(state),
        }
    }
}

/// All columns of payments, in the order in which [`read`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, budget_day, id, role, state, terms, identity, created_ms, updated_ms,
            valid_before_s, handle, hashes, receipt,
            call, agent, method, url, credential_header, credential_value, lease_owner,
            lease_until_ms, actual_fee, actual_cost,
            route, payload_digest, request_digest, body_digest
         FROM payments ",
            $rest
        )
    };
}

/// By [`PaymentId`].
pub(crate) const BY_ID: &str = select!("WHERE id = ?1");
/// By its place.
pub(crate) const BY_SEQ: &str = select!("WHERE seq = ?1");
/// By identity and role.
pub(crate) const BY_IDENTITY: &str = select!("WHERE identity = ?1 AND role = ?2");
/// The newest that a [`CallKey`] still waits for.
pub(crate) const BY_CALL: &str =
    select!("WHERE call = ?1 AND is_live = 1 ORDER BY seq DESC LIMIT 1");

/// Finds the first payment that one of the statements above gives.
pub(crate) fn find(
    connection: &Connection,
    sql: &'static str,
    arguments: impl Params,
) -> Result<Option<Stored>, LedgerError> {
    let found = connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(arguments, |row| Ok(read(row)))
                .optional()
        })
        .map_err(error::store)?;
    found.transpose()
}

/// Finds all payments that fit `rest`, an SQL tail such as `WHERE is_open = 1`.
pub(crate) fn find_all(
    connection: &Connection,
    rest: &str,
    arguments: impl Params,
) -> Result<Vec<Payment>, LedgerError> {
    let sql = [select!(""), rest].concat();
    let mut statement = connection.prepare_cached(&sql).map_err(error::store)?;
    let mut rows = statement.query(arguments).map_err(error::store)?;
    let mut payments = Vec::new();
    while let Some(row) = rows.next().map_err(error::store)? {
        payments.push(read(row)?.payment);
    }
    Ok(payments)
}

/// Finds one payment by its name, which must exist.
pub(crate) fn by_id(connection: &Connection, id: &PaymentId) -> Result<Stored, LedgerError> {
    find(connection, BY_ID, [&id.0])?.ok_or_else(|| LedgerError::NotFound(id.clone()))
}

/// Writes a new payment, unless another has its identity in its role.
pub(crate) fn insert(
    books: &mut Books,
    payment: Payment,
    day: Option<Day>,
) -> Result<Held, LedgerError> {
    let sql = "INSERT INTO payments (id, role, state, is_open, is_live, terms, identity,
            created_ms, updated_ms, valid_before_s, handle, hashes, call, agent, url, lease_owner,
            lease_until_ms, budget_day, route, payload_digest, request_digest, body_digest, method)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, '[]', ?11, ?12, ?13, ?14, ?15, ?16,
            ?17, ?18, ?19, ?20, ?21)
         ON CONFLICT (identity, role) WHERE identity IS NOT NULL DO NOTHING";
    let buyer = payment.buyer.as_ref();
    let seller = payment.seller.as_ref();
    let (state, terms) = (json(&payment.state)?, json(&payment.terms)?);
    let marks = Marks::of(&payment.state);
    let seq = books.write(sql, |statement| {
        let added = statement.insert(params![
            payment.id.0,
            role_name(payment.role),
            state,
            marks.is_open,
            marks.is_live,
            terms,
            payment.identity.as_ref().map(Identity::as_str),
            blob::time(payment.created_ms),
            payment.valid_before_s.map(blob::time),
            payment.handle.as_ref().map(Handle::text),
            buyer.map(|side| &side.call.0),
            buyer.and_then(|side| side.agent.as_ref()),
            buyer.map(|side| &side.url),
            buyer.map(|side| &side.lease.owner),
            buyer.map(|side| blob::time(side.lease.until_ms)),
            day,
            seller.map(|side| &side.route),
            seller.map(|side| side.payload_digest),
            seller.map(|side| side.request_digest),
            seller.and_then(|side| side.body_digest),
            buyer.and_then(|side| side.method.as_ref()),
        ]);
        match added {
            Ok(seq) => Ok(Some(seq)),
            Err(rusqlite::Error::StatementChangedRows(0)) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    Ok(match seq {
        None => Held::Taken(payment),
        Some(seq) => Held::First(Stored {
            seq,
            day,
            marks,
            payment,
        }),
    })
}

/// Writes what an event changes, with the facts that come with events.
pub(crate) fn update(books: &mut Books, stored: &mut Stored) -> Result<(), LedgerError> {
    let payment = &stored.payment;
    let seller = payment.seller.as_ref();
    let marks = Marks::of(&payment.state);
    let (state, sent) = (json(&payment.state)?, json(&payment.sent)?);
    let facts: [&dyn ToSql; 7] = [
        &stored.seq,
        &state,
        &blob::time(payment.updated_ms),
        &sent,
        &payment.receipt,
        &seller.and_then(|side| side.body_digest),
        &seller.map(|side| side.request_digest),
    ];
    // Four indexes hang on the marks, and most events change neither.
    if marks == stored.marks {
        return books
            .write(UPDATE, |statement| statement.execute(facts))
            .map(|_| ());
    }
    let [seq, state, updated, sent, receipt, body, request] = facts;
    let all: [&dyn ToSql; 9] = [
        seq,
        state,
        updated,
        sent,
        receipt,
        body,
        request,
        &marks.is_open,
        &marks.is_live,
    ];
    books.write(UPDATE_WITH_MARKS, |statement| statement.execute(all))?;
    stored.marks = marks;
    Ok(())
}

/// Writes everything else that can change. Apart, because it touches more indexes.
pub(crate) fn update_attachments(books: &mut Books, stored: &Stored) -> Result<(), LedgerError> {
    let payment = &stored.payment;
    let buyer = payment.buyer.as_ref();
    let credential = buyer.and_then(|side| side.credential.as_ref());
    let seller = payment.seller.as_ref();
    let sql = "UPDATE payments
         SET terms = ?2, identity = ?3, valid_before_s = ?4, handle = ?5, credential_header = ?6,
            credential_value = ?7, lease_owner = ?8, lease_until_ms = ?9, route = ?10,
            payload_digest = ?11, actual_fee = ?12, actual_cost = ?13
         WHERE seq = ?1";
    let terms = json(&payment.terms)?;
    let actual = buyer.and_then(|side| side.actual);
    books
        .write(sql, |statement| {
            statement.execute(params![
                stored.seq,
                terms,
                payment.identity.as_ref().map(Identity::as_str),
                payment.valid_before_s.map(blob::time),
                payment.handle.as_ref().map(Handle::text),
                credential.map(|credential| &credential.header),
                credential.map(|credential| &credential.value),
                buyer.map(|side| &side.lease.owner),
                buyer.map(|side| blob::time(side.lease.until_ms)),
                seller.map(|side| &side.route),
                seller.map(|side| side.payload_digest),
                actual.map(|actual| blob::amount(actual.fee)),
                blob::limit(actual.map(|actual| actual.cost)),
            ])
        })
        .map(|_| ())
}

/// Takes the name on the rail away from a payment whose hold was given back, so that the same name
/// can be tried again (buyers).
pub(crate) fn unname(books: &mut Books, stored: &Stored) -> Result<(), LedgerError> {
    books
        .write(
            "UPDATE payments SET identity = NULL WHERE seq = ?1",
            |statement| statement.execute([stored.seq]),
        )
        .map(|_| ())
}

/// Text for a JSON column.
pub(crate) fn json(value: &impl Serialize) -> Result<String, LedgerError> {
    let failed = |error: String| LedgerError::Store(error);
    let mut text = Vec::with_capacity(TEXT_LEN);
    serde_json::to_writer(&mut text, value).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(text).map_err(|error| failed(error.to_string()))
}

/// Whether a rail still has to be asked, see [`farebox_core::ledger::Stage::Open`].
pub(crate) fn is_open(state: &State) -> bool {
    state.is_open() || (state.phase == Phase::Settled && !state.is_final)
}

/// Whether a logical call still waits for this payment: undecided, and the amount is held.
pub(crate) fn is_live(state: &State) -> bool {
    state.is_open() && state.hold == Hold::Held
}

/// Most texts are shorter, and none has to grow many times.
const TEXT_LEN: usize = 512;

const UPDATE: &str = "UPDATE payments
     SET state = ?2, updated_ms = ?3, hashes = ?4, receipt = ?5, body_digest = ?6,
        request_digest = ?7
     WHERE seq = ?1";
const UPDATE_WITH_MARKS: &str = "UPDATE payments
     SET state = ?2, updated_ms = ?3, hashes = ?4, receipt = ?5, body_digest = ?6,
        request_digest = ?7, is_open = ?8, is_live = ?9
     WHERE seq = ?1";

/// Columns that every payment has, in `select!`.
const COMMON_COLUMNS: usize = 13;
/// Columns that only buyers have; those of sellers follow.
const BUYER_COLUMNS: usize = 10;

/// Reads one column after the other: names would be looked up again for every row.
struct Cells<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl Cells<'_> {
    fn take<T: FromSql>(&mut self) -> Result<T, LedgerError> {
        let cell = self.row.get(self.next).map_err(error::store);
        self.next = self.next.saturating_add(1);
        cell
    }

    fn take_time(&mut self) -> Result<u64, LedgerError> {
        blob::from_time(self.take()?)
    }

    fn take_json<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, LedgerError> {
        let text = self.row.get_ref(self.next).map_err(error::store)?;
        let text = text
            .as_str()
            .map_err(|error| error::unreadable(what, error))?;
        self.next = self.next.saturating_add(1);
        serde_json::from_str(text).map_err(|error| error::unreadable(what, error))
    }
}

/// In the order of `select!`.
fn read(row: &Row<'_>) -> Result<Stored, LedgerError> {
    let mut cells = Cells { row, next: 0 };
    let seq = cells.take()?;
    let day = cells.take()?;
    let id = PaymentId(cells.take()?);
    let role = read_role(&cells.take::<String>()?)?;
    let state = cells.take_json("state")?;
    let terms = cells.take_json("terms")?;
    let identity: Option<String> = cells.take()?;
    let created_ms = cells.take_time()?;
    let updated_ms = cells.take_time()?;
    let valid_before_s: Option<i64> = cells.take()?;
    let handle: Option<String> = cells.take()?;
    let sent = cells.take_json("list of transactions")?;
    let receipt = cells.take()?;
    let (buyer, seller) = match role {
        Role::Buyer => (Some(read_buyer(&mut cells)?), None),
        Role::Seller | Role::Facilitator => (None, Some(read_seller(&mut cells)?)),
    };
    let payment = Payment {
        id,
        role,
        state,
        terms,
        identity: identity.map(|text| Identity::from_stored(&text)),
        created_ms,
        updated_ms,
        valid_before_s: valid_before_s.map(blob::from_time).transpose()?,
        handle: handle.map(Handle::new),
        sent,
        receipt,
        buyer,
        seller,
    };
    let marks = Marks::of(&payment.state);
    Ok(Stored {
        seq,
        day,
        marks,
        payment,
    })
}

fn read_buyer(cells: &mut Cells<'_>) -> Result<BuyerSide, LedgerError> {
    cells.next = COMMON_COLUMNS;
    let call = CallKey(cells.take()?);
    let agent = cells.take()?;
    let method = cells.take()?;
    let url = cells.take()?;
    let header: Option<String> = cells.take()?;
    let value: Option<String> = cells.take()?;
    let lease = Lease {
        owner: cells.take()?,
        until_ms: cells.take_time()?,
    };
    let fee = blob::from_amount(cells.take()?);
    let cost = blob::from_limit(cells.take()?);
    Ok(BuyerSide {
        call,
        agent,
        method,
        url,
        credential: header
            .zip(value)
            .map(|(header, value)| Credential { header, value }),
        lease,
        actual: fee.zip(cost).map(|(fee, cost)| Actual { fee, cost }),
    })
}

fn read_seller(cells: &mut Cells<'_>) -> Result<SellerSide, LedgerError> {
    cells.next = COMMON_COLUMNS + BUYER_COLUMNS;
    Ok(SellerSide {
        route: cells.take()?,
        payload_digest: cells.take()?,
        request_digest: cells.take()?,
        body_digest: cells.take()?,
    })
}

fn read_role(name: &str) -> Result<Role, LedgerError> {
    [Role::Buyer, Role::Seller, Role::Facilitator]
        .into_iter()
        .find(|role| role_name(*role) == name)
        .ok_or_else(|| error::unreadable("role", name))
}
