//! The x402 dialect, version 2 (reference: x402 specification v2, and npm `@x402/core` 2.27), and in
//! `v1` what version 1 says in its own way.
//!
//! `types` holds the bodies, `header` their carriage, `exact_evm` the payload of scheme `exact` on
//! EVM chains, `exact_svm` that on Solana, `matching` the equality of offers, `verdict` what a receipt says, `reason` the error
//! strings that the official SDKs emit and read, `facilitator` a facilitator's questions in either
//! version.

pub mod exact_evm;
pub mod exact_svm;
pub mod facilitator;
pub mod header;
pub mod matching;
pub mod reason;
pub mod types;
pub mod v1;
pub mod verdict;

/// The protocol version that this module's own types speak.
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

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Challenge in the body, `X-PAYMENT`, `X-PAYMENT-RESPONSE`.
    V1,
    /// `PAYMENT-REQUIRED`, `PAYMENT-SIGNATURE`, `PAYMENT-RESPONSE`.
    V2,
}

impl Version {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::V1 => v1::VERSION,
            Self::V2 => VERSION,
        }
    }

    /// The header that carries a credential.
    #[must_use]
    pub const fn credential_header(self) -> &'static str {
        match self {
            Self::V1 => X_PAYMENT,
            Self::V2 => PAYMENT_SIGNATURE,
        }
    }

    /// The header that carries a receipt.
    #[must_use]
    pub const fn receipt_header(self) -> &'static str {
        match self {
            Self::V1 => X_PAYMENT_RESPONSE,
            Self::V2 => PAYMENT_RESPONSE,
        }
    }
}
