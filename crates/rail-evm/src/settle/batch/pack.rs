//! Writes many payments into the call of one transaction.

use alloy_primitives::hex;
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::exact_evm::Eip3009Authorization;
use serde_json::json;

use super::contracts::Contract;
use super::costs::Gas;
use crate::abi::{self, AGGREGATE3, address_word, number_word};
use crate::key::EvmSignature;
use crate::rpc::Call;
use crate::settle::tx::Action;

/// `settle(address,uint256,bytes)` of the settler.
pub(super) const SETTLE: [u8; 4] = [0x1c, 0x8c, 0xbd, 0xc9];
/// Bytes of one payment in the settler's own form.
const RECORD_BYTES: usize = 169;

/// An authorization with the signature of an ordinary account.
pub(in crate::settle) struct Record {
    pub(in crate::settle) transfer: Eip3009Authorization,
    pub(in crate::settle) signature: EvmSignature,
}

/// How payments of one token share a transaction.
#[derive(Clone, Copy)]
pub(in crate::settle) struct Shared {
    pub(super) contract: Contract,
    pub(super) token: EvmAddress,
    pub(super) gas: Gas,
    /// What the chain has estimated, with room, where it was asked.
    pub(super) gas_estimated: u64,
}

impl Shared {
    pub(in crate::settle) const fn token(&self) -> EvmAddress {
        self.token
    }

    pub(in crate::settle) fn gas_limit(&self, payments: usize) -> u64 {
        self.gas.limit(payments).max(self.gas_estimated)
    }

    pub(in crate::settle) fn action(&self, records: &[Record]) -> Action {
        let (to, data) = match self.contract {
            Contract::Settler(at) => (at, settle(self.token, self.gas.each, records)),
            Contract::Multicall(at) => (at, aggregate3(self.token, records)),
            // One payment at most, by construction: what is more would not be paid, and is tried again.
            Contract::Token(at) => (at, records.first().map(transfer).unwrap_or_default()),
        };
        Action {
            to,
            data,
            gas_limit: self.gas_limit(records.len()),
        }
    }

    /// Asks what the transaction would use, with as much gas as it may have.
    pub(super) fn estimate_call(&self, from: EvmAddress, records: &[Record]) -> Call {
        let action = self.action(records);
        let data = hex::encode_prefixed(&action.data);
        let call = json!({"from": from, "to": action.to, "data": data});
        Call::new("eth_estimateGas", json!([call]))
    }
}

fn transfer(record: &Record) -> Vec<u8> {
    abi::transfer_with_authorization(&record.transfer, &record.signature)
}

fn settle(token: EvmAddress, gas_each: u64, records: &[Record]) -> Vec<u8> {
    let bytes = records.len().saturating_mul(RECORD_BYTES);
    let mut data = Vec::with_capacity(bytes.saturating_add(160));
    data.extend_from_slice(&SETTLE);
    data.extend_from_slice(&address_word(token));
    data.extend_from_slice(&number_word(gas_each.into()));
    data.extend_from_slice(&length_word(96));
    data.extend_from_slice(&length_word(bytes));
    for Record {
        transfer,
        signature,
    } in records
    {
        let (r, s) = signature.r_and_s();
        data.extend_from_slice(&transfer.from.0);
        data.extend_from_slice(&transfer.to.0);
        data.extend_from_slice(&transfer.value.atomic().to_be_bytes());
        data.extend_from_slice(&transfer.valid_after.to_be_bytes());
        data.extend_from_slice(&transfer.valid_before.to_be_bytes());
        data.extend_from_slice(&transfer.nonce.0);
        data.push(signature.v());
        data.extend_from_slice(&r.0);
        data.extend_from_slice(&s.0);
    }
    pad(&mut data, bytes);
    data
}

/// Each call may fail without the others.
fn aggregate3(token: EvmAddress, records: &[Record]) -> Vec<u8> {
    let mut data = AGGREGATE3.to_vec();
    data.extend_from_slice(&length_word(32));
    data.extend_from_slice(&length_word(records.len()));
    // Offsets count from here.
    let mut tails = Vec::new();
    let heads = records.len().saturating_mul(32);
    for record in records {
        data.extend_from_slice(&length_word(heads.saturating_add(tails.len())));
        let call = transfer(record);
        tails.extend_from_slice(&address_word(token));
        tails.extend_from_slice(&number_word(1));
        tails.extend_from_slice(&length_word(96));
        tails.extend_from_slice(&length_word(call.len()));
        tails.extend_from_slice(&call);
        pad(&mut tails, call.len());
    }
    data.extend_from_slice(&tails);
    data
}

fn length_word(length: usize) -> [u8; 32] {
    number_word(u128::try_from(length).unwrap_or(u128::MAX))
}

/// Fills the last word after `written` bytes.
fn pad(data: &mut Vec<u8>, written: usize) {
    let missing = written.next_multiple_of(32).saturating_sub(written);
    data.resize(data.len().saturating_add(missing), 0);
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
