//! The x402 dialect, version 1: the same payments in an older dress (npm `x402` 1.2).
//!
//! The challenge is the body of the 402, the credential the header `X-PAYMENT`, the receipt the
//! header `X-PAYMENT-RESPONSE`; networks have names instead of CAIP-2 identifiers, and a credential
//! names scheme and network instead of repeating its offer. Everything behind the wire knows
//! version 2 alone: `types` holds the bodies, `networks` the names, `convert` the way over and back.

mod convert;
mod networks;
mod types;

pub use convert::{Untranslatable, decode_receipt};
pub use networks::{NETWORKS, chain_of, name_of};
pub use types::{FacilitatorRequestV1, PaymentPayloadV1, PaymentRequiredV1, PaymentRequirementsV1};

/// The protocol version that this module speaks.
pub const VERSION: u64 = 1;
