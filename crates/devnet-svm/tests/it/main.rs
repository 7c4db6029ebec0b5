//! The devnet as a client sees it: everything over JSON-RPC, as a wallet or a facilitator would do it.

mod blockhashes;
mod client;
mod payments;
