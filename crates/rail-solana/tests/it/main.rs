//! This rail against a real chain in this process: `farebox-devnet-svm`, the real virtual machine
//! with the faults of real nodes.

#![allow(clippy::unwrap_used)]

mod check;
mod faults;
mod payer;
mod settle;
mod shop;
mod svm;
mod verify;
