//! A thread that owns one connection and runs queued jobs on it, as many in one transaction as
//! wait at that moment. [`crate::writer`] and [`crate::readers`] say what a transaction is, and
//! what a job sees of the connection (`C`).

use std::thread;
use std::time::Duration;

use farebox_core::ledger::LedgerError;
use tokio::sync::{mpsc, oneshot};

use crate::error;

/// Jobs that may wait; a caller beyond that waits for room.
const QUEUE_MAX: usize = 1024;
/// Jobs in one transaction: keeps the wait of the first, and of other processes, short (20 ms at
/// most). Those that share one write the pages that they share once.
const BATCH_MAX: usize = 512;

/// When a transaction waits for company: pages that many jobs touch are written once for all that
/// share it, so that where many come, a few of them are dear.
#[derive(Clone, Copy)]
pub(crate) struct Linger {
    /// Jobs of the last transaction from which on this one waits; with fewer, callers wait for
    /// one another's answers, and there is no company to wait for.
    pub(crate) from_jobs: usize,
    /// How long: a small part of what a transaction with so many jobs takes its callers.
    pub(crate) time: Duration,
}

/// Runs waiting jobs in one transaction; an error is everybody's.
pub(crate) type Turn<C> = fn(&mut C, &mut [Box<dyn Job<C>>]) -> Result<(), LedgerError>;

/// Hands jobs to the thread. The thread ends when this is dropped and the queue is empty.
pub(crate) struct Queue<C> {
    jobs: mpsc::Sender<Box<dyn Job<C>>>,
}

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
        }
    }
}

impl<C: Send + 'static> Queue<C> {
    /// Starts the thread.
    pub(crate) fn start(
        name: &str,
        connection: C,
        turn: Turn<C>,
        linger: Option<Linger>,
    ) -> Result<Self, LedgerError> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(connection, queue, turn, linger))
            .map_err(|error| LedgerError::Store(format!("no thread for the ledger: {error}")))?;
        Ok(Self { jobs })
    }

    /// Jobs that nobody has begun.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs
            .max_capacity()
            .saturating_sub(self.jobs.capacity())
    }

    /// Runs `work` in a transaction and answers after its end. If the caller stops waiting, the
    /// work may still be done.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut C) -> Result<T, LedgerError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Pending {
            work: Some(work),
            result: None,
            reply,
        };
        let stopped = || LedgerError::Store("the ledger's thread has stopped".to_owned());
        self.jobs.send(Box::new(job)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// One command in the queue.
pub(crate) trait Job<C>: Send {
    /// Does it; whether it succeeded.
    fn run(&mut self, connection: &mut C) -> bool;

    /// Answers its caller; `ended` is the fate of the whole transaction.
    fn reply(self: Box<Self>, ended: &Result<(), LedgerError>);
}

struct Pending<T, F> {
    work: Option<F>,
    result: Option<Result<T, LedgerError>>,
    reply: oneshot::Sender<Result<T, LedgerError>>,
}

impl<C, T, F> Job<C> for Pending<T, F>
where
    T: Send,
    F: FnOnce(&mut C) -> Result<T, LedgerError> + Send,
{
    fn run(&mut self, connection: &mut C) -> bool {
        self.result = self.work.take().map(|work| work(connection));
        matches!(self.result, Some(Ok(_)))
    }

    fn reply(self: Box<Self>, ended: &Result<(), LedgerError>) {
        let answer = match (self.result, ended) {
            (Some(Err(error)), _) => Err(error),
            (Some(result), Ok(())) => result,
            (_, Err(error)) => Err(error::copy(error)),
            (None, Ok(())) => Err(LedgerError::Store("the command was not run".to_owned())),
        };
        // A caller that no longer waits does not want the answer.
        let _ = self.reply.send(answer);
    }
}

fn work<C>(
    mut connection: C,
    mut queue: mpsc::Receiver<Box<dyn Job<C>>>,
    turn: Turn<C>,
    linger: Option<Linger>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut last = 0;
    while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        if let Some(linger) = linger.filter(|linger| last >= linger.from_jobs) {
            thread::sleep(linger.time);
            while batch.len() < BATCH_MAX
                && let Ok(job) = queue.try_recv()
            {
                batch.push(job);
            }
        }
        last = batch.len();
        let ended = turn(&mut connection, &mut batch);
        if let Err(error) = &ended {
            tracing::error!(%error, jobs = batch.len(), "a transaction of the ledger failed");
        }
        for job in batch.drain(..) {
            job.reply(&ended);
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
