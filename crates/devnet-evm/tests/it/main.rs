//! The devnet as a client sees it: everything over JSON-RPC, as a wallet or a facilitator would do it.

mod blocks;
mod client;
mod faults;
mod history;
mod lens;
mod logs;
mod mempool;
mod rpc;
mod settler;
mod setup;
mod socket;
mod start;
mod token;
mod wallets;
