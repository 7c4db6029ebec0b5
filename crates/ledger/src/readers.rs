//! A few connections that only read, each used by one blocking thread at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use farebox_core::ledger::LedgerError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::schema::{self, execute};

/// Reads that may run at once; more would only wait for the same disk.
const READERS_MAX: usize = 4;

/// The pool.
#[derive(Clone)]
pub(crate) struct Readers {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens the first connection, so that a file that cannot be read fails at start.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let first = schema::open_reader(path)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                free: Arc::new(Semaphore::new(READERS_MAX)),
                idle: Mutex::new(vec![first]),
            }),
        })
    }

    /// Runs `work` in one read transaction: all that it sees is one snapshot.
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
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        // All that follows is of one moment.
        execute(&connection, "BEGIN")?;
        let result = work(&connection);
        execute(&connection, "ROLLBACK")?;
        self.lock().push(connection);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A panic elsewhere leaves a list of idle connections as good as before.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
