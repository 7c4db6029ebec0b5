//! The loop over real sockets: honest sellers, lying ones, and twins. The purse is the wallet's
//! desk over a real ledger; only the rail is a fake.

// Helpers outside `#[test]` fail like tests: by panicking.
#![allow(clippy::unwrap_used)]

mod agents;
mod challenges;
mod dry_run;
mod l402;
mod l402_together;
mod lightning;
mod lying;
mod paying;
mod purse;
mod real_invoices;
mod redirects;
mod sellers;
mod twins;
mod version_1;
