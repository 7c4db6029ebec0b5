//! A paid token as aperture's client library and lnget keep it in a file (`l402.token`).
//!
//! Read by `farebox token import`, never written. The layout, big endian: length of the macaroon in
//! 4 bytes, the macaroon in binary, payment hash and preimage in 32 bytes each, amount and fee in
//! millisatoshi and the time of creation in nanoseconds in 8 bytes each. A preimage of zeros means
//! that the payment has not been proven yet.

use crate::l402::Scheme;
use crate::l402::credential::L402Credential;
use crate::l402::macaroon::{MACAROON_BYTES_MAX, Macaroon, MacaroonError};
use crate::l402::preimage::{PaymentHash, Preimage};

/// Bytes of a file: a macaroon and the fields around it.
pub const FILE_BYTES_MAX: usize = MACAROON_BYTES_MAX + LENGTH + REST;

/// Bytes of the length, and of everything after the macaroon.
const LENGTH: usize = 4;
const REST: usize = 32 + 32 + 8 + 8 + 8;

/// What a file says. The credential is a secret.
pub struct TokenAtRest {
    /// What is shown to the seller.
    pub credential: L402Credential,
    /// The payment that it proves.
    pub payment_hash: PaymentHash,
    /// What was paid, in millisatoshi.
    pub amount_msat: u64,
    /// What carrying it has cost, in millisatoshi.
    pub fee_msat: u64,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
}

/// Why a file is no paid token. Never says what stood in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtRestError {
    /// Longer than [`FILE_BYTES_MAX`].
    #[error("the file has more than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Not as long as it says.
    #[error("the file does not have the length that it says; it may be torn")]
    Length,
    /// The macaroon cannot be read.
    #[error("the token in the file cannot be read: {0}")]
    Macaroon(MacaroonError),
    /// The preimage is not there.
    #[error(
        "the payment of this token has not been proven; let the program that began it finish it"
    )]
    Pending,
    /// The preimage is not that of the payment hash.
    #[error("the preimage in the file does not belong to its payment hash")]
    Preimage,
    /// A time before 1970.
    #[error("the file was made before 1970")]
    Time,
}

impl TokenAtRest {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`AtRestError`].
    pub fn read(bytes: &[u8]) -> Result<Self, AtRestError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(AtRestError::TooLong);
        }
        let (length, rest) = bytes.split_first_chunk().ok_or(AtRestError::Length)?;
        let length =
            usize::try_from(u32::from_be_bytes(*length)).map_err(|_| AtRestError::Length)?;
        let (macaroon, rest) = rest.split_at_checked(length).ok_or(AtRestError::Length)?;
        let (hash, rest) = rest.split_first_chunk().ok_or(AtRestError::Length)?;
        let (preimage, rest) = rest.split_first_chunk().ok_or(AtRestError::Length)?;
        let (amount, rest) = rest.split_first_chunk().ok_or(AtRestError::Length)?;
        let (fee, rest) = rest.split_first_chunk().ok_or(AtRestError::Length)?;
        let created = <[u8; 8]>::try_from(rest).map_err(|_| AtRestError::Length)?;
        let macaroon = Macaroon::from_bytes(macaroon).map_err(AtRestError::Macaroon)?;
        if *preimage == [0; 32] {
            return Err(AtRestError::Pending);
        }
        let (payment_hash, preimage) = (PaymentHash(*hash), Preimage::from_bytes(*preimage));
        if preimage.payment_hash() != payment_hash {
            return Err(AtRestError::Preimage);
        }
        let created = u64::try_from(i64::from_be_bytes(created)).map_err(|_| AtRestError::Time)?;
        let credential = L402Credential::new(Scheme::L402, &macaroon.to_base64(), preimage);
        Ok(Self {
            // Base64 of a macaroon can always be sent, and is not empty.
            credential: credential.map_err(|_| AtRestError::Macaroon(MacaroonError::TooLong))?,
            payment_hash,
            amount_msat: u64::from_be_bytes(*amount),
            fee_msat: u64::from_be_bytes(*fee),
            created_ms: created / 1_000_000,
        })
    }
}

#[cfg(test)]
#[path = "at_rest_tests.rs"]
mod tests;
