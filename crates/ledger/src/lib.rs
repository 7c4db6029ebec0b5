//! The durable, double-entry record of Farebox on SQLite, behind core's [`Ledger`].
//!
//! Wallet, seller and facilitator hold it as `Arc<dyn Ledger>`; several processes may share one
//! file on a local disk. Every amount is in a balanced entry, entries are never changed, and a
//! reply means that the entry is on disk. It must never decide anything itself: states come from
//! [`farebox_core::payment::step`], permissions from [`farebox_core::policy::decide`].
//!
//! # Accounts
//!
//! Debits are positive. Every payment moves its amount between three accounts of its asset; a
//! buyer's moves its cost in US dollars through the same three of each budget besides.
//!
//! | books | away | held | spent |
//! |---|---|---|---|
//! | buyer | `buyer/wallet` | `buyer/reserved` | `buyer/spent/<payee>` |
//! | seller | `seller/payers` | `seller/held/<payer>` | `seller/revenue/<payee>` |
//! | facilitator | `facilitator/payers` | `facilitator/held/<payer>` | `facilitator/revenue/<payee>` |
//! | budget, ever | `budget/total/free` | `budget/total/reserved` | `budget/total/spent` |
//! | budget, per day | `budget/day/<n>/free` | `budget/day/<n>/reserved` | `budget/day/<n>/spent` |
//!
//! What a seller is paid by invoice moves from away to spent at once: it was never held.
//!
//! `<n>` is the day of the reserve, counted from 1970-01-01 UTC; an agent's accounts end in
//! `/<agent>`. The memo pair `seller/settled/<payer>` against `seller/settled` counts what was
//! ever settled from a payer and is never turned back.
//!
//! | effect | from | to | memo |
//! |---|---|---|---|
//! | `Reserve` | away | held | |
//! | `Commit` | held | spent | counted |
//! | `Release` | held | away | |
//! | `CommitReturned` | away | spent | counted |
//! | `Reopen` | spent | held | |
//! | `WriteOff` | spent | away | |
//!
//! A buyer holds the most that the fee may be with the amount. What becomes spent is the amount and
//! the fee that was really paid; the rest of what was held goes away, also where the fee is heard of
//! only later (an entry `Paid`). The same in dollars.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

mod accounts;
mod apply;
mod blob;
mod books;
mod budget;
mod buyer;
mod cache;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod lock;
mod postings;
mod prune;
mod queue;
mod read;
mod readers;
mod row;
mod schema;
mod seller;
mod store;
mod tokens;
mod uses;
mod verify;
mod writer;

pub use lock::SellerLock;
pub use prune::Pruned;
pub use store::SqliteLedger;

#[doc(no_inline)]
pub use farebox_core::ledger::Ledger;
