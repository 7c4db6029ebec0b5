//! Blocks, transactions, receipts and logs as JSON, with geth's names. Called by the RPC methods and subscriptions.

use std::fmt::LowerHex;

use alloy_consensus::{Transaction as _, TxEnvelope, Typed2718 as _};
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::block::{Block, MinedTx};
use crate::signed::SignedTx;

/// A number as JSON-RPC writes quantities.
pub(crate) fn quantity(number: impl LowerHex) -> Value {
    Value::String(format!("{number:#x}"))
}

pub(crate) fn header(block: &Block) -> Value {
    let header = &block.header;
    json!({
        "hash": block.hash,
        "parentHash": header.parent_hash,
        "sha3Uncles": header.ommers_hash,
        "miner": header.beneficiary,
        "stateRoot": header.state_root,
        "transactionsRoot": header.transactions_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "difficulty": "0x0",
        "number": quantity(header.number),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": header.extra_data,
        "mixHash": header.mix_hash,
        "nonce": B64::ZERO,
        "baseFeePerGas": quantity(block.base_fee()),
        "withdrawalsRoot": header.withdrawals_root,
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": header.parent_beacon_block_root,
        "requestsHash": header.requests_hash,
    })
}

pub(crate) fn block(block: &Block, full: bool) -> Value {
    let mut json = header(block);
    let transactions = block.transactions.iter();
    json["transactions"] = if full {
        transactions
            .map(|tx| mined_transaction(block, tx))
            .collect()
    } else {
        transactions.map(|tx| json!(tx.signed.hash)).collect()
    };
    json["uncles"] = json!([]);
    json["withdrawals"] = json!([]);
    json["totalDifficulty"] = json!("0x0");
    json["size"] = quantity(
        block
            .transactions
            .iter()
            .map(|tx| tx.signed.size)
            .sum::<usize>()
            .saturating_add(alloy_rlp::Encodable::length(&block.header)),
    );
    json
}

pub(crate) fn mined_transaction(block: &Block, tx: &MinedTx) -> Value {
    let mut json = transaction(&tx.signed);
    json["blockHash"] = json!(block.hash);
    json["blockNumber"] = quantity(block.number());
    json["transactionIndex"] = quantity(tx.index);
    json["gasPrice"] = quantity(tx.effective_gas_price);
    json
}

/// A transaction that is in no block (yet).
pub(crate) fn transaction(signed: &SignedTx) -> Value {
    let tx = &signed.envelope;
    let signature = tx.signature();
    let mut json = json!({
        "hash": signed.hash,
        "type": quantity(tx.ty()),
        "from": signed.sender,
        "to": tx.to(),
        "nonce": quantity(tx.nonce()),
        "gas": quantity(tx.gas_limit()),
        "gasPrice": quantity(tx.max_fee_per_gas()),
        "value": quantity(tx.value()),
        "input": tx.input(),
        "r": quantity(signature.r()),
        "s": quantity(signature.s()),
        "v": quantity(v(tx)),
        "chainId": tx.chain_id().map(quantity),
        "blockHash": null,
        "blockNumber": null,
        "transactionIndex": null,
    });
    if !tx.is_legacy() {
        json["yParity"] = quantity(u8::from(signature.v()));
    }
    if let Some(list) = tx.access_list() {
        let entry = |item: &alloy_eips::eip2930::AccessListItem| json!({"address": item.address, "storageKeys": item.storage_keys});
        json["accessList"] = list.iter().map(entry).collect();
    }
    if tx.is_dynamic_fee() {
        json["maxFeePerGas"] = quantity(tx.max_fee_per_gas());
        json["maxPriorityFeePerGas"] = quantity(tx.max_priority_fee_per_gas().unwrap_or_default());
    }
    if let Some(list) = tx.authorization_list() {
        json["authorizationList"] = list.iter().map(authorization).collect();
    }
    json
}

/// A number as JSON-RPC writes quantities, without a string of its own: what carries them is long.
struct Quantity<T>(T);

impl<T: LowerHex> Serialize for Quantity<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// The receipt of a transaction. One of a full batch has a third of a megabyte, so that it is
/// written as it is, and no tree of it is made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt<'a> {
    r#type: Quantity<u8>,
    status: Quantity<u8>,
    cumulative_gas_used: Quantity<u64>,
    gas_used: Quantity<u64>,
    effective_gas_price: Quantity<u128>,
    logs: Vec<LogOf<'a>>,
    logs_bloom: &'a Bloom,
    transaction_hash: B256,
    transaction_index: Quantity<usize>,
    block_hash: B256,
    block_number: Quantity<u64>,
    from: Address,
    to: Option<Address>,
    contract_address: Option<Address>,
}

/// An event of a transaction in a block.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogOf<'a> {
    address: Address,
    topics: &'a [B256],
    data: &'a Bytes,
    block_hash: B256,
    block_number: Quantity<u64>,
    block_timestamp: Quantity<u64>,
    transaction_hash: B256,
    transaction_index: Quantity<usize>,
    log_index: Quantity<usize>,
    removed: bool,
}

pub(crate) fn receipt<'a>(block: &Block, tx: &'a MinedTx) -> Receipt<'a> {
    let envelope = &tx.signed.envelope;
    Receipt {
        r#type: Quantity(envelope.ty()),
        status: Quantity(u8::from(tx.success)),
        cumulative_gas_used: Quantity(tx.cumulative_gas_used),
        gas_used: Quantity(tx.gas_used),
        effective_gas_price: Quantity(tx.effective_gas_price),
        logs: (0..tx.logs.len())
            .filter_map(|position| log_of(block, tx, position, false))
            .collect(),
        logs_bloom: &tx.bloom,
        transaction_hash: tx.signed.hash,
        transaction_index: Quantity(tx.index),
        block_hash: block.hash,
        block_number: Quantity(block.number()),
        from: tx.signed.sender,
        to: envelope.to(),
        contract_address: tx.contract_address,
    }
}

/// A receipt among others.
pub(crate) fn receipt_value(block: &Block, tx: &MinedTx) -> Value {
    tree(&receipt(block, tx))
}

pub(crate) fn log(block: &Block, tx: &MinedTx, position: usize, removed: bool) -> Option<Value> {
    log_of(block, tx, position, removed).as_ref().map(tree)
}

fn log_of<'a>(block: &Block, tx: &'a MinedTx, position: usize, removed: bool) -> Option<LogOf<'a>> {
    let log = tx.logs.get(position)?;
    Some(LogOf {
        address: log.address,
        topics: log.data.topics(),
        data: &log.data.data,
        block_hash: block.hash,
        block_number: Quantity(block.number()),
        block_timestamp: Quantity(block.header.timestamp),
        transaction_hash: tx.signed.hash,
        transaction_index: Quantity(tx.index),
        log_index: Quantity(tx.first_log_index.saturating_add(position)),
        removed,
    })
}

/// Our own types always have a JSON form.
fn tree(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn authorization(signed: &SignedAuthorization) -> Value {
    let inner = signed.inner();
    json!({
        "chainId": quantity(inner.chain_id),
        "address": inner.address,
        "nonce": quantity(inner.nonce),
        "yParity": quantity(signed.y_parity()),
        "r": quantity(signed.r()),
        "s": quantity(signed.s()),
    })
}

/// Legacy transactions carry the chain id in `v` (EIP-155).
fn v(tx: &TxEnvelope) -> u64 {
    let parity = u64::from(tx.signature().v());
    match tx.chain_id() {
        Some(chain_id) if tx.is_legacy() => chain_id
            .saturating_mul(2)
            .saturating_add(35)
            .saturating_add(parity),
        _ => parity,
    }
}
