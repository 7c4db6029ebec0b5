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

mod account;
pub mod assets;
mod build;
mod check;
mod collector;
mod diagnose;
mod examine;
mod expiry;
mod facilitate;
mod failure;
mod handle;
mod key;
mod message;
mod network;
mod options;
mod payer;
mod quote;
#[cfg(any(test, feature = "fuzzing"))]
pub mod readers;
mod recheck;
mod rpc;
mod rules;
#[cfg(test)]
mod samples;
mod settle;
mod simulate;

use farebox_core::rail::{Holding, RailError};
use farebox_wire::svm::SvmAddress;

pub use assets::{Asset, TokenProgram};
pub use collector::SolanaCollector;
pub use diagnose::diagnose;
pub use key::{KeyError, SolanaKey};
pub use network::{Commitment, Network};
pub use options::{CollectorOptions, ComputeLimits, FeeLimits};
pub use payer::SolanaPayer;

/// The name of this rail.
const RAIL: &str = "solana";

/// What an account holds of every known token on `networks`; the chains without `rpc` are left
/// out. Needs no key.
///
/// # Errors
/// See [`SolanaPayer::new`]; a chain that does not answer is an error of its own in the list.
pub async fn holdings(
    networks: Vec<Network>,
    account: SvmAddress,
) -> Result<Vec<Result<Holding, RailError>>, RailError> {
    let chains = network::index(networks)?;
    Ok(check::holdings(&chains, account).await)
}
