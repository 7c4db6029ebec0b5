//! The desk over a real ledger, with a rail and a clock that the tests hold in their hands.

// Helpers outside `#[test]` fail like tests: by panicking.
#![allow(clippy::unwrap_used)]

mod fake;
mod node;
mod prepaid;
mod resolve;
mod spend;
mod standing;
