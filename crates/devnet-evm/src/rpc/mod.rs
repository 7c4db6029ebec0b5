//! The JSON-RPC interface: one message in, one reply out. The HTTP and WebSocket servers call [`Rpc::message`].
//! It must never panic on anything that a client sends.

mod blocks;
mod call;
mod dev;
mod error;
mod filters;
mod logs;
mod params;
mod render;
pub(crate) mod server;
mod state;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::faults::{Fault, Faults};
use error::RpcError;
use filters::Filters;
use params::Params;

/// Calls in one batch.
const MAX_BATCH: usize = 1000;
/// How long `eth_sendRawTransaction` waits for its block in automine. Past it the hash is answered anyway.
const AUTOMINE_WAIT: Duration = Duration::from_secs(5);

/// The methods, bound to one chain.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    pub(crate) chain: Arc<Chain>,
    pub(crate) faults: Faults,
    filters: Arc<Filters>,
}

/// What goes back to the client.
#[derive(Debug)]
pub(crate) enum Reply {
    /// As it goes out.
    Json(String),
    /// Only notifications came in: nothing to say.
    Nothing,
    Garbage,
    Status(u16),
    /// Close the connection without a reply.
    Cut,
    /// Keep the client waiting for ever.
    Hang,
}

type Answer = Result<Value, RpcError>;

/// The result of a call.
#[derive(Debug)]
pub(crate) enum Said {
    Tree(Value),
    /// JSON already: what is too long to make a tree of it.
    Written(String),
}

impl Said {
    /// Our own types always have a JSON form.
    pub(crate) fn written(value: &impl Serialize) -> Self {
        Self::Written(serde_json::to_string(value).unwrap_or_default())
    }
}

impl From<Value> for Said {
    fn from(value: Value) -> Self {
        Self::Tree(value)
    }
}

impl Rpc {
    pub(crate) fn new(chain: Arc<Chain>, faults: Faults) -> Self {
        Self {
            chain,
            faults,
            filters: Arc::default(),
        }
    }

    /// Answers a single request or a batch.
    pub(crate) async fn message(&self, bytes: &[u8]) -> Reply {
        match serde_json::from_slice(bytes) {
            Ok(Value::Array(batch)) => self.batch(batch).await,
            Ok(request) => self.single(&request).await,
            Err(_) => Reply::Json(response(&Value::Null, Err(RpcError::parse()))),
        }
    }

    async fn batch(&self, batch: Vec<Value>) -> Reply {
        let refused = |message: &str| {
            Reply::Json(response(
                &Value::Null,
                Err(RpcError::invalid_request(message)),
            ))
        };
        if batch.is_empty() {
            return refused("empty batch");
        }
        if batch.len() > MAX_BATCH {
            return refused(&format!("batch too large: at most {MAX_BATCH} calls"));
        }
        // Started in order and awaited together, so that the transactions of a batch can share a block.
        let answers = join_all(batch.iter().map(|request| self.single(request))).await;
        let mut replies = Vec::with_capacity(batch.len());
        for answer in answers {
            match answer {
                Reply::Json(reply) => replies.push(reply),
                Reply::Nothing => {}
                // A fault of one call spoils the reply that they share.
                fault => return fault,
            }
        }
        if replies.is_empty() {
            Reply::Nothing
        } else {
            Reply::Json(["[", &replies.join(","), "]"].concat())
        }
    }

    async fn single(&self, request: &Value) -> Reply {
        let id = request.get("id");
        let Some(method) = request.get("method").and_then(Value::as_str) else {
            let id = id.unwrap_or(&Value::Null);
            return Reply::Json(response(
                id,
                Err(RpcError::invalid_request("invalid request: no method")),
            ));
        };
        let fault = self.faults.meet(method);
        match &fault {
            Some(Fault::Hang) => return Reply::Hang,
            Some(Fault::Garbage) => return Reply::Garbage,
            Some(Fault::HttpStatus(status)) => return Reply::Status(*status),
            Some(Fault::Disconnect) => return Reply::Cut,
            Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
            Some(Fault::Refuse { .. } | Fault::LoseReply) | None => {}
        }
        let answer = match &fault {
            Some(Fault::Refuse { code, message }) => Err(RpcError::new(*code, message.as_str())),
            _ => self.answer(method, request.get("params")).await,
        };
        match (fault, id) {
            (Some(Fault::LoseReply), _) => Reply::Cut,
            (_, Some(id)) => Reply::Json(response(id, answer)),
            (_, None) => Reply::Nothing,
        }
    }

