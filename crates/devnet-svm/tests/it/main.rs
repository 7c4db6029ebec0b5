//! The devnet as a client sees it: everything over JSON-RPC, as a wallet or a facilitator would do it.

mod accounts;
mod blockhashes;
mod client;
mod faults;
mod history;
mod payments;
mod rpc;
mod socket;
mod start;
