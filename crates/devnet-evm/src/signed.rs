//! A transaction as it arrived: decoded, hashed and with its sender recovered. Called by the mempool's door
//! (`eth_sendRawTransaction`). It must never accept a signature that Ethereum refuses (EIP-2's low `s`).

use std::sync::LazyLock;

use alloy_consensus::{Transaction as _, TxEnvelope, Typed2718 as _};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_eips::eip7702::{RecoveredAuthority, RecoveredAuthorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Signature, keccak256};
use revm::context::TxEnv;
use revm::context_interface::either::Either;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, Secp256k1, VerifyOnly};

static CURVE: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// A signed transaction and its sender.
#[derive(Debug)]
pub(crate) struct SignedTx {
    pub(crate) envelope: TxEnvelope,
    pub(crate) hash: B256,
    pub(crate) sender: Address,
    /// Bytes on the wire (EIP-2718).
    pub(crate) size: usize,
}

/// Why bytes are not a transaction of this chain. The words are geth's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("typed transaction too short")]
    Malformed,
    #[error("transaction type not supported")]
    Unsupported,
    #[error("invalid transaction v, r, s values")]
    Signature,
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    NotReplayProtected,
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId { have: u64, want: u64 },
}

impl SignedTx {
    /// Reads EIP-2718 bytes for the given chain.
    pub(crate) fn decode(raw: &[u8], chain_id: u64) -> Result<Self, DecodeError> {
        let mut rest = raw;
        let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|_| DecodeError::Malformed)?;
        if !rest.is_empty() {
            return Err(DecodeError::Malformed);
        }
        if envelope.is_eip4844() {
            return Err(DecodeError::Unsupported);
        }
        match envelope.chain_id() {
            None => return Err(DecodeError::NotReplayProtected),
            Some(have) if have != chain_id => {
                return Err(DecodeError::ChainId {
                    have,
                    want: chain_id,
                });
            }
            Some(_) => {}
        }
        let sender = recover(&envelope.signature_hash(), envelope.signature())
            .ok_or(DecodeError::Signature)?;
        Ok(Self {
            hash: *envelope.tx_hash(),
            sender,
            size: envelope.encode_2718_len(),
            envelope,
        })
    }

    /// The transaction as the EVM takes it.
    pub(crate) fn tx_env(&self) -> TxEnv {
        let tx = &self.envelope;
        TxEnv {
            tx_type: tx.ty(),
            caller: self.sender,
            gas_limit: tx.gas_limit(),
            gas_price: tx.max_fee_per_gas(),
            gas_priority_fee: tx.max_priority_fee_per_gas(),
            kind: tx.kind(),
            value: tx.value(),
            data: tx.input().clone(),
            nonce: tx.nonce(),
            chain_id: tx.chain_id(),
            access_list: tx.access_list().cloned().unwrap_or_default(),
            authorization_list: tx
                .authorization_list()
                .unwrap_or_default()
                .iter()
                .map(recovered)
                .collect(),
            ..TxEnv::default()
        }
    }
}

/// EIP-7702 authorizations with bad signatures are skipped by the protocol, not refused: they become invalid authorities.
pub(crate) fn recovered(
    signed: &SignedAuthorization,
) -> Either<SignedAuthorization, RecoveredAuthorization> {
    let authority = signed
        .signature()
        .ok()
        .and_then(|signature| recover(&signed.inner().signature_hash(), &signature))
        .map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
    Either::Right(RecoveredAuthorization::new_unchecked(
        signed.inner().clone(),
        authority,
    ))
}

/// The address whose key signed `digest`, or `None` for a signature that Ethereum refuses.
pub(crate) fn recover(digest: &B256, signature: &Signature) -> Option<Address> {
    if signature.normalize_s().is_some() {
        return None;
    }
    let id = if signature.v() {
        RecoveryId::One
    } else {
        RecoveryId::Zero
    };
    let compact = signature.as_rsy();
    let signature = RecoverableSignature::from_compact(compact.get(..64)?, id).ok()?;
    let key = CURVE
        .recover_ecdsa(Message::from_digest(digest.0), &signature)
        .ok()?;
    Some(address_of(&key))
}

/// The address of a public key.
pub(crate) fn address_of(key: &secp256k1::PublicKey) -> Address {
    let [_, point @ ..] = key.serialize_uncompressed();
    Address::from_slice(&keccak256(point)[12..])
}
