//! Tokens of a buyer: kept with the payment that buys them, found by origin, erased when dead.
//!
//! What becomes of one is [`token::after`]'s word. It must never be remembered between two
//! transactions: other processes use the same tokens.

use farebox_core::ledger::{LedgerError, PaymentId};
use farebox_core::rail::Credential;
use farebox_core::token::{self, Scope, Token, TokenId, TokenNews, TokenState};
use rusqlite::{Connection, Params, Row, params};

use crate::books::Books;
use crate::{blob, error};

/// All columns, in the order in which [`read`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, payment, origin, method, path, agent, credential_header, credential_value,
            created_ms, updated_ms, expires_s, uses_left, state FROM tokens ",
            $rest
        )
    };
}

/// Writes a token down. `false` where this one, or one of the same payment, is there already.
pub(crate) fn keep(books: &mut Books, token: &Token) -> Result<bool, LedgerError> {
    let sql = "INSERT INTO tokens (id, payment, origin, method, path, agent, credential_header,
            credential_value, created_ms, updated_ms, expires_s, uses_left, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT DO NOTHING";
    let added = books.write(sql, |statement| {
        statement.execute(params![
            token.id.0,
            token.payment.as_ref().map(|id| &id.0),
            token.scope.origin,
            token.scope.method,
            token.scope.path,
            token.agent,
            token.credential.header,
            token.credential.value,
            blob::time(token.created_ms),
            blob::time(token.updated_ms),
            token.expires_s.map(blob::time),
            token.uses_left.map(blob::time),
            name_of(token.state),
        ])
    })?;
    Ok(added > 0)
}

/// One token.
pub(crate) fn find(connection: &Connection, id: &TokenId) -> Result<Option<Token>, LedgerError> {
    Ok(find_all(connection, select!("WHERE id = ?1"), [&id.0])?.pop())
}

/// Those of an origin, or all; the newest first.
pub(crate) fn list(
    connection: &Connection,
    origin: Option<&str>,
) -> Result<Vec<Token>, LedgerError> {
    match origin {
        Some(origin) => find_all(
            connection,
            select!("WHERE origin = ?1 ORDER BY seq DESC"),
            [origin],
        ),
        None => find_all(connection, select!("ORDER BY seq DESC"), []),
    }
}

/// Takes what was learned.
pub(crate) fn note(
    books: &mut Books,
    id: &TokenId,
    news: TokenNews,
    now_ms: u64,
) -> Result<Option<Token>, LedgerError> {
    let Some(mut token) = find(books.file(), id)? else {
        return Ok(None);
    };
    (token.state, token.uses_left) = token::after(token.state, token.uses_left, news);
    token.updated_ms = now_ms;
    let sql = "UPDATE tokens SET state = ?2, uses_left = ?3, updated_ms = ?4 WHERE id = ?1";
    books.write(sql, |statement| {
        statement.execute(params![
            id.0,
            name_of(token.state),
            token.uses_left.map(blob::time),
            blob::time(now_ms)
        ])
    })?;
    Ok(Some(token))
}

/// Erases one; whether it was there.
pub(crate) fn remove(books: &mut Books, id: &TokenId) -> Result<bool, LedgerError> {
    let removed = books.write("DELETE FROM tokens WHERE id = ?1", |statement| {
        statement.execute([&id.0])
    })?;
    Ok(removed > 0)
}

fn find_all(
    connection: &Connection,
    sql: &'static str,
    arguments: impl Params,
) -> Result<Vec<Token>, LedgerError> {
    let mut statement = connection.prepare_cached(sql).map_err(error::store)?;
    let mut rows = statement.query(arguments).map_err(error::store)?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next().map_err(error::store)? {
        tokens.push(read(row)?);
    }
    Ok(tokens)
}

fn read(row: &Row<'_>) -> Result<Token, LedgerError> {
    let (text, maybe) = (
        |at: usize| row.get::<_, String>(at).map_err(error::store),
        |at: usize| row.get::<_, Option<String>>(at).map_err(error::store),
    );
    let time = |at: usize| {
        let value: Option<i64> = row.get(at).map_err(error::store)?;
        value.map(blob::from_time).transpose()
    };
    Ok(Token {
        id: TokenId(text(0)?),
        payment: maybe(1)?.map(PaymentId),
        scope: Scope {
            origin: text(2)?,
            method: maybe(3)?,
            path: text(4)?,
        },
        agent: maybe(5)?,
        credential: Credential {
            header: text(6)?,
            value: text(7)?,
        },
        created_ms: time(8)?.unwrap_or_default(),
        updated_ms: time(9)?.unwrap_or_default(),
        expires_s: time(10)?,
        uses_left: time(11)?,
        state: state_of(&text(12)?)?,
    })
}

const STATES: [TokenState; 5] = [
    TokenState::Fresh,
    TokenState::Used,
    TokenState::Exhausted,
    TokenState::Refused,
    TokenState::Revoked,
];

const fn name_of(state: TokenState) -> &'static str {
    match state {
        TokenState::Fresh => "fresh",
        TokenState::Used => "used",
        TokenState::Exhausted => "exhausted",
        TokenState::Refused => "refused",
        TokenState::Revoked => "revoked",
    }
}

fn state_of(name: &str) -> Result<TokenState, LedgerError> {
    STATES
        .into_iter()
        .find(|state| name_of(*state) == name)
        .ok_or_else(|| error::unreadable("state of a token", name))
}
