//! The demonstration, and the local network that it shares with `farebox devnet`.

#[cfg(feature = "devnet-evm")]
pub(crate) mod net;
