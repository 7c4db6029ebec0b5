//! Blocks, transactions, receipts and logs as JSON, with geth's names. Called by the RPC methods and subscriptions.

use std::fmt::LowerHex;

use alloy_consensus::{Transaction as _, TxEnvelope, Typed2718 as _};
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::B64;
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

pub(crate) fn receipt(block: &Block, tx: &MinedTx) -> Value {
    let envelope = &tx.signed.envelope;
    json!({
        "type": quantity(envelope.ty()),
        "status": quantity(u8::from(tx.success)),
        "cumulativeGasUsed": quantity(tx.cumulative_gas_used),
        "gasUsed": quantity(tx.gas_used),
        "effectiveGasPrice": quantity(tx.effective_gas_price),
        "logs": logs(block, tx, false),
        "logsBloom": tx.bloom,
        "transactionHash": tx.signed.hash,
        "transactionIndex": quantity(tx.index),
        "blockHash": block.hash,
        "blockNumber": quantity(block.number()),
        "from": tx.signed.sender,
        "to": envelope.to(),
        "contractAddress": tx.contract_address,
    })
}

pub(crate) fn logs(block: &Block, tx: &MinedTx, removed: bool) -> Vec<Value> {
    (0..tx.logs.len())
        .filter_map(|position| log(block, tx, position, removed))
        .collect()
}

pub(crate) fn log(block: &Block, tx: &MinedTx, position: usize, removed: bool) -> Option<Value> {
    let log = tx.logs.get(position)?;
    Some(json!({
        "address": log.address,
        "topics": log.data.topics(),
        "data": log.data.data,
        "blockHash": block.hash,
        "blockNumber": quantity(block.number()),
        "blockTimestamp": quantity(block.header.timestamp),
        "transactionHash": tx.signed.hash,
        "transactionIndex": quantity(tx.index),
        "logIndex": quantity(tx.first_log_index.saturating_add(position)),
        "removed": removed,
    }))
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
