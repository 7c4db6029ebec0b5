//! The main job in one command: a local chain, a priced API behind the gate, and a buyer, all over
//! real sockets; each claim is checked, the chain asked, the books compared.
//!
//! `net` is shared with `farebox devnet`, `api` is what is sold, `steps` buys, `report` tells.

#[cfg(feature = "devnet-evm")]
mod api;
#[cfg(feature = "devnet-evm")]
pub(crate) mod net;
#[cfg(feature = "devnet-evm")]
mod paint;
#[cfg(feature = "devnet-evm")]
mod report;
#[cfg(feature = "devnet-evm")]
mod stage;
#[cfg(feature = "devnet-evm")]
mod steps;

#[cfg(feature = "devnet-evm")]
pub(crate) use stage::run;
