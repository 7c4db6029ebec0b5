//! The identifier of a token: which payment it is for, and which of many tokens it is (version 0,
//! exactly 66 bytes, big-endian).
//!
//! Written when a token is minted, read when one comes back. aperture reads shorter ones padded with
//! zeros and longer ones cut: two readers would then see two tokens, so here both are refused.

use std::fmt;

use crate::l402::preimage::PaymentHash;

/// Bytes of an identifier: version, payment hash, token id.
pub const IDENTIFIER_BYTES: usize = 2 + 32 + 32;

/// 32 random bytes that tell one token from every other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 32]);

/// What the identifier of a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The payment that the token is for.
    pub payment_hash: PaymentHash,
    /// The token.
    pub token_id: TokenId,
}

/// Why bytes are no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Not [`IDENTIFIER_BYTES`].
    #[error("the identifier of an L402 token has {IDENTIFIER_BYTES} bytes, not {bytes}")]
    Length {
        /// Bytes that stood there.
        bytes: usize,
    },
    /// Not version 0.
    #[error("the identifier of the L402 token is of version {0}, not 0")]
    Version(u16),
}

impl Identifier {
    /// Reads an identifier.
    ///
    /// # Errors
    /// See [`IdentifierError`].
    pub fn read(bytes: &[u8]) -> Result<Self, IdentifierError> {
        let wrong = IdentifierError::Length { bytes: bytes.len() };
        let (version, rest) = bytes.split_first_chunk::<2>().ok_or(wrong)?;
        let (payment_hash, rest) = rest.split_first_chunk::<32>().ok_or(wrong)?;
        let token_id: [u8; 32] = rest.try_into().map_err(|_| wrong)?;
        match u16::from_be_bytes(*version) {
            0 => Ok(Self {
                payment_hash: PaymentHash(*payment_hash),
                token_id: TokenId(token_id),
            }),
            other => Err(IdentifierError::Version(other)),
        }
    }

    /// Writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            0_u16.to_be_bytes().as_slice(),
            &self.payment_hash.0,
            &self.token_id.0,
        ]
        .concat()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[path = "identifier_tests.rs"]
mod tests;
