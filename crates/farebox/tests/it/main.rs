//! The built binary, used as its users use it: arguments in; stdout, stderr, exit code and files out.

mod acme;
mod budget;
mod channel;
mod completions;
mod config;
mod cors;
mod demo;
mod devnet;
mod doctor;
mod every_network;
mod examples;
mod facilitator;
mod fetch;
mod flags;
mod gate;
mod help;
mod lightning;
mod man;
mod market;
#[allow(
    dead_code,
    reason = "shared with the long runs in soak/, which use the rest of it"
)]
mod nets;
mod networks;
mod operations;
mod packaging;
mod payments;
#[cfg(all(feature = "all-rails", feature = "embedded-node"))]
mod rails;
mod readme;
mod reference;
mod revoking;
mod solana;
mod solana_seller;
mod support;
mod timeouts;
mod tls;
mod token;
mod trade;
mod usage;
mod version_1;
mod wallet;
