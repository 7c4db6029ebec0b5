//! Reads, each of one moment: a thread for those that find a row, and connections on blocking
//! threads for those that may take long. They never wait for a writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::ledger::LedgerError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::queue::{Job, Queue};
use crate::schema::{self, execute};

/// Long reads that may run at once; more would only wait for the same disk.
const LONG_READS_MAX: usize = 4;

/// Starts the thread for reads of a few rows: under load many share one snapshot, which is not
/// older than the call of any of them.
pub(crate) fn start_quick(path: &Path) -> Result<Queue<Connection>, LedgerError> {
    Queue::start("ledger-reader", schema::open_reader(path)?, look, None)
}

fn look(
    connection: &mut Connection,
    batch: &mut [Box<dyn Job<Connection>>],
) -> Result<(), LedgerError> {
    at_one_moment(connection, |connection| {
        for job in batch {
            job.run(connection);
        }
    })
}

/// The connections for long reads.
#[derive(Clone)]
pub(crate) struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// A pool without connections yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                free: Arc::new(Semaphore::new(LONG_READS_MAX)),
                idle: Mutex::default(),
            }),
        }
    }

    /// Runs `work` in one read transaction, on a blocking thread.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let stopped = || LedgerError::Store("the ledger's readers have stopped".to_owned());
        let free = Arc::clone(&self.inner.free);
        let permit = free.acquire_owned().await.map_err(|_| stopped())?;
        let task = tokio::task::spawn_blocking(move || {
            let result = inner.read(work);
            // Not before: a caller that gives up does not end its read.
            drop(permit);
            result
        });
        task.await.map_err(|_| stopped())?
    }

    /// The same, on this thread.
    pub(crate) fn run_here<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.inner.read(work)
    }
}

impl Inner {
    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let idle = self.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        let result = at_one_moment(&mut connection, |connection| work(connection))?;
        self.lock().push(connection);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        // A panic elsewhere leaves a list of idle connections as good as before.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at_one_moment<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> T,
) -> Result<T, LedgerError> {
    execute(connection, "BEGIN")?;
    let result = work(connection);
    execute(connection, "ROLLBACK")?;
    Ok(result)
}
