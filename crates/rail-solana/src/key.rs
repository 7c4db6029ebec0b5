//! ed25519 keys and signatures: the only file that touches secret bytes.
//!
//! Used to sign payments (buyer) and to pay their fees (fee payer). A key has no `Debug`, `Clone`
//! or `Serialize` and is erased when dropped (ARCHITECTURE law 15).

use farebox_wire::svm::{SvmAddress, SvmSignature};
use solana_keypair::Keypair;
use solana_signature::Signature;
use solana_signer::Signer;
use zeroize::Zeroizing;

use crate::account::svm;

/// Seed and public key.
const KEYPAIR_BYTES: usize = 64;
/// Hex digits of a seed.
const SEED_DIGITS: usize = 64;

/// A secret key and its address. Share it in an `Arc`.
pub struct SolanaKey {
    // Boxed, so that moving the key leaves no copy of the secret behind. It erases itself.
    pair: Box<Keypair>,
    address: SvmAddress,
}

/// Why a text is not a key. Never says what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// None of the three spellings.
    #[error(
        "a Solana key is 64 bytes in base58, the JSON array of 64 numbers that solana-keygen writes, or a seed of 64 hex digits"
    )]
    Form,
    /// The second half of the 64 bytes is not the public key of the first.
    #[error("the two halves of this Solana key do not belong together")]
    Halves,
    /// 32 bytes in base58: what an address looks like.
    #[error(
        "32 bytes in base58 look like an address, which is no secret; a Solana key has 64 bytes, and a bare seed is written as 64 hex digits"
    )]
    Address,
}

impl SolanaKey {
    /// Takes a seed. The caller erases its own copy.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::of(Keypair::new_from_array(*seed))
    }

    /// Reads 64 bytes in base58, as wallets export them, the JSON array of solana-keygen, or a
    /// seed of 64 hex digits with or without `0x`; blanks around it are allowed.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if let Some(numbers) = text.strip_prefix('[') {
            return Self::from_numbers(numbers.strip_suffix(']').ok_or(KeyError::Form)?);
        }
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() == SEED_DIGITS {
            let mut seed = Zeroizing::new([0; 32]);
            hex::decode_to_slice(digits, seed.as_mut_slice()).map_err(|_| KeyError::Form)?;
            return Ok(Self::from_seed(&seed));
        }
        if text.parse::<SvmAddress>().is_ok() {
            return Err(KeyError::Address);
        }
        let mut bytes = Zeroizing::new([0; KEYPAIR_BYTES]);
        // The longest base58 of 64 bytes; decoding takes the square of the length.
        if text.len() > 88 {
            return Err(KeyError::Form);
        }
        match bs58::decode(text).onto(bytes.as_mut_slice()) {
            Ok(KEYPAIR_BYTES) => Self::from_pair(&bytes),
            _ => Err(KeyError::Form),
        }
    }

    /// The account that this key controls.
    #[must_use]
    pub const fn address(&self) -> SvmAddress {
        self.address
    }

    /// Signs a message, deterministically: the same message has the same signature for ever, so
    /// that a transaction's name is known before it is sent and after a crash.
    pub(crate) fn sign(&self, message: &[u8]) -> SvmSignature {
        SvmSignature(self.pair.sign_message(message).into())
    }

    fn from_numbers(numbers: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEYPAIR_BYTES]);
        let mut given = numbers.split(',').map(str::trim);
        for byte in bytes.iter_mut() {
            let number = given.next().ok_or(KeyError::Form)?;
            // A number may have no sign, which `parse` would take.
            if !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err(KeyError::Form);
            }
            *byte = number.parse().map_err(|_| KeyError::Form)?;
        }
        match given.next() {
            None => Self::from_pair(&bytes),
            Some(_) => Err(KeyError::Form),
        }
    }

    fn from_pair(bytes: &[u8; KEYPAIR_BYTES]) -> Result<Self, KeyError> {
        let pair = Keypair::try_from(bytes.as_slice()).map_err(|_| KeyError::Halves)?;
        Ok(Self::of(pair))
    }

    fn of(pair: Keypair) -> Self {
        let address = svm(&pair.pubkey());
        Self {
            pair: Box::new(pair),
            address,
        }
    }
}

/// Whether `signer` has signed `message`; strict, as the chain checks it.
pub(crate) fn has_signed(signer: SvmAddress, message: &[u8], signature: &SvmSignature) -> bool {
    Signature::from(signature.0).verify(&signer.0, message)
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
