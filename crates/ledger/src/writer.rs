//! The one thread of this process that writes, with group commit.
//!
//! Callers queue jobs; the thread takes all that wait, runs each in its own savepoint inside one
//! `BEGIN IMMEDIATE … COMMIT`, and answers only after COMMIT returned (law 2). It must never keep
//! anything between two transactions: other processes write to the same file.

use std::thread;

use farebox_core::ledger::LedgerError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error;
use crate::schema::execute;

/// Jobs that may wait; a caller beyond that waits for room.
const QUEUE_MAX: usize = 1024;
/// Jobs in one transaction: keeps the wait of the first, and of other processes, short.
const BATCH_MAX: usize = 256;

/// Hands jobs to the thread. The thread ends when this is dropped and the queue is empty.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection) -> Result<Self, LedgerError> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || work(&connection, queue))
            .map_err(|error| LedgerError::Store(format!("no thread for the ledger: {error}")))?;
        Ok(Self { jobs })
    }

    /// Runs `work` in a transaction. When this returns `Ok`, what it wrote is on disk; when it
    /// returns an error, nothing was written. If the caller stops waiting, it may still happen.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Pending {
            work: Some(work),
            result: None,
            reply,
        };
        let stopped = || LedgerError::Store("the ledger's writer has stopped".to_owned());
        self.jobs.send(Box::new(job)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// One command in the queue.
trait Job: Send {
    /// Does it; whether it may stay in the transaction.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Answers its caller; `committed` is the fate of the whole transaction.
    fn reply(self: Box<Self>, committed: &Result<(), LedgerError>);
}

struct Pending<T, F> {
    work: Option<F>,
    result: Option<Result<T, LedgerError>>,
    reply: oneshot::Sender<Result<T, LedgerError>>,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, LedgerError> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(connection));
        matches!(self.result, Some(Ok(_)))
    }

    fn reply(self: Box<Self>, committed: &Result<(), LedgerError>) {
        let answer = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(result), Ok(())) => result,
            (_, Err(error)) => Err(error::copy(error)),
            (None, Ok(())) => Err(LedgerError::Store("the command was not run".to_owned())),
        };
        // A caller that no longer waits does not want the answer.
        let _ = self.reply.send(answer);
    }
}

fn work(connection: &Connection, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let committed = commit(connection, &mut batch);
        if let Err(error) = &committed {
            tracing::error!(%error, jobs = batch.len(), "the ledger could not write");
        }
        for job in batch.drain(..) {
            job.reply(&committed);
        }
    }
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
