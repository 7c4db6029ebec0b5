//! What only a build with every local network and the embedded node can do. It is compiled with
//! `--features farebox/all-rails,farebox/embedded-node`, and `.ci/run` runs it beside `cargo test --workspace`.

mod demo;
mod devnet;
mod embedded;
mod trade;
