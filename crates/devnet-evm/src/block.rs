//! Blocks, receipts and logs as the chain keeps them. Written by `world`, read by the RPC.
//! A block never changes once it is mined: it is shared by `Arc` with filters and subscriptions.

use std::sync::Arc;

use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Receipt, ReceiptEnvelope, TxType,
};
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, U256, keccak256};
use revm::context::BlockEnv;

use crate::signed::SignedTx;
use crate::state::Position;

/// Pays the tips to Base's sequencer fee vault, so that no funded account earns them.
pub(crate) const FEE_RECIPIENT: Address =
    alloy_primitives::address!("4200000000000000000000000000000000000011");

/// A mined block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) header: Header,
    pub(crate) hash: B256,
    pub(crate) transactions: Vec<Arc<MinedTx>>,
    /// Where the undo log stood when the block was complete.
    pub(crate) state_after: Position,
}

/// A transaction in a block, with what its receipt says.
#[derive(Debug)]
pub(crate) struct MinedTx {
    pub(crate) signed: Arc<SignedTx>,
    pub(crate) index: usize,
    pub(crate) success: bool,
    pub(crate) gas_used: u64,
    pub(crate) cumulative_gas_used: u64,
    pub(crate) effective_gas_price: u128,
    pub(crate) contract_address: Option<Address>,
    pub(crate) logs: Vec<Log>,
    /// The index in the block of this transaction's first log.
    pub(crate) first_log_index: usize,
    pub(crate) bloom: Bloom,
}

impl Block {
    /// Seals a block. The hash is the real hash of a real header; only the state root is synthetic.
    pub(crate) fn seal(env: &BlockEnv, parent_hash: B256, transactions: Vec<Arc<MinedTx>>) -> Self {
        let mix_hash = env.prevrandao.unwrap_or_default();
        let mut bloom = Bloom::ZERO;
        for tx in &transactions {
            bloom |= tx.bloom;
        }
        let header = Header {
            parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: env.beneficiary,
            state_root: keccak256(mix_hash),
            transactions_root: transactions_root(&transactions),
            receipts_root: receipts_root(&transactions),
            logs_bloom: bloom,
            number: env.number.saturating_to(),
            gas_limit: env.gas_limit,
            gas_used: transactions.last().map_or(0, |tx| tx.cumulative_gas_used),
            timestamp: env.timestamp.saturating_to(),
            mix_hash,
            base_fee_per_gas: Some(env.basefee),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
            extra_data: Bytes::new(),
            ..Header::default()
        };
        Self {
            hash: header.hash_slow(),
            header,
            transactions,
            state_after: Position::default(),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    pub(crate) fn base_fee(&self) -> u64 {
        self.header.base_fee_per_gas.unwrap_or_default()
    }

    /// The block as the EVM sees it, for calls on top of this block's state.
    pub(crate) fn env(&self) -> BlockEnv {
        BlockEnv {
            number: U256::from(self.header.number),
            beneficiary: self.header.beneficiary,
            timestamp: U256::from(self.header.timestamp),
            gas_limit: self.header.gas_limit,
            basefee: self.base_fee(),
            prevrandao: Some(self.header.mix_hash),
            ..BlockEnv::default()
        }
    }
}

fn transactions_root(transactions: &[Arc<MinedTx>]) -> B256 {
    let envelopes: Vec<_> = transactions.iter().map(|tx| &tx.signed.envelope).collect();
    calculate_transaction_root(&envelopes)
}

fn receipts_root(transactions: &[Arc<MinedTx>]) -> B256 {
    let receipts: Vec<_> = transactions
        .iter()
        .map(|tx| consensus_receipt(tx))
        .collect();
    calculate_receipt_root(&receipts)
}

fn consensus_receipt(tx: &MinedTx) -> ReceiptEnvelope {
    let receipt = Receipt {
        status: tx.success.into(),
        cumulative_gas_used: tx.cumulative_gas_used,
        logs: tx.logs.clone(),
    };
    let receipt = alloy_consensus::ReceiptWithBloom {
        receipt,
        logs_bloom: tx.bloom,
    };
    match tx.signed.envelope.tx_type() {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    }
}
