//! The rail against a real chain in this process.

#![allow(clippy::unwrap_used)]

mod payer;
