//! The one thread of this process that writes, with group commit.
//!
//! It takes all jobs that wait, runs them inside one `BEGIN IMMEDIATE … COMMIT`, and they are
//! answered only after COMMIT returned (law 2). What it remembers from one transaction to the next
//! it may use only as [`crate::books`] says: other processes write to the same file.

use std::time::Duration;

use farebox_core::ledger::LedgerError;
use rusqlite::Connection;

use crate::books::Books;
use crate::queue::{Job, Linger, Queue};

/// A transaction of many jobs waits for more: two thirds of the pages of one with sixty are those of
/// the accounts and indexes that all touch.
const LINGER: Linger = Linger {
    from_jobs: 32,
    time: Duration::from_millis(2),
};

/// Starts the thread. A job that returns `Ok` is on disk; one that returns an error has written
/// nothing. One that fails after it has written, outside of [`Books::guarded`], takes all others
/// of its transaction with it.
pub(crate) fn start(connection: Connection) -> Result<Queue<Books>, LedgerError> {
    Queue::start(
        "ledger-writer",
        Books::new(connection),
        commit,
        Some(LINGER),
    )
}

fn commit(books: &mut Books, batch: &mut [Box<dyn Job<Books>>]) -> Result<(), LedgerError> {
    let result = books
        .begin()
        .and_then(|()| run_all(books, batch))
        .and_then(|()| books.commit());
    if result.is_err() {
        books.roll_back()?;
    }
    result
}

fn run_all(books: &mut Books, batch: &mut [Box<dyn Job<Books>>]) -> Result<(), LedgerError> {
    for job in batch {
        books.begin_job();
        let has_succeeded = job.run(books);
        // Then nobody's job is kept.
        if books.has_lost_transaction() {
            return Err(LedgerError::Store(
                "the transaction was rolled back by a failing disk".to_owned(),
            ));
        }
        if !has_succeeded && books.has_written() {
            return Err(LedgerError::Store(
                "another change that shared the transaction failed halfway; try again".to_owned(),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
