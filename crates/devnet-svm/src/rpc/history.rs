//! Methods about transactions that are in blocks.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use litesvm::types::TransactionMetadata;
use serde_json::{Value, json};
use solana_address::Address;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use super::params::{Config, Params, base58};
use super::{Answer, Rpc, RpcError, context, render};
use crate::landed::{Balance, Landed};
use crate::world::{Commitment, World};

/// Signatures in one question, as agave's.
const MAX_STATUSES: usize = 256;
/// Signatures in one answer, as agave's.
const MAX_SIGNATURES: usize = 1000;
/// Slots whose statuses a node has at hand; older ones only where the history is searched.
const STATUS_SLOTS: u64 = 300;
/// The two programs whose instructions are memos.
const MEMO_PROGRAMS: [Address; 2] = [
    Address::from_str_const("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
    Address::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
];

impl Rpc {
    pub(crate) fn get_signature_statuses(&self, params: &Params) -> Answer {
        let texts: Vec<String> = params.required(0)?;
        if texts.len() > MAX_STATUSES {
            return Err(RpcError::params(format!(
                "Too many inputs provided; max {MAX_STATUSES}"
            )));
        }
        let signatures = texts.iter().map(|text| base58(text));
        let signatures = signatures.collect::<Result<Vec<Signature>, _>>()?;
        let config = params.config(1)?;
        let world = self.chain.world();
        let block = world.block(Commitment::Processed);
        let is_shown = |landed: &&Arc<Landed>| {
            config.search_transaction_history || world.depth(landed.slot) < STATUS_SLOTS
        };
        let statuses = signatures
            .iter()
            .map(|signature| world.landed(signature).filter(is_shown))
            .map(|landed| landed.map_or(Value::Null, |landed| status(&world, landed)));
        let statuses = statuses.collect();
        Ok(context(block, statuses))
    }

    pub(crate) fn get_signatures_for_address(&self, params: &Params) -> Answer {
        let address = params.base58(0)?;
        let config = params.config(1)?;
        not_processed(&config)?;
        let limit = config.limit.unwrap_or(MAX_SIGNATURES);
        if limit == 0 || limit > MAX_SIGNATURES {
            return Err(RpcError::params(format!(
                "Invalid limit; max {MAX_SIGNATURES}"
            )));
        }
        let before = config.before.as_deref().map(base58::<Signature>);
        let until = config.until.as_deref().map(base58::<Signature>);
        let (before, until) = (before.transpose()?, until.transpose()?);
        let (world, block) = self.bank(&config)?;
        let newest_first = world.landed_of(&address).iter().rev();
        let mut of_address: Vec<_> = newest_first
            .filter(|landed| landed.slot <= block.slot)
            .collect();
        if let Some(before) = before {
            let at = of_address
                .iter()
                .position(|landed| landed.signature() == before);
            // agave answers nothing where it does not know the signature to start from.
            of_address.drain(..at.map_or(of_address.len(), |at| at.saturating_add(1)));
        }
        let answers = of_address
            .into_iter()
            .take_while(|landed| Some(landed.signature()) != until)
            .take(limit);
        let answers = answers.map(|landed| {
            json!({
                "signature": landed.signature().to_string(),
                "slot": landed.slot,
                "err": landed.error,
                "memo": memo(&landed.transaction),
                "blockTime": landed.time_s,
                "confirmationStatus": level(world.commitment(landed.slot)),
            })
        });
        Ok(answers.collect())
    }

    pub(crate) fn get_transaction(&self, params: &Params) -> Answer {
        let signature: Signature = params.base58(0)?;
        // In old times the encoding came alone.
        let config = match params.optional::<Value>(1)? {
            Some(Value::String(encoding)) => Config {
                encoding: Some(encoding),
                ..Config::default()
            },
            _ => params.config(1)?,
        };
        not_processed(&config)?;
        let (world, block) = self.bank(&config)?;
        let landed = world.landed(&signature);
        let Some(landed) = landed.filter(|landed| landed.slot <= block.slot) else {
            return Ok(Value::Null);
        };
        let bytes = bincode::serialize(&landed.transaction)
            .map_err(|error| RpcError::new(-32603, error.to_string()))?;
        let transaction = match config.encoding.as_deref() {
            Some("base64") => json!([BASE64_STANDARD.encode(bytes), "base64"]),
            Some("base58") => json!([bs58::encode(bytes).into_string(), "base58"]),
            _ => {
                return Err(RpcError::params(
                    "Invalid params: this devnet writes transactions in base64 and base58 alone.",
                ));
            }
        };
        let version = landed.transaction.version();
        let is_legacy = landed.transaction.message.address_table_lookups().is_none();
        let mut answer = json!({
            "slot": landed.slot,
            "transaction": transaction,
            "meta": meta(landed),
            "blockTime": landed.time_s,
        });
        match config.max_supported_transaction_version {
            Some(_) => answer["version"] = json!(version),
            None if is_legacy => {}
            None => return Err(RpcError::transaction_version(0)),
        }
        Ok(answer)
    }
}

/// A status, as `getSignatureStatuses` tells it.
pub(crate) fn status(world: &World, landed: &Landed) -> Value {
    let commitment = world.commitment(landed.slot);
    let confirmations = (commitment < Commitment::Finalized).then(|| world.depth(landed.slot));
    json!({
        "slot": landed.slot,
        "confirmations": confirmations,
        "status": outcome(landed),
        "err": landed.error,
        "confirmationStatus": level(commitment),
    })
}

pub(crate) fn inner_instructions(meta: &TransactionMetadata) -> Value {
    let of_instruction = meta.inner_instructions.iter().enumerate();
    let of_instruction = of_instruction.filter(|(_, inner)| !inner.is_empty());
    let of_instruction = of_instruction.map(|(index, inner)| {
        let instructions: Vec<Value> = inner
            .iter()
            .map(|inner| {
                json!({
                    "programIdIndex": inner.instruction.program_id_index,
                    "accounts": inner.instruction.accounts,
                    "data": bs58::encode(&inner.instruction.data).into_string(),
                    "stackHeight": inner.stack_height,
                })
            })
            .collect();
        json!({"index": index, "instructions": instructions})
    });
    of_instruction.collect()
}

pub(crate) fn return_data(meta: &TransactionMetadata) -> Value {
    if meta.return_data.data.is_empty() {
        return Value::Null;
    }
    json!({
        "programId": meta.return_data.program_id.to_string(),
        "data": [BASE64_STANDARD.encode(&meta.return_data.data), "base64"],
    })
}

fn meta(landed: &Landed) -> Value {
    let lamports = |balances: &[Balance]| -> Value {
        let lamports = balances.iter().map(|balance| json!(balance.lamports));
        lamports.collect()
    };
    json!({
        "err": landed.error,
        "status": outcome(landed),
        "fee": landed.meta.fee,
        "preBalances": lamports(&landed.before),
        "postBalances": lamports(&landed.after),
        "innerInstructions": inner_instructions(&landed.meta),
        "logMessages": landed.meta.logs,
        "preTokenBalances": token_balances(&landed.before),
        "postTokenBalances": token_balances(&landed.after),
        "rewards": [],
        "loadedAddresses": {"writable": [], "readonly": []},
        "returnData": return_data(&landed.meta),
        "computeUnitsConsumed": landed.meta.compute_units_consumed,
    })
}

fn token_balances(balances: &[Balance]) -> Value {
    let held = balances.iter().enumerate().filter_map(|(index, balance)| {
        let tokens = balance.tokens.as_ref()?;
        Some(json!({
            "accountIndex": index,
            "mint": tokens.mint.to_string(),
            "uiTokenAmount": render::amount(tokens.amount, tokens.decimals),
            "owner": tokens.owner.to_string(),
            "programId": tokens.program.address().to_string(),
        }))
    });
    held.collect()
}

/// The old form of `err`, which clients still read.
fn outcome(landed: &Landed) -> Value {
    match &landed.error {
        None => json!({"Ok": null}),
        Some(error) => json!({"Err": error}),
    }
}

fn level(commitment: Commitment) -> &'static str {
    match commitment {
        Commitment::Processed => "processed",
        Commitment::Confirmed => "confirmed",
        Commitment::Finalized => "finalized",
    }
}

/// Memos with their lengths, as agave writes them: `[5] hello`.
fn memo(tx: &VersionedTransaction) -> Option<String> {
    let keys = tx.message.static_account_keys();
    let memos: Vec<String> = tx
        .message
        .instructions()
        .iter()
        .filter(|instruction| {
            let program = keys.get(usize::from(instruction.program_id_index));
            program.is_some_and(|program| MEMO_PROGRAMS.contains(program))
        })
        .map(|instruction| {
            let length = instruction.data.len();
            match std::str::from_utf8(&instruction.data) {
                Ok(text) => format!("[{length}] {text}"),
                Err(_) => format!("[{length}] {}", "(unparseable)"),
            }
        })
        .collect();
    (!memos.is_empty()).then(|| memos.join("; "))
}

fn not_processed(config: &Config) -> Result<(), RpcError> {
    match config.commitment() {
        Commitment::Processed => Err(RpcError::params(
            "Method does not support commitment below `confirmed`",
        )),
        Commitment::Confirmed | Commitment::Finalized => Ok(()),
    }
}
