//! The SQLite ledger against the rules of every ledger, and against crashes, other processes and
//! damaged files.

mod conformance;
mod damage;
mod files;
mod folder;
mod journal;
mod processes;
mod prune;
mod remembered;
mod upgrade;
