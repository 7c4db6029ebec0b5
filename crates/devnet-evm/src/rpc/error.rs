//! JSON-RPC errors, with geth's codes. Made by every method; written to the wire by `rpc::message`.

use alloy_primitives::Bytes;
use serde_json::{Value, json};

use crate::chain::ReorgTooDeep;
use crate::mempool::PoolError;

/// What a method answers instead of a result.
#[derive(Debug)]
pub(crate) struct RpcError {
    code: i64,
    message: String,
    data: Option<Bytes>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn parse() -> Self {
        Self::new(-32700, "parse error")
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, message)
    }

    pub(crate) fn unknown_method(method: &str) -> Self {
        Self::new(
            -32601,
            format!("the method {method} does not exist/is not available"),
        )
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(-32000, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(-32005, message)
    }

    /// `execution reverted`, with the reason in words where there is one, and the raw data for clients that decode it.
    pub(crate) fn reverted(output: Bytes) -> Self {
        let reason = alloy_sol_types::decode_revert_reason(&output);
        let message = match reason
            .as_deref()
            .map(|reason| reason.trim_start_matches("revert: "))
        {
            Some(reason) if !output.is_empty() => format!("execution reverted: {reason}"),
            _ => "execution reverted".to_owned(),
        };
        Self {
            code: 3,
            message,
            data: Some(output),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Some(data) => json!({"code": self.code, "message": self.message, "data": data}),
            None => json!({"code": self.code, "message": self.message}),
        }
    }
}

impl From<PoolError> for RpcError {
    fn from(error: PoolError) -> Self {
        Self::server(error.to_string())
    }
}

impl From<ReorgTooDeep> for RpcError {
    fn from(error: ReorgTooDeep) -> Self {
        Self::params(error.to_string())
    }
}
