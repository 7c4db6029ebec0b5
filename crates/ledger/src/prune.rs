//! Forgets what is no longer needed: secrets first. Amounts, identities and receipts stay.

use farebox_core::ledger::LedgerError;
use rusqlite::Connection;

use crate::{blob, error};

/// How long after its expiry a credential may still matter: a chain's clock and ours differ.
const MARGIN_S: u64 = 600;

/// What was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Credentials of buyers that had expired.
    pub credentials: usize,
    /// Handles of payments that are closed and had expired.
    pub handles: usize,
}

/// Erases expired credentials, and the handles of closed payments.
pub(crate) fn prune(connection: &Connection, now_ms: u64) -> Result<Pruned, LedgerError> {
    let dead = blob::time((now_ms / 1000).saturating_sub(MARGIN_S));
    let execute = |sql: &str| connection.execute(sql, [dead]).map_err(error::store);
    Ok(Pruned {
        credentials: execute(
            "UPDATE payments SET credential_header = NULL, credential_value = NULL
             WHERE credential_value IS NOT NULL AND valid_before_s < ?1",
        )?,
        handles: execute(
            "UPDATE payments SET handle = NULL
             WHERE is_open = 0 AND handle IS NOT NULL AND valid_before_s < ?1",
        )?,
    })
}
