//! Builds and signs our own EIP-1559 transactions.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Signature, TxKind, U256};
use farebox_wire::evm::{EvmAddress, Word};

use super::fees::Fee;
use crate::key::EvmKey;

/// What a transaction does.
#[derive(Clone)]
pub(crate) struct Action {
    pub(crate) to: EvmAddress,
    pub(crate) data: Vec<u8>,
    pub(crate) gas_limit: u64,
}

/// A transaction, ready to be sent; the same bytes may be sent again.
#[derive(Clone)]
pub(crate) struct SignedTx {
    pub(crate) hash: Word,
    pub(crate) raw: Vec<u8>,
    pub(crate) fee: Fee,
}

/// Signs `action` as the transaction with `nonce`.
pub(crate) fn sign(key: &EvmKey, chain_id: u64, nonce: u64, fee: Fee, action: Action) -> SignedTx {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: action.gas_limit,
        max_fee_per_gas: fee.max,
        max_priority_fee_per_gas: fee.tip,
        to: TxKind::Call(Address::from(action.to.0)),
        value: U256::ZERO,
        access_list: Default::default(),
        input: action.data.into(),
    };
    let signature = key.sign(&Word(tx.signature_hash().0));
    let (r, s) = signature.r_and_s();
    let signature = Signature::new(
        U256::from_be_bytes(r.0),
        U256::from_be_bytes(s.0),
        signature.y_is_odd(),
    );
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    SignedTx {
        hash: Word(envelope.hash().0),
        raw: envelope.encoded_2718(),
        fee,
    }
}
