//! Payments in EIP-3009 tokens on EVM chains: sign, verify, settle, check.
//!
//! `EvmPayer` is the buyer's half and holds the paying key; `EvmCollector` is the seller's and
//! holds the gas key. Networks and tokens are data. Everything that can be decided without a
//! chain is (ARCHITECTURE law 8), and everything that the chain alone knows is asked of the token, not
//! of our own transactions (law 4).

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

mod abi;
mod address;
pub mod assets;
mod check;
mod collector;
mod contracts;
mod deploy;
mod diagnose;
mod digest;
mod events;
mod examine;
mod facilitate;
#[cfg(test)]
mod fixtures;
mod handle;
mod key;
mod network;
mod options;
mod payer;
mod quote;
#[cfg(any(test, feature = "fuzzing"))]
pub mod readers;
mod recheck;
mod rpc;
mod settle;
mod snapshot;
mod verify;
mod wallets;

use farebox_core::rail::{Holding, RailError};
use farebox_wire::evm::EvmAddress;

pub use address::{ParseAddressError, checksummed, parse_address};
pub use assets::{Asset, TransferMethod};
pub use collector::EvmCollector;
pub use deploy::{Deployed, deploy_settler};
pub use diagnose::diagnose;
pub use key::{EvmKey, KeyError};
pub use network::{Finality, Network};
pub use options::{CollectorOptions, GasLimits};
pub use payer::EvmPayer;

/// The name of this rail.
const RAIL: &str = "evm";

/// What an account holds of every known token on `networks`; the chains without `rpc` are left
/// out. Needs no key.
///
/// # Errors
/// See [`EvmPayer::new`]; a chain that does not answer is an error of its own in the list.
pub async fn holdings(
    networks: Vec<Network>,
    account: EvmAddress,
) -> Result<Vec<Result<Holding, RailError>>, RailError> {
    let chains = network::index(networks)?;
    Ok(check::holdings(&chains, account).await)
}
