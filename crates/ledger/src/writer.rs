//! The one thread of this process that writes, with group commit.
//!
//! It takes all jobs that wait, runs each in its own savepoint inside one
//! `BEGIN IMMEDIATE … COMMIT`, and they are answered only after COMMIT returned (law 2). It must
//! never keep anything between two transactions: other processes write to the same file.

use farebox_core::ledger::LedgerError;
use rusqlite::Connection;

use crate::queue::{Job, Queue};
use crate::schema::execute;

/// Starts the thread. A job that returns `Ok` is on disk; one that returns an error has written
/// nothing.
pub(crate) fn start(connection: Connection) -> Result<Queue, LedgerError> {
    Queue::start("ledger-writer", connection, commit)
}

fn commit(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
    // Left open where a rollback has failed: nothing of it was kept, nothing may be.
    if !connection.is_autocommit() {
        execute(connection, "ROLLBACK")?;
    }
    execute(connection, "BEGIN IMMEDIATE")?;
    let result = run_all(connection, batch).and_then(|()| execute(connection, "COMMIT"));
    if result.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK")?;
    }
    result
}

fn run_all(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
    for job in batch {
        execute(connection, "SAVEPOINT job")?;
        let keep = job.run(connection);
        // A full or failing disk makes SQLite roll back by itself: then nobody's job is kept.
        if connection.is_autocommit() {
            return Err(LedgerError::Store(
                "the transaction was rolled back by a failing disk".to_owned(),
            ));
        }
        if !keep {
            execute(connection, "ROLLBACK TO job")?;
        }
        execute(connection, "RELEASE job")?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
