//! A temporary folder with one ledger in it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::ledger::Ledger;
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::Store;
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn empty() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("ledger.db")
    }

    /// The file behind the ledger's back.
    pub(crate) fn raw(&self) -> Connection {
        Connection::open(self.path()).expect("a database")
    }
}

#[async_trait]
impl Store for Folder {
    async fn open(&self) -> Arc<dyn Ledger> {
        Arc::new(SqliteLedger::open(&self.path()).expect("a ledger"))
    }
}
