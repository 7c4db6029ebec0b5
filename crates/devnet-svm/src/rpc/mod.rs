//! The JSON-RPC interface: one message in, one reply out. The HTTP and WebSocket servers call [`Rpc::message`].
//! Shapes and codes are agave's. It must never panic on anything that a client sends.

mod accounts;
mod blocks;
mod error;
mod history;
mod params;
mod render;
pub(crate) mod server;
mod transactions;
mod ws;

use std::sync::{Arc, MutexGuard};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::faults::{Fault, Faults};
use crate::world::{Block, World};
use error::RpcError;
use params::{Config, Params};

/// Calls in one batch.
const MAX_BATCH: usize = 1000;
/// The version of agave whose runtime this is.
const AGAVE_VERSION: &str = "4.0.0";

/// The methods, bound to one chain.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    pub(crate) chain: Arc<Chain>,
    pub(crate) faults: Faults,
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

impl Rpc {
    pub(crate) fn new(chain: Arc<Chain>, faults: Faults) -> Self {
        Self { chain, faults }
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
        if batch.is_empty() || batch.len() > MAX_BATCH {
            return Reply::Json(response(&Value::Null, Err(RpcError::invalid_request())));
        }
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
            return Reply::Json(response(id, Err(RpcError::invalid_request())));
        };
        let fault = self.faults.meet(method);
        match &fault {
            Some(Fault::Hang) => return Reply::Hang,
            Some(Fault::Garbage) => return Reply::Garbage,
            Some(Fault::HttpStatus(status)) => return Reply::Status(*status),
            Some(Fault::Disconnect) => return Reply::Cut,
            Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
            Some(Fault::Refuse { .. } | Fault::LoseReply | Fault::Lie(_) | Fault::Drop) | None => {}
        }
        let answer = match &fault {
            Some(Fault::Refuse { code, message }) => Err(RpcError::new(*code, message.as_str())),
            Some(Fault::Lie(result)) => Ok(result.clone()),
            Some(Fault::Drop) if method == "sendTransaction" => Params::new(request.get("params"))
                .and_then(|params| self.send_transaction(&params, false)),
            _ => self.answer(method, request.get("params")),
        };
        match (fault, id) {
            (Some(Fault::LoseReply), _) => Reply::Cut,
            (_, Some(id)) => Reply::Json(response(id, answer)),
            (_, None) => Reply::Nothing,
        }
    }

    fn answer(&self, method: &str, params: Option<&Value>) -> Answer {
        let params = &Params::new(params)?;
        match method {
            "getHealth" => Ok(json!("ok")),
            "getVersion" => Ok(json!({"solana-core": AGAVE_VERSION, "feature-set": 0})),
            "getGenesisHash" => Ok(json!(crate::options::GENESIS_HASH)),
            "getSlot" => self.get_slot(params),
            // Every transaction since the start is kept.
            "getFirstAvailableBlock" => Ok(json!(0)),
            "getBlockHeight" => self.get_block_height(params),
            "getBlockTime" => self.get_block_time(params),
            "getEpochInfo" => self.get_epoch_info(params),
            "getLatestBlockhash" => self.get_latest_blockhash(params),
            "isBlockhashValid" => self.is_blockhash_valid(params),
            "getFeeForMessage" => self.get_fee_for_message(params),
            "getRecentPrioritizationFees" => Ok(self.recent_prioritization_fees()),
            "getMinimumBalanceForRentExemption" => self.minimum_balance(params),
            "getBalance" => self.get_balance(params),
            "getAccountInfo" => self.get_account_info(params),
            "getMultipleAccounts" => self.get_multiple_accounts(params),
            "getTokenAccountBalance" => self.get_token_account_balance(params),
            "getTokenAccountsByOwner" => self.get_token_accounts_by_owner(params),
            "getTokenSupply" => self.get_token_supply(params),
            "getSignatureStatuses" => self.get_signature_statuses(params),
            "getSignaturesForAddress" => self.get_signatures_for_address(params),
            "getTransaction" => self.get_transaction(params),
            "simulateTransaction" => self.simulate_transaction(params),
            "sendTransaction" => self.send_transaction(params, true),
            "requestAirdrop" => self.request_airdrop(params),
            _ => Err(RpcError::unknown_method()),
        }
    }

    /// The world, and the newest block that is as far as the client wants it.
    fn bank(&self, config: &Config) -> Result<(MutexGuard<'_, World>, Block), RpcError> {
        let world = self.chain.world();
        let block = world.block(config.commitment());
        match config.min_context_slot {
            Some(slot) if block.slot < slot => Err(RpcError::min_context_slot(block.slot)),
            _ => Ok((world, block)),
        }
    }
}

/// A value with the slot that it was true in.
fn context(block: Block, value: Value) -> Value {
    json!({"context": {"apiVersion": AGAVE_VERSION, "slot": block.slot}, "value": value})
}

/// A JSON-RPC 2.0 response.
fn response(id: &Value, answer: Answer) -> String {
    let (key, value) = match answer {
        Ok(result) => ("result", result),
        Err(error) => ("error", error.to_json()),
    };
    format!("{{\"jsonrpc\":\"2.0\",\"{key}\":{value},\"id\":{id}}}")
}
