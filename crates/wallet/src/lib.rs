//! Keys, budgets and the one function that spends.
//!
//! [`desk::Desk`] fills in core's `Purse`: it is the only place where a credential is signed, and
//! it hands none out before the ledger has written that it is about to leave (ARCHITECTURE law 2).
//! Where the money moves first, `prepaid` pays, and `tokens` keeps what was bought.
//! [`secret`] and [`keystore`] read keys from where people keep them. Rails and ledger are handed
//! in by the binary; nothing here knows which chain or store they are.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod budget;
pub mod desk;
mod funds;
pub mod keystore;
mod prepaid;
mod random;
mod resolve;
pub mod secret;
mod standing;
mod tokens;

pub use desk::{Desk, DeskOptions};
pub use resolve::ResolveReport;
