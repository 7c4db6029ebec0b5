//! The main job in one command: a local chain, a priced API behind the gate, and a buyer, all over
//! real sockets; each claim is checked, the chain asked, the books compared.
//!
//! `net`, `lightning`, `solana` and `files` are shared with `farebox devnet`, `api` is what is sold, `steps` buys, with
//! `by_solana` and `by_lightning` where `others` run too, `report` tells.

#[cfg(feature = "devnet-evm")]
mod api;
#[cfg(feature = "all-rails")]
mod by_lightning;
#[cfg(feature = "all-rails")]
mod by_solana;
#[cfg(any(feature = "devnet-evm", feature = "devnet-ln", feature = "devnet-svm"))]
pub(crate) mod files;
#[cfg(feature = "devnet-ln")]
pub(crate) mod lightning;
#[cfg(feature = "devnet-evm")]
pub(crate) mod net;
#[cfg(feature = "all-rails")]
mod others;
#[cfg(feature = "devnet-evm")]
mod paint;
#[cfg(feature = "devnet-evm")]
mod report;
#[cfg(feature = "devnet-svm")]
pub(crate) mod solana;
#[cfg(feature = "devnet-evm")]
mod stage;
#[cfg(feature = "devnet-evm")]
mod steps;

#[cfg(feature = "devnet-evm")]
pub(crate) use stage::run;
