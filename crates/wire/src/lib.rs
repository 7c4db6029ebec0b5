//! Bytes to types and back for HTTP 402 payments: money, identifiers, the x402 and the L402 dialect.
//!
//! Every crate of the house reads and writes the wire through this one. It does no I/O, knows no
//! clock and never decides anything: a value that it returns is well formed, not yet trusted.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod auth;
pub mod caip;
pub mod challenge;
pub mod evm;
pub mod identity;
mod json;
pub mod l402;
pub mod money;
pub mod svm;
pub mod text;
pub mod x402;
