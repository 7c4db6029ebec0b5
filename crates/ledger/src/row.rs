//! A payment as a row: written whole, read whole.

use farebox_core::ledger::{
    BuyerSide, CallKey, Lease, LedgerError, Payment, PaymentId, SellerSide,
};
use farebox_core::payment::{Hold, Phase, Role, State};
use farebox_core::rail::{Credential, Handle};
use farebox_wire::identity::Identity;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::accounts::{Day, role_name};
use crate::{blob, error};

/// A payment with what only this store knows of it.
pub(crate) struct Stored {
    /// Its place in the file.
    pub(crate) seq: i64,
    /// The day of its reserve (buyers).
    pub(crate) day: Option<Day>,
    /// The payment.
    pub(crate) payment: Payment,
}

/// Finds the first payment that fits `rest`, an SQL tail such as `WHERE id = ?1`.
pub(crate) fn find(
    connection: &Connection,
    rest: &str,
    arguments: impl Params,
) -> Result<Option<Stored>, LedgerError> {
    let sql = select(rest);
    let found = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_row(arguments, |row| Ok(read(row)))
                .optional()
        })
        .map_err(error::store)?;
    found.transpose()
}

/// Finds all payments that fit `rest`.
pub(crate) fn find_all(
    connection: &Connection,
    rest: &str,
    arguments: impl Params,
) -> Result<Vec<Payment>, LedgerError> {
    let sql = select(rest);
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
    find(connection, "WHERE id = ?1", [&id.0])?.ok_or_else(|| LedgerError::NotFound(id.clone()))
}

/// Writes a new payment; gives its place.
pub(crate) fn insert(
    connection: &Connection,
    payment: Payment,
    day: Option<Day>,
) -> Result<Stored, LedgerError> {
    let seq = connection
        .prepare_cached(
            "INSERT INTO payments (id, role, state, is_open, is_live, terms, created_ms,
                updated_ms, hashes, call, agent, url, budget_day)
             VALUES (?1, ?2, '', 0, 0, '', ?3, ?3, '[]', ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            let buyer = payment.buyer.as_ref();
            statement.insert(params![
                payment.id.0,
                role_name(payment.role),
                blob::time(payment.created_ms),
                buyer.map(|side| &side.call.0),
                buyer.map(|side| &side.agent),
                buyer.map(|side| &side.url),
                day,
            ])
        })
        .map_err(error::store)?;
    let stored = Stored { seq, day, payment };
    update(connection, &stored)?;
    update_identity(connection, &stored)?;
    Ok(stored)
}

/// Writes everything of a payment that can change, except its identity.
pub(crate) fn update(connection: &Connection, stored: &Stored) -> Result<(), LedgerError> {
    let payment = &stored.payment;
    let state = &payment.state;
    let buyer = payment.buyer.as_ref();
    let credential = buyer.and_then(|side| side.credential.as_ref());
    let seller = payment.seller.as_ref();
    let sql = "UPDATE payments SET state = ?2, is_open = ?3, is_live = ?4, terms = ?5,
            updated_ms = ?6, valid_before_s = ?7, handle = ?8, hashes = ?9, receipt = ?10,
            credential_header = ?11, credential_value = ?12, lease_owner = ?13,
            lease_until_ms = ?14, route = ?15, payload_digest = ?16, request_digest = ?17,
            body_digest = ?18
         WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(error::store)?;
    statement
        .execute(params![
            stored.seq,
            json(state)?,
            is_open(state),
            is_live(state),
            json(&payment.terms)?,
            blob::time(payment.updated_ms),
            payment.valid_before_s.map(blob::time),
            payment.handle.as_ref().map(|handle| &handle.0),
            json(&payment.hashes)?,
            payment.receipt,
            credential.map(|credential| &credential.header),
            credential.map(|credential| &credential.value),
            buyer.map(|side| &side.lease.owner),
            buyer.map(|side| blob::time(side.lease.until_ms)),
            seller.map(|side| &side.route),
            seller.map(|side| side.payload_digest),
            seller.map(|side| side.request_digest),
            seller.and_then(|side| side.body_digest),
        ])
        .map_err(error::store)?;
    Ok(())
}

