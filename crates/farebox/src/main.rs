//! The farebox binary: reads the command line, runs one command, exits with one code.
//!
//! `cli/` has a file per command, `config/` reads the file, `assemble.rs` alone names rails, stores
//! and listeners, `demo/` is the main job in one command, `doctor/` judges
//! what is found, `rates/` reads what a bitcoin is worth, `request_log.rs` writes a line for each request, `telemetry/` sends traces. Nothing here decides about money: that is
//! done in the rooms below.

mod assemble;
mod cli;
mod config;
mod demo;
mod doctor;
mod failure;
mod output;
mod rates;
mod request_log;
mod telemetry;

use std::process::ExitCode;

use mimalloc::MiMalloc;

// Memory is freed by another thread than took it all the time here, and threads must not wait for
// each other over that (docs/adr/0015).
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // First of all: whoever builds a TLS client without it panics. An error means that it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::main()
}