    async fn answer(&self, method: &str, params: Option<&Value>) -> Result<Said, RpcError> {
        let params = Params::new(params)?;
        match method {
            "eth_sendRawTransaction" => return self.send_raw(&params, false).await,
            "eth_sendRawTransactionSync" => return self.send_raw(&params, true).await,
            "eth_getTransactionReceipt" => return self.get_receipt(&params),
            _ => {}
        }
        let family = method.split_once('_').map_or("", |(family, _)| family);
        let answer = match family {
            "evm" | "anvil" | "hardhat" => self.dev_method(method, &params),
            "web3" | "net" | "eth" | "txpool" => self.eth_method(method, &params),
            _ => Err(RpcError::unknown_method(method)),
        };
        answer.map(Said::Tree)
    }

    fn eth_method(&self, method: &str, params: &Params) -> Answer {
        match method {
            "web3_clientVersion" => {
                Ok(json!(concat!("farebox-devnet/", env!("CARGO_PKG_VERSION"))))
            }
            "web3_sha3" => Ok(json!(alloy_primitives::keccak256(
                params.required::<alloy_primitives::Bytes>(0)?
            ))),
            "net_version" => Ok(json!(self.chain.options.chain_id.to_string())),
            "net_listening" => Ok(json!(true)),
            "net_peerCount" => Ok(json!("0x0")),
            "eth_chainId" => Ok(render::quantity(self.chain.options.chain_id)),
            "eth_syncing" => Ok(json!(false)),
            "eth_accounts" => Ok(json!([])),
            "eth_blockNumber" => Ok(render::quantity(self.chain.world().head_number())),
            "eth_gasPrice" => Ok(self.gas_price()),
            "eth_maxPriorityFeePerGas" => Ok(render::quantity(blocks::SUGGESTED_TIP_WEI)),
            "eth_blobBaseFee" => Ok(json!("0x1")),
            "eth_feeHistory" => self.fee_history(params),
            "eth_getBalance" => self.get_balance(params),
            "eth_getTransactionCount" => self.get_transaction_count(params),
            "eth_getCode" => self.get_code(params),
            "eth_getStorageAt" => self.get_storage_at(params),
            "eth_call" => self.call(params),
            "eth_estimateGas" => self.estimate_gas(params),
            "eth_getTransactionByHash" => self.get_transaction(params),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => self.get_block(params),
            "eth_getBlockReceipts" => self.get_block_receipts(params),
            "eth_getBlockTransactionCountByNumber" | "eth_getBlockTransactionCountByHash" => {
                self.get_block_transaction_count(params)
            }
            "eth_getTransactionByBlockNumberAndIndex" | "eth_getTransactionByBlockHashAndIndex" => {
                self.get_transaction_by_index(params)
            }
            "eth_getLogs" => self.get_logs(&params.required(0)?),
            "eth_newFilter" => self.new_log_filter(params),
            "eth_newBlockFilter" => self.new_block_filter(),
            "eth_newPendingTransactionFilter" => self.new_pending_filter(),
            "eth_getFilterChanges" => self.filter_changes(params),
            "eth_getFilterLogs" => self.filter_logs(params),
            "eth_uninstallFilter" => self.uninstall_filter(params),
            "txpool_status" => {
                Ok(json!({"pending": render::quantity(self.chain.pool().len()), "queued": "0x0"}))
            }
            "eth_subscribe" | "eth_unsubscribe" => Err(RpcError::new(
                -32601,
                "notifications not supported over HTTP; use the WebSocket at the same port",
            )),
            _ => Err(RpcError::unknown_method(method)),
        }
    }

    async fn send_raw(&self, params: &Params<'_>, receipt: bool) -> Result<Said, RpcError> {
        let raw: alloy_primitives::Bytes = params.required(0)?;
        let (hash, mined) = self.chain.submit(&raw)?;
        if let Some(mined) = mined {
            // Resolves when the transaction leaves the pool; the value means nothing.
            let _ = tokio::time::timeout(AUTOMINE_WAIT, mined).await;
        }
        if !receipt {
            return Ok(json!(hash).into());
        }
        let world = self.chain.world();
        let (block, tx) = world.transaction(&hash).ok_or_else(|| {
            RpcError::new(4, "the transaction was added to the pool but not yet mined")
        })?;
        Ok(Said::written(&render::receipt(block, tx)))
    }
}

/// A JSON-RPC 2.0 response.
fn response(id: &Value, answer: Result<Said, RpcError>) -> String {
    let (key, text) = match answer {
        Ok(Said::Tree(result)) => ("result", result.to_string()),
        Ok(Said::Written(result)) => ("result", result),
        Err(error) => ("error", error.to_json().to_string()),
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{key}\":{text}}}")
}
