//! JSON-RPC errors, with agave's codes and words. Made by every method; written to the wire by `rpc::message`.

use serde_json::{Value, json};

/// What a method answers instead of a result.
#[derive(Debug)]
pub(crate) struct RpcError {
    code: i64,
    message: String,
    data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn with(code: i64, message: impl Into<String>, data: Value) -> Self {
        Self {
            data: Some(data),
            ..Self::new(code, message)
        }
    }

    pub(crate) fn parse() -> Self {
        Self::new(-32700, "Parse error")
    }

    pub(crate) fn invalid_request() -> Self {
        Self::new(-32600, "Invalid request")
    }

    pub(crate) fn unknown_method() -> Self {
        Self::new(-32601, "Method not found")
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// The transaction failed in the simulation before it was sent; `data` is the simulation's answer.
    pub(crate) fn preflight(why: &impl std::fmt::Display, data: Value) -> Self {
        Self::with(
            -32002,
            format!("Transaction simulation failed: {why}"),
            data,
        )
    }

    pub(crate) fn signature() -> Self {
        Self::new(-32003, "Transaction signature verification failure")
    }

    pub(crate) fn block_not_available(slot: u64) -> Self {
        Self::new(-32004, format!("Block not available for slot {slot}"))
    }

    pub(crate) fn transaction_version(version: u8) -> Self {
        Self::new(
            -32015,
            format!(
                "Transaction version ({version}) is not supported by the requesting client. Please try the request again \
                 with the following configuration parameter: \"maxSupportedTransactionVersion\": {version}"
            ),
        )
    }

    pub(crate) fn min_context_slot(slot: u64) -> Self {
        Self::with(
            -32016,
            "Minimum context slot has not been reached",
            json!({"contextSlot": slot}),
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Some(data) => json!({"code": self.code, "message": self.message, "data": data}),
            None => json!({"code": self.code, "message": self.message}),
        }
    }
}
