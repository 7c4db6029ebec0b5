//! Turns what SQLite says into what the readers of [`LedgerError`] can act on.

use farebox_core::ledger::LedgerError;
use rusqlite::ErrorCode;

/// Translates an error of the database.
pub(crate) fn store(error: rusqlite::Error) -> LedgerError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Busy(
            "another process has been writing to the ledger for too long; try again".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt) => LedgerError::Damaged(error.to_string()),
        Some(ErrorCode::NotADatabase) => {
            LedgerError::Damaged("the file is not a SQLite database".to_owned())
        }
        Some(ErrorCode::DiskFull) => {
            LedgerError::Store("the disk is full; make room and try again".to_owned())
        }
        _ => match error {
            // A row that cannot be read is as bad as one that does not add up.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => {
                LedgerError::Damaged(error.to_string())
            }
            _ => LedgerError::Store(error.to_string()),
        },
    }
}

/// A stored text that does not parse.
pub(crate) fn unreadable(what: &str, error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Damaged(format!("a stored {what} cannot be read: {error}"))
}

/// The same failure once more, for each caller whose write was in the failed transaction.
pub(crate) fn copy(error: &LedgerError) -> LedgerError {
    match error {
        LedgerError::Damaged(text) => LedgerError::Damaged(text.clone()),
        LedgerError::Busy(text) => LedgerError::Busy(text.clone()),
        LedgerError::Store(text) => LedgerError::Store(text.clone()),
        LedgerError::Taken(id) => LedgerError::Taken(id.clone()),
        other => LedgerError::Store(other.to_string()),
    }
}