/// Writes the identity: apart, because touching it touches an index.
pub(crate) fn update_identity(connection: &Connection, stored: &Stored) -> Result<(), LedgerError> {
    let Some(identity) = &stored.payment.identity else {
        return Ok(());
    };
    connection
        .prepare_cached("UPDATE payments SET identity = ?2 WHERE seq = ?1")
        .and_then(|mut statement| statement.execute(params![stored.seq, identity.as_str()]))
        .map_err(error::store)?;
    Ok(())
}

/// Text for a JSON column.
pub(crate) fn json(value: &impl Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| LedgerError::Store(error.to_string()))
}

/// Whether a rail still has to be asked, see [`farebox_core::ledger::Filter::open_only`].
pub(crate) fn is_open(state: &State) -> bool {
    state.is_open() || (state.phase == Phase::Settled && !state.is_final)
}

/// Whether a logical call still waits for this payment: undecided, and the amount is held.
pub(crate) fn is_live(state: &State) -> bool {
    state.is_open() && state.hold == Hold::Held
}

fn select(rest: &str) -> String {
    format!(
        "SELECT seq, id, role, state, terms, identity, created_ms, updated_ms, valid_before_s,
            handle, hashes, receipt, call, agent, url, credential_header, credential_value,
            lease_owner, lease_until_ms, budget_day, route, payload_digest, request_digest,
            body_digest
         FROM payments {rest}"
    )
}

fn read(row: &Row<'_>) -> Result<Stored, LedgerError> {
    let role = read_role(&text(row, "role")?)?;
    let payment = Payment {
        id: PaymentId(text(row, "id")?),
        role,
        state: parse("state", &text(row, "state")?)?,
        terms: parse("terms", &text(row, "terms")?)?,
        identity: get::<Option<String>>(row, "identity")?.map(|text| Identity::from_stored(&text)),
        created_ms: time(row, "created_ms")?,
        updated_ms: time(row, "updated_ms")?,
        valid_before_s: get::<Option<i64>>(row, "valid_before_s")?
            .map(blob::from_time)
            .transpose()?,
        handle: get::<Option<String>>(row, "handle")?.map(Handle),
        hashes: parse("list of hashes", &text(row, "hashes")?)?,
        receipt: get(row, "receipt")?,
        buyer: match role {
            Role::Buyer => Some(read_buyer(row)?),
            Role::Seller | Role::Facilitator => None,
        },
        seller: match role {
            Role::Buyer => None,
            Role::Seller | Role::Facilitator => Some(read_seller(row)?),
        },
    };
    Ok(Stored {
        seq: get(row, "seq")?,
        day: get(row, "budget_day")?,
        payment,
    })
}

fn read_buyer(row: &Row<'_>) -> Result<BuyerSide, LedgerError> {
    let header: Option<String> = get(row, "credential_header")?;
    let value: Option<String> = get(row, "credential_value")?;
    Ok(BuyerSide {
        call: CallKey(text(row, "call")?),
        agent: get(row, "agent")?,
        url: text(row, "url")?,
        credential: header
            .zip(value)
            .map(|(header, value)| Credential { header, value }),
        lease: Lease {
            owner: text(row, "lease_owner")?,
            until_ms: time(row, "lease_until_ms")?,
        },
    })
}

fn read_seller(row: &Row<'_>) -> Result<SellerSide, LedgerError> {
    Ok(SellerSide {
        route: text(row, "route")?,
        payload_digest: get(row, "payload_digest")?,
        request_digest: get(row, "request_digest")?,
        body_digest: get(row, "body_digest")?,
    })
}

fn read_role(name: &str) -> Result<Role, LedgerError> {
    [Role::Buyer, Role::Seller, Role::Facilitator]
        .into_iter()
        .find(|role| role_name(*role) == name)
        .ok_or_else(|| error::unreadable("role", name))
}

fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| error::unreadable(what, error))
}

fn text(row: &Row<'_>, column: &str) -> Result<String, LedgerError> {
    get(row, column)
}

fn time(row: &Row<'_>, column: &str) -> Result<u64, LedgerError> {
    blob::from_time(get(row, column)?)
}

fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: &str) -> Result<T, LedgerError> {
    row.get(column).map_err(error::store)
}
