//! secp256k1 keys and signatures: the only file that touches secret bytes.
//!
//! Used to sign authorizations (buyer) and transactions (gas key), and to recover signers. A key
//! has no `Debug`, `Clone` or `Serialize` and is erased when dropped (ARCHITECTURE law 15).

use std::sync::LazyLock;

use alloy_primitives::keccak256;
use farebox_wire::evm::{EvmAddress, Word};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey};
use zeroize::Zeroizing;

/// Tables for signing and recovery; building them costs more than a hundred signatures.
static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// Half the order of the curve: a larger `s` is the mirror image of a smaller one, which tokens
/// refuse (EIP-2).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Bytes of `r ‖ s ‖ v`.
const SIGNATURE_BYTES: usize = 65;

/// A secret key and its address. Share it in an `Arc`.
pub struct EvmKey {
    // Boxed, so that moving the key leaves no copy of the secret behind.
    secret: Box<SecretKey>,
    address: EvmAddress,
}

/// Why a text or bytes are not a key. Never says what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hex digits, with or without `0x`.
    #[error("an EVM key is 64 hex digits, with or without 0x in front")]
    Hex,
    /// Zero, or not below the order of the curve.
    #[error("these 32 bytes are no secp256k1 key")]
    Range,
}

impl EvmKey {
    /// Takes the 32 secret bytes. The caller erases its own copy.
    ///
    /// # Errors
    /// [`KeyError::Range`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = Box::new(SecretKey::from_byte_array(*bytes).map_err(|_| KeyError::Range)?);
        let address = address_of(&PublicKey::from_secret_key(&CURVE, &secret));
        Ok(Self { secret, address })
    }

    /// Reads 64 hex digits, with or without `0x`, blanks around them allowed.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = Zeroizing::new([0; 32]);
        alloy_primitives::hex::decode_to_slice(digits, bytes.as_mut_slice())
            .map_err(|_| KeyError::Hex)?;
        // `decode_to_slice` takes a second 0x; a key never has one.
        if digits.len() != 64 {
            return Err(KeyError::Hex);
        }
        Self::from_bytes(&bytes)
    }

    /// The account that this key controls.
    #[must_use]
    pub const fn address(&self) -> EvmAddress {
        self.address
    }

    /// Signs a digest, deterministically (RFC 6979) and with a low `s`.
    pub(crate) fn sign(&self, digest: &Word) -> EvmSignature {
        let signed = CURVE.sign_ecdsa_recoverable(Message::from_digest(digest.0), &self.secret);
        let (recovery, compact) = signed.serialize_compact();
        EvmSignature {
            compact,
            y_is_odd: i32::from(recovery) & 1 == 1,
        }
    }
}

impl Drop for EvmKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

/// A signature in its one canonical form: `r`, a low `s`, and the parity of `y`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EvmSignature {
    compact: [u8; 64],
    y_is_odd: bool,
}

/// Why bytes are not the signature of an ordinary account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("the signature has {0} bytes; ordinary accounts sign 65")]
    Length(usize),
    #[error("the signature's last byte is {0}; it must be 27 or 28")]
    Parity(u8),
    #[error("the signature's r or s is zero")]
    Zero,
    #[error(
        "the signature's s is in the upper half of the curve's order, which tokens refuse (EIP-2)"
    )]
    HighS,
    #[error("nobody can have made this signature")]
    Unrecoverable,
}

impl EvmSignature {
    /// Reads `r ‖ s ‖ v` with v 0, 1, 27 or 28.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SignatureError> {
        let bytes: &[u8; SIGNATURE_BYTES] = bytes
            .try_into()
            .map_err(|_| SignatureError::Length(bytes.len()))?;
        let [compact @ .., v] = bytes;
        let (r, s) = compact.split_at(32);
        let y_is_odd = match v {
            0 | 27 => false,
            1 | 28 => true,
            other => return Err(SignatureError::Parity(*other)),
        };
        if r.iter().all(|b| *b == 0) || s.iter().all(|b| *b == 0) {
            return Err(SignatureError::Zero);
        }
        if s > HALF_ORDER.as_slice() {
            return Err(SignatureError::HighS);
        }
        Ok(Self {
            compact: *compact,
            y_is_odd,
        })
    }

    /// Who signed `digest`.
    pub(crate) fn recover(&self, digest: &Word) -> Result<EvmAddress, SignatureError> {
        let parity = RecoveryId::from_u8_masked(u8::from(self.y_is_odd));
        let signed = RecoverableSignature::from_compact(&self.compact, parity)
            .map_err(|_| SignatureError::Unrecoverable)?;
        CURVE
            .recover_ecdsa(Message::from_digest(digest.0), &signed)
            .map(|key| address_of(&key))
            .map_err(|_| SignatureError::Unrecoverable)
    }

    /// `r ‖ s ‖ v` with v 27 or 28, as tokens and the SDKs want it.
    pub(crate) fn to_bytes(self) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        let (head, tail) = bytes.split_at_mut(64);
        head.copy_from_slice(&self.compact);
        tail.fill(self.v());
        bytes
    }

    /// 27 or 28.
    pub(crate) fn v(&self) -> u8 {
        27 + u8::from(self.y_is_odd)
    }

    /// `r` and `s`.
    pub(crate) fn r_and_s(&self) -> (Word, Word) {
        let (mut r, mut s) = (Word::ZERO, Word::ZERO);
        let (left, right) = self.compact.split_at(32);
        r.0.copy_from_slice(left);
        s.0.copy_from_slice(right);
        (r, s)
    }

    /// Whether `y` is odd: the parity of typed transactions.
    pub(crate) const fn y_is_odd(&self) -> bool {
        self.y_is_odd
    }
}

fn address_of(key: &PublicKey) -> EvmAddress {
    let point = key.serialize_uncompressed();
    // The first byte only says "uncompressed"; an address is the tail of the hash of the rest.
    let [_, coordinates @ ..] = &point;
    let hash = keccak256(coordinates);
    let mut address = EvmAddress::ZERO;
    for (to, from) in address.0.iter_mut().zip(hash.iter().skip(12)) {
        *to = *from;
    }
    address
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
