//! The suite of every store, on SQLite.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::ledger::Ledger;
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::Store;
use tempfile::TempDir;

/// A folder with one ledger in it.
struct Folder(TempDir);

impl Folder {
    fn path(&self) -> PathBuf {
        self.0.path().join("ledger.db")
    }
}

#[async_trait]
impl Store for Folder {
    async fn open(&self) -> Arc<dyn Ledger> {
        Arc::new(SqliteLedger::open(&self.path()).expect("a ledger"))
    }
}

fn empty() -> Folder {
    Folder(TempDir::new().expect("a temporary folder"))
}

farebox_ledger::ledger_conformance!(empty);
