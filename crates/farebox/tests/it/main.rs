//! The built binary, used as its users use it: arguments in; stdout, stderr, exit code and files out.

mod budget;
mod config;
mod devnet;
mod help;
mod support;
mod usage;
mod wallet;
