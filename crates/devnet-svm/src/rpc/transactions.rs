//! Methods that take transactions: sending, simulating, and the airdrop.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bincode::Options as _;
use serde_json::{Value, json};
use solana_address::Address;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use super::params::{Config, Params, base58};
use super::render::{self, Encoding, View};
use super::{Answer, Rpc, RpcError, context, history};
use crate::landed::Simulated;
use crate::world::{World, is_signed};

/// The largest transaction: what fits into one packet.
const MAX_TRANSACTION_BYTES: usize = 1232;
/// The longest text that such a transaction may need.
const MAX_BASE58_CHARS: usize = 1683;
const MAX_BASE64_CHARS: usize = 1644;
/// What agave calls the thing that it decodes.
const KIND: &str = "solana_transaction::versioned::VersionedTransaction";

impl Rpc {
    /// Where `lands` is false, no leader ever sees the transaction: a fault.
    pub(crate) fn send_transaction(&self, params: &Params, lands: bool) -> Answer {
        let text: String = params.required(0)?;
        let config = params.config(1)?;
        let tx = decode(&text, config.encoding.as_deref())?;
        sanitize(&tx)?;
        if !config.skip_preflight {
            let config = Config {
                commitment: config.preflight_commitment,
                min_context_slot: config.min_context_slot,
                ..Config::default()
            };
            if !is_signed(&tx) {
                return Err(RpcError::signature());
            }
            let (world, _) = self.bank(&config)?;
            let simulated = world.simulate(&tx, config.commitment());
            if let Some(error) = &simulated.error {
                let data = shown(&world, &simulated, &config, Value::Null)?;
                return Err(RpcError::preflight(error, data));
            }
        }
        let signature = tx.signatures.first().copied().unwrap_or_default();
        if lands {
            self.chain.submit(tx);
        }
        Ok(json!(signature.to_string()))
    }

    pub(crate) fn simulate_transaction(&self, params: &Params) -> Answer {
        let text: String = params.required(0)?;
        let config = params.config(1)?;
        let mut tx = decode(&text, config.encoding.as_deref())?;
        let (world, block) = self.bank(&config)?;
        let mut replacement = Value::Null;
        if config.replace_recent_blockhash {
            if config.sig_verify {
                return Err(RpcError::params(
                    "sigVerify may not be used with replaceRecentBlockhash",
                ));
            }
            tx.message.set_recent_blockhash(block.hash);
            replacement = json!({
                "blockhash": block.hash.to_string(),
                "lastValidBlockHeight": block.last_valid_height(),
            });
        }
        sanitize(&tx)?;
        if config.sig_verify && !is_signed(&tx) {
            return Err(RpcError::signature());
        }
        let simulated = world.simulate(&tx, config.commitment());
        let most = tx.message.static_account_keys().len();
        let wanted = config.accounts.as_ref();
        if wanted.is_some_and(|wanted| wanted.addresses.len() > most) {
            return Err(RpcError::params(format!(
                "Too many accounts provided; max {most}"
            )));
        }
        let value = shown(&world, &simulated, &config, replacement)?;
        Ok(context(block, value))
    }

    pub(crate) fn request_airdrop(&self, params: &Params) -> Answer {
        let address = params.base58(0)?;
        let lamports = params.required(1)?;
        let tx = self.chain.world().airdrop(&address, lamports);
        let signature = tx.signatures.first().copied().unwrap_or_default();
        self.chain.submit(tx);
        Ok(json!(signature.to_string()))
    }
}

fn shown(
    world: &World,
    simulated: &Simulated,
    config: &Config,
    replacement: Value,
) -> Result<Value, RpcError> {
    let meta = &simulated.meta;
    let inner = config
        .inner_instructions
        .then(|| history::inner_instructions(meta));
    Ok(json!({
        "accounts": shown_accounts(world, simulated, config)?,
        "err": simulated.error,
        "fee": meta.fee,
        "innerInstructions": inner,
        "logs": meta.logs,
        "replacementBlockhash": replacement,
        "returnData": history::return_data(meta),
        "unitsConsumed": meta.compute_units_consumed,
    }))
}

/// The accounts that were asked for, as they would be afterwards. A failed transaction shows `null`s.
fn shown_accounts(world: &World, simulated: &Simulated, config: &Config) -> Answer {
    let Some(wanted) = &config.accounts else {
        return Ok(Value::Null);
    };
    let encoding = Encoding::of(wanted.encoding.as_deref(), Encoding::Base64)?;
    if matches!(encoding, Encoding::Binary | Encoding::Base58) {
        return Err(RpcError::params("base58 encoding not supported"));
    }
    let view = View {
        encoding,
        slice: None,
        commitment: config.commitment(),
    };
    let account = |text: &String| {
        let address: Address = base58(text)?;
        let changed = simulated.accounts.iter().find(|(of, _)| *of == address);
        let account = match changed {
            Some((_, account)) => Some(account.clone()),
            None => world.account(&address, view.commitment),
        };
        let account = account.filter(|_| simulated.error.is_none());
        render::account(world, account.as_ref(), view)
    };
    wanted.addresses.iter().map(account).collect()
}

/// Like agave, it reads a transaction and overlooks what follows it.
fn decode(text: &str, encoding: Option<&str>) -> Result<VersionedTransaction, RpcError> {
    let (name, most) = match encoding {
        None | Some("base58") => ("base58", MAX_BASE58_CHARS),
        Some("base64") => ("base64", MAX_BASE64_CHARS),
        Some(other) => {
            return Err(RpcError::params(format!(
                "unsupported encoding: {other}. Supported encodings: base58, base64"
            )));
        }
    };
    if text.len() > most {
        return Err(RpcError::params(format!(
            "{name} encoded {KIND} too large: {} bytes (max: encoded/raw {most}/{MAX_TRANSACTION_BYTES})",
            text.len()
        )));
    }
    let invalid = |why: String| RpcError::params(format!("invalid {name} encoding: {why}"));
    let bytes = if name == "base64" {
        BASE64_STANDARD
            .decode(text)
            .map_err(|error| invalid(format!("{error:?}")))?
    } else {
        bs58::decode(text)
            .into_vec()
            .map_err(|error| invalid(format!("{error:?}")))?
    };
    if bytes.len() > MAX_TRANSACTION_BYTES {
        return Err(RpcError::params(format!(
            "decoded {KIND} too large: {} bytes (max: {MAX_TRANSACTION_BYTES} bytes)",
            bytes.len()
        )));
    }
    bincode::options()
        .with_limit(MAX_TRANSACTION_BYTES.try_into().unwrap_or(u64::MAX))
        .with_fixint_encoding()
        .allow_trailing_bytes()
        .deserialize(&bytes)
        .map_err(|error| RpcError::params(format!("failed to deserialize {KIND}: {error}")))
}

fn sanitize(tx: &VersionedTransaction) -> Result<(), RpcError> {
    tx.sanitize().map_err(|error| {
        let error = TransactionError::from(error);
        RpcError::params(format!("invalid transaction: {error}"))
    })
}
