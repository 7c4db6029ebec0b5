//! The SQLite ledger against the rules of every ledger, and against crashes, other processes and
//! damaged files.

mod conformance;
