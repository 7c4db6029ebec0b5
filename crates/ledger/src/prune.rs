//! Forgets what is no longer needed: secrets first. Amounts, identities and receipts stay.

use farebox_core::ledger::LedgerError;
use rusqlite::{Connection, params};

use crate::{blob, error};

/// How long after its expiry a credential may still matter: a chain's clock and ours differ.
const MARGIN_S: u64 = 600;
/// Rows of a kind in one transaction: payments do not wait long for housekeeping.
const ROWS_MAX: i64 = 1000;

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Credentials of buyers that had expired.
    pub credentials: usize,
    /// Handles of payments that are closed and had expired.
    pub handles: usize,
    /// Tokens that were used up, taken back or expired.
    pub tokens: usize,
}

/// Erases some expired credentials and dead tokens, and the handles of some closed payments. Nothing is left when
/// it erases nothing.
pub(crate) fn prune_some(connection: &Connection, now_ms: u64) -> Result<Pruned, LedgerError> {
    let dead_s = (now_ms / 1000).saturating_sub(MARGIN_S);
    let execute_before = |time: u64, sql: &str| {
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params![blob::time(time), ROWS_MAX]))
            .map_err(error::store)
    };
    let execute = |sql: &str| execute_before(dead_s, sql);
    let dead_tokens = execute_before(
        dead_s.saturating_mul(1000),
        "DELETE FROM tokens WHERE seq IN (SELECT seq FROM tokens
            WHERE state IN ('exhausted', 'revoked') AND updated_ms < ?1 LIMIT ?2)",
    )?;
    let expired_tokens = execute(
        "DELETE FROM tokens WHERE seq IN (SELECT seq FROM tokens
            WHERE expires_s IS NOT NULL AND expires_s < ?1 LIMIT ?2)",
    )?;
    Ok(Pruned {
        credentials: execute(
            "UPDATE payments SET credential_header = NULL, credential_value = NULL
             WHERE seq IN (SELECT seq FROM payments
                WHERE credential_value IS NOT NULL AND valid_before_s < ?1 LIMIT ?2)",
        )?,
        handles: execute(
            "UPDATE payments SET handle = NULL
             WHERE seq IN (SELECT seq FROM payments
                WHERE handle IS NOT NULL AND is_open = 0 AND valid_before_s < ?1 LIMIT ?2)",
        )?,
        tokens: dead_tokens.saturating_add(expired_tokens),
    })
}
