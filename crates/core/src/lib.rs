//! The rules of the house: what a payment's states are, what a budget allows, when a credential
//! has been used; and the traits behind which rails, ledgers and purses live.
//!
//! Wallet, seller and facilitator run the same [`payment::step`]. Nothing here does I/O: time,
//! chains and disks are handed in, so that every rule can be simulated (see `tests/`).

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod cidr;
pub mod claim;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod diagnosis;
pub mod fault;
mod handle;
mod health;
pub mod invoice;
pub mod ledger;
pub mod payment;
pub mod policy;
pub mod purse;
pub mod rail;
pub mod rates;
pub mod token;
pub mod trace;
pub mod uses;
