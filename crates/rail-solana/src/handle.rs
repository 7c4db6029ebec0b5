//! What is stored beside a payment so that the chain can be asked about it after a crash
//! (ARCHITECTURE law 4): what its transaction does, and on the seller's side the transaction.

use std::sync::Arc;

use farebox_core::rail::{Handle, RailError};
use farebox_wire::caip::ChainId;
use farebox_wire::identity::Identity;
use farebox_wire::svm::{SvmAddress, SvmBlockhash, SvmSignature, SvmTransaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rules::Transfer;

/// The content of a [`Handle`]. No `Debug`: with its transaction it is a credential.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SvmHandle {
    pub(crate) chain: ChainId,
    pub(crate) mint: SvmAddress,
    /// Who pays: the owner of `source`, who has signed.
    pub(crate) payer: SvmAddress,
    /// Token account that is paid from.
    pub(crate) source: SvmAddress,
    /// Token account that is paid to.
    pub(crate) destination: SvmAddress,
    /// Atomic units.
    pub(crate) amount: u64,
    /// Who sends the transaction.
    pub(crate) fee_payer: SvmAddress,
    /// The block that it names.
    pub(crate) blockhash: SvmBlockhash,
    /// SHA-256 of the message, in hex: the payment's name on the chain.
    #[serde(with = "digest_hex")]
    pub(crate) digest: [u8; 32],
    /// The payer's signature. The fee payer's is the transaction's name.
    pub(crate) signature: SvmSignature,
    /// Unix seconds at which it was first seen.
    pub(crate) seen_s: u64,
    /// No block after this height can hold it; `None` where nobody has asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_height: Option<u64>,
    /// No block before this slot can hold it; known to whoever has signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since_slot: Option<u64>,
    /// Present where we settle, without a signature of the fee payer; the buyer's own credential is
    /// stored elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) transaction: Option<SvmTransaction>,
    /// What was examined, in the process that has examined it: nothing that was stored comes with
    /// it, so whoever reads a file reads the transaction anew.
    #[serde(skip)]
    pub(crate) examined: Option<Arc<Transfer>>,
}

impl SvmHandle {
    pub(crate) fn read(handle: &Handle) -> Result<Arc<Self>, RailError> {
        handle.read()
    }

    pub(crate) fn write(self: &Arc<Self>) -> Result<Handle, RailError> {
        Handle::write(self)
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::svm(&self.chain, &self.digest)
    }
}

/// What a message is called: the chain runs it once, whoever hands it over.
pub(crate) fn digest_of(message: &[u8]) -> [u8; 32] {
    Sha256::digest(message).into()
}

/// The signatures of a transaction's bytes, and its message; `None` where they are cut off, or
/// there are more than a transaction has room for.
pub(crate) fn split(transaction: &[u8]) -> Option<(Vec<SvmSignature>, &[u8])> {
    let (count, rest) = transaction.split_first()?;
    // A longer count takes two bytes, and its signatures more than a packet.
    if *count >= 0x80 {
        return None;
    }
    let (signatures, message) = rest.split_at_checked(usize::from(*count).checked_mul(64)?)?;
    let (signatures, _) = signatures.as_chunks::<64>();
    Some((
        signatures.iter().copied().map(SvmSignature).collect(),
        message,
    ))
}

/// Joins signatures and a message into a transaction's bytes; `None` where there are too many.
pub(crate) fn join(signatures: &[SvmSignature], message: &[u8]) -> Option<SvmTransaction> {
    let count = u8::try_from(signatures.len()).ok().filter(|n| *n < 0x80)?;
    let mut bytes = vec![count];
    for signature in signatures {
        bytes.extend_from_slice(&signature.0);
    }
    bytes.extend_from_slice(message);
    SvmTransaction::new(bytes).ok()
}

/// 32 bytes as 64 digits.
mod digest_hex {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        digest: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(&text, &mut digest).map_err(serde::de::Error::custom)?;
        Ok(digest)
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
