//! The rail against a real chain in this process: `farebox-devnet-evm`, with its faults.

#![allow(clippy::unwrap_used)]

mod batch;
mod check;
mod deploy;
mod evm;
mod faults;
mod gas;
mod lanes;
mod relay;
mod reorg;
mod settle;
mod shop;
mod snapshot;
mod stuck;
mod verify;
mod wallets;
