//! Payments in SPL tokens on Solana: build, verify, settle, check.
//!
//! `SolanaPayer` is the buyer's half and holds the paying key. Networks and tokens are data. A
//! payment is named by its message (ARCHITECTURE law 6): the chain runs one message once, so that
//! its transaction may be handed over any number of times.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]
// The rooms of the collector come next and use the rest.
#![allow(dead_code, unused_imports)]

mod account;
pub mod assets;
mod expiry;
mod handle;
mod key;
mod network;
mod rpc;

pub use assets::{Asset, TokenProgram};
pub use key::{KeyError, SolanaKey};
pub use network::{Commitment, Network};

/// The name of this rail.
const RAIL: &str = "solana";
