//! The x402 dialect, version 2 (reference: x402 specification v2, and npm `@x402/core` 2.27).
//!
//! `types` holds the bodies, `header` their carriage, `exact_evm` the payload of scheme `exact` on
//! EVM chains, `matching` the equality of offers, `verdict` what a receipt says, `reason` the error
//! strings that the official SDKs emit and read.

pub mod exact_evm;
pub mod header;
pub mod matching;
pub mod reason;
pub mod types;
pub mod verdict;

/// The protocol version that this module speaks.
pub const VERSION: u64 = 2;
/// Carries the challenge, server to client, with status 402.
pub const PAYMENT_REQUIRED: &str = "payment-required";
/// Carries the credential, client to server.
pub const PAYMENT_SIGNATURE: &str = "payment-signature";
/// Carries the receipt, server to client, on success and on settlement failure.
pub const PAYMENT_RESPONSE: &str = "payment-response";
/// The credential header of version 1.
pub const X_PAYMENT: &str = "x-payment";
/// The receipt header of version 1.
pub const X_PAYMENT_RESPONSE: &str = "x-payment-response";
