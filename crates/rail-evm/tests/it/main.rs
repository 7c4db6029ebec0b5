//! The rail against a real chain in this process: `farebox-devnet-evm`, with its faults.

#![allow(clippy::unwrap_used)]

mod check;
mod conformance;
mod evm;
mod faults;
mod relay;
mod settle;
mod snapshot;
mod verify;
