//! Reads JSON-RPC parameters: strictly where a wrong value would change the meaning, leniently where clients differ.

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use revm::context::TxEnv;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::RpcError;

/// The parameters of one call.
#[derive(Debug)]
pub(crate) struct Params<'a>(&'a [Value]);

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockId {
    Earliest,
    Finalized,
    Latest,
    Pending,
    Number(u64),
    Hash(B256),
}

/// A call as `eth_call` and `eth_estimateGas` take it. Fees are accepted and ignored: calls are free.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallRequest {
    pub(crate) from: Option<Address>,
    pub(crate) to: Option<Address>,
    pub(crate) gas: Option<U256>,
    pub(crate) value: Option<U256>,
    input: Option<Bytes>,
    data: Option<Bytes>,
    access_list: Option<Vec<AccessEntry>>,
    authorization_list: Option<Vec<AuthorizationEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessEntry {
    address: Address,
    storage_keys: Vec<B256>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationEntry {
    chain_id: U256,
    address: Address,
    nonce: U256,
    #[serde(alias = "v")]
    y_parity: U256,
    r: U256,
    s: U256,
}

impl<'a> Params<'a> {
    /// `null` and a missing member mean no parameters.
    pub(crate) fn new(params: Option<&'a Value>) -> Result<Self, RpcError> {
        match params {
            None | Some(Value::Null) => Ok(Self(&[])),
            Some(Value::Array(values)) => Ok(Self(values)),
            Some(_) => Err(RpcError::params("params must be an array")),
        }
    }

    pub(crate) fn value(&self, index: usize) -> Option<&Value> {
        self.0.get(index).filter(|value| !value.is_null())
    }

    pub(crate) fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, RpcError> {
        self.optional(index)?
            .ok_or_else(|| RpcError::params(format!("missing value for required argument {index}")))
    }

    pub(crate) fn optional<T: DeserializeOwned>(
        &self,
        index: usize,
    ) -> Result<Option<T>, RpcError> {
        self.value(index)
            .map(|value| {
                T::deserialize(value)
                    .map_err(|error| RpcError::params(format!("invalid argument {index}: {error}")))
            })
            .transpose()
    }

    /// A number as a JSON number or a hexadecimal or decimal string.
    pub(crate) fn number(&self, index: usize) -> Result<Option<u64>, RpcError> {
        self.value(index)
            .map(|value| {
                number(value).ok_or_else(|| {
                    RpcError::params(format!("invalid argument {index}: not a number"))
                })
            })
            .transpose()
    }

    pub(crate) fn block(&self, index: usize, default: BlockId) -> Result<BlockId, RpcError> {
        self.value(index).map_or(Ok(default), block_id)
    }
}

/// A block by tag, number or hash (EIP-1898).
pub(crate) fn block_id(value: &Value) -> Result<BlockId, RpcError> {
    let wrong = || RpcError::params(format!("invalid block tag: {value}"));
    match value {
        Value::String(text) => match text.as_str() {
            "latest" => Ok(BlockId::Latest),
            "pending" => Ok(BlockId::Pending),
            "safe" | "finalized" => Ok(BlockId::Finalized),
            "earliest" => Ok(BlockId::Earliest),
            hash if hash.len() == 66 => B256::deserialize(value)
                .map(BlockId::Hash)
                .map_err(|_| wrong()),
            _ => number(value).map(BlockId::Number).ok_or_else(wrong),
        },
        Value::Object(fields) => match (fields.get("blockHash"), fields.get("blockNumber")) {
            (Some(hash), None) => B256::deserialize(hash)
                .map(BlockId::Hash)
                .map_err(|_| wrong()),
            (None, Some(number)) => block_id(number),
            _ => Err(wrong()),
        },
        Value::Number(_) => number(value).map(BlockId::Number).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

impl CallRequest {
    /// The call as the EVM takes it, with at most `gas_cap` gas.
    pub(crate) fn tx_env(&self, nonce: u64, chain_id: u64, gas_cap: u64) -> TxEnv {
        let access_list = self
            .access_list
            .iter()
            .flatten()
            .map(|entry| AccessListItem {
                address: entry.address,
                storage_keys: entry.storage_keys.clone(),
            });
        let mut tx = TxEnv {
            caller: self.from.unwrap_or_default(),
            gas_limit: self
                .gas
                .map_or(gas_cap, |gas| gas.saturating_to::<u64>().min(gas_cap)),
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value.unwrap_or_default(),
            data: self
                .input
                .clone()
                .or_else(|| self.data.clone())
                .unwrap_or_default(),
            nonce,
            chain_id: Some(chain_id),
            access_list: AccessList(access_list.collect()),
            ..TxEnv::default()
        };
        tx.authorization_list = self
            .authorization_list
            .iter()
            .flatten()
            .map(|entry| crate::signed::recovered(&entry.signed()))
            .collect();
        if !tx.authorization_list.is_empty() {
            tx.tx_type = 4;
        } else if self.access_list.is_some() {
            tx.tx_type = 1;
        }
        tx
    }
}

impl AuthorizationEntry {
    fn signed(&self) -> SignedAuthorization {
        let inner = Authorization {
            chain_id: self.chain_id,
            address: self.address,
            nonce: self.nonce.saturating_to(),
        };
        // Old clients write the parity as 27 or 28.
        let parity: u8 = self.y_parity.saturating_to();
        SignedAuthorization::new_unchecked(
            inner,
            parity.checked_sub(27).unwrap_or(parity),
            self.r,
            self.s,
        )
    }
}
