//! The suite of every store, on SQLite.

use crate::folder::Folder;

farebox_ledger::ledger_conformance!(Folder::empty);
