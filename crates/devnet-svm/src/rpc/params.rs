//! Reads JSON-RPC parameters as agave does: unknown members of a configuration are ignored, wrong ones are refused.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::RpcError;
use crate::world::Commitment;

/// The parameters of one call.
#[derive(Debug)]
pub(crate) struct Params<'a>(&'a [Value]);

/// The configuration object, the last parameter of most methods. Each method reads what it knows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    pub(crate) commitment: Option<Level>,
    pub(crate) preflight_commitment: Option<Level>,
    pub(crate) min_context_slot: Option<u64>,
    pub(crate) encoding: Option<String>,
    pub(crate) data_slice: Option<DataSlice>,
    pub(crate) max_supported_transaction_version: Option<u8>,
    pub(crate) search_transaction_history: bool,
    pub(crate) skip_preflight: bool,
    pub(crate) sig_verify: bool,
    pub(crate) replace_recent_blockhash: bool,
    pub(crate) inner_instructions: bool,
    pub(crate) enable_received_notification: bool,
    pub(crate) accounts: Option<WantedAccounts>,
    pub(crate) limit: Option<usize>,
    pub(crate) before: Option<String>,
    pub(crate) until: Option<String>,
}

/// A commitment as clients write it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Level {
    Processed,
    Confirmed,
    Finalized,
}

/// The part of an account's data that is wanted.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct DataSlice {
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

/// The accounts that a simulation shows as they would be afterwards.
#[derive(Debug, Deserialize)]
pub(crate) struct WantedAccounts {
    pub(crate) encoding: Option<String>,
    pub(crate) addresses: Vec<String>,
}

impl Config {
    /// The commitment; `finalized` where nothing is said.
    pub(crate) fn commitment(&self) -> Commitment {
        self.commitment.map_or(Commitment::Finalized, Level::get)
    }
}

impl Level {
    pub(crate) fn get(self) -> Commitment {
        match self {
            Self::Processed => Commitment::Processed,
            Self::Confirmed => Commitment::Confirmed,
            Self::Finalized => Commitment::Finalized,
        }
    }
}

impl<'a> Params<'a> {
    /// `null` and a missing member mean no parameters.
    pub(crate) fn new(params: Option<&'a Value>) -> Result<Self, RpcError> {
        match params {
            None | Some(Value::Null) => Ok(Self(&[])),
            Some(Value::Array(values)) => Ok(Self(values)),
            Some(_) => Err(RpcError::params("`params` should be an array")),
        }
    }

    pub(crate) fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, RpcError> {
        self.optional(index)?.ok_or_else(|| {
            let least = index.saturating_add(1);
            RpcError::params(format!("`params` should have at least {least} argument(s)"))
        })
    }

    pub(crate) fn optional<T: DeserializeOwned>(
        &self,
        index: usize,
    ) -> Result<Option<T>, RpcError> {
        let value = self.0.get(index).filter(|value| !value.is_null());
        let read = |value: &Value| {
            T::deserialize(value)
                .map_err(|error| RpcError::params(format!("Invalid params: {error}.")))
        };
        value.map(read).transpose()
    }

    /// The configuration at a place, or the default.
    pub(crate) fn config(&self, index: usize) -> Result<Config, RpcError> {
        Ok(self.optional(index)?.unwrap_or_default())
    }

    /// An address, a signature or a hash in base58.
    pub(crate) fn base58<T: FromStr<Err: std::fmt::Debug>>(
        &self,
        index: usize,
    ) -> Result<T, RpcError> {
        base58(&self.required::<String>(index)?)
    }
}

/// An address, a signature or a hash.
pub(crate) fn base58<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> Result<T, RpcError> {
    text.parse()
        .map_err(|error| RpcError::params(format!("Invalid param: {error:?}")))
}
