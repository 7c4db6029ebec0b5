//! bitcoind's JSON-RPC, as far as a Lightning node asks it (heads, blocks, transactions, fees), and the two calls by which
//! tests in other processes get coins and blocks. Numbers and shapes are bitcoind's.

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Address, Amount, BlockHash, Network, OutPoint, Txid};
use serde_json::{Value, json};

use super::Chain;

/// What a transaction should pay, in bitcoin per 1,000 virtual bytes: 2 satoshis a byte.
const FEE_RATE: f64 = 0.000_02;
/// What a transaction must pay.
const MIN_FEE_RATE: f64 = 0.000_01;

/// Blocks that one call mines.
const MAX_BLOCKS: u64 = 1_000;

/// bitcoind's error codes.
const NOT_FOUND: i64 = -5;
const BAD_PARAMETER: i64 = -8;
const BAD_TRANSACTION: i64 = -22;
const REJECTED: i64 = -26;
const NO_SUCH_METHOD: i64 = -32_601;

/// Code and message.
pub(crate) type Fault = (i64, String);

/// Answers one call.
pub(crate) fn call(chain: &mut Chain, method: &str, params: &[Value]) -> Result<Value, Fault> {
    match method {
        "getblockchaininfo" => Ok(chain_info(chain)),
        "getblockcount" => Ok(json!(chain.height())),
        "getbestblockhash" => Ok(json!(chain.tip().map(|tip| tip.block_hash().to_string()))),
        "getblockhash" => block_hash(chain, params),
        "getblockheader" => header(chain, params),
        "getblock" => block(chain, params),
        "sendrawtransaction" => {
            let transaction = deserialize_hex(text(params, 0)?)
                .map_err(|error| (BAD_TRANSACTION, format!("TX decode failed: {error}")))?;
            let txid = chain
                .submit(transaction)
                .map_err(|refused| (REJECTED, refused.to_string()))?;
            Ok(json!(txid.to_string()))
        }
        "estimatesmartfee" => Ok(json!({"feerate": FEE_RATE, "blocks": params.first()})),
        "getmempoolinfo" => Ok(json!({
            "loaded": true, "size": chain.waiting(), "mempoolminfee": MIN_FEE_RATE,
        })),
        "getrawmempool" => {
            let txids = chain.pool.txids().iter().map(Txid::to_string);
            Ok(json!(txids.collect::<Vec<_>>()))
        }
        "getmempoolentry" => {
            let (_, at_s) = chain
                .pool
                .get(&parsed(params, 0)?)
                .ok_or_else(|| (NOT_FOUND, "Transaction not in mempool".to_owned()))?;
            Ok(json!({"time": at_s, "height": chain.height()}))
        }
        "getrawtransaction" => {
            let known = chain.transaction(&parsed(params, 0)?).ok_or_else(|| {
                let why = "No such mempool or blockchain transaction";
                (NOT_FOUND, why.to_owned())
            })?;
            Ok(json!(serialize_hex(known)))
        }
        "gettxout" => unspent(chain, params),
        "sendtoaddress" => send_to_address(chain, params),
        "generatetoaddress" => generate(chain, params),
        _ => Err((NO_SUCH_METHOD, format!("Method not found: {method}"))),
    }
}

fn chain_info(chain: &Chain) -> Value {
    json!({
        "chain": "regtest",
        "blocks": chain.height(),
        "headers": chain.height(),
        "bestblockhash": chain.tip().map(|tip| tip.block_hash().to_string()),
        "initialblockdownload": false,
        "pruned": false,
    })
}

fn block_hash(chain: &Chain, params: &[Value]) -> Result<Value, Fault> {
    let height = params.first().and_then(Value::as_u64);
    let block = height
        .and_then(|height| usize::try_from(height).ok())
        .and_then(|height| chain.blocks.get(height))
        .ok_or_else(|| (BAD_PARAMETER, "Block height out of range".to_owned()))?;
    Ok(json!(block.block_hash().to_string()))
}

fn header(chain: &Chain, params: &[Value]) -> Result<Value, Fault> {
    let (height, block) = known_block(chain, params)?;
    let header = block.header;
    // Every block above the genesis has the same work, and the genesis the same target.
    let each = header.work().to_be_bytes();
    let each = u128::from_be_bytes(std::array::from_fn(|byte| {
        each.get(byte + 16).copied().unwrap_or(0)
    }));
    let blocks = u128::try_from(height).unwrap_or_default().saturating_add(1);
    let mut answer = json!({
        "hash": header.block_hash().to_string(),
        "confirmations": chain.height().saturating_sub(height).saturating_add(1),
        "height": height,
        "version": header.version.to_consensus(),
        "merkleroot": header.merkle_root.to_string(),
        "time": header.time,
        "mediantime": header.time,
        "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "chainwork": format!("{:064x}", each.saturating_mul(blocks)),
        "nTx": block.txdata.len(),
    });
    if height > 0 {
        answer["previousblockhash"] = json!(header.prev_blockhash.to_string());
    }
    Ok(answer)
}

/// Only the plain bytes (verbosity 0): nothing here asks for more.
fn block(chain: &Chain, params: &[Value]) -> Result<Value, Fault> {
    let plain = match params.get(1) {
        None => false,
        Some(verbosity) => verbosity.as_u64() == Some(0) || verbosity.as_bool() == Some(false),
    };
    if !plain {
        return Err((
            BAD_PARAMETER,
            "only verbosity 0 is answered here".to_owned(),
        ));
    }
    let (_, block) = known_block(chain, params)?;
    Ok(json!(serialize_hex(block)))
}

fn unspent(chain: &Chain, params: &[Value]) -> Result<Value, Fault> {
    let number = params.get(1).and_then(Value::as_u64);
    let number = number
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| (BAD_PARAMETER, "vout must be a number".to_owned()))?;
    let output = OutPoint::new(parsed(params, 0)?, number);
    let coin = chain
        .coins
        .get(&output)
        .filter(|_| !chain.pool.spends(&output));
    Ok(coin.map_or(Value::Null, |coin| {
        json!({
            "bestblock": chain.tip().map(|tip| tip.block_hash().to_string()),
            "value": coin.value.to_btc(),
            "scriptPubKey": {"hex": coin.script_pubkey.to_hex_string()},
        })
    }))
}

/// The faucet, under the name that bitcoind's wallet has for it. The amount is in bitcoin.
fn send_to_address(chain: &mut Chain, params: &[Value]) -> Result<Value, Fault> {
    let amount = params.get(1).and_then(Value::as_f64);
    let amount = amount
        .and_then(|bitcoin| Amount::from_btc(bitcoin).ok())
        .ok_or_else(|| (BAD_PARAMETER, "the amount must be in bitcoin".to_owned()))?;
    let to = address(params, 0)?;
    let sent = chain.fund(&to, amount);
    let txid = sent.map_err(|dry| (BAD_PARAMETER, dry.to_string()))?;
    Ok(json!(txid.to_string()))
}

fn generate(chain: &mut Chain, params: &[Value]) -> Result<Value, Fault> {
    let count = params.first().and_then(Value::as_u64).unwrap_or(u64::MAX);
    if count > MAX_BLOCKS {
        return Err((
            BAD_PARAMETER,
            format!("at most {MAX_BLOCKS} blocks at a time"),
        ));
    }
    let script = address(params, 1)?.script_pubkey();
    let mut mined = Vec::new();
    for _ in 0..count {
        chain.mine_one(script.clone());
        mined.extend(chain.tip().map(|tip| tip.block_hash().to_string()));
    }
    Ok(json!(mined))
}

fn address(params: &[Value], place: usize) -> Result<Address, Fault> {
    text(params, place)?
        .parse::<Address<_>>()
        .ok()
        .and_then(|address| address.require_network(Network::Regtest).ok())
        .ok_or_else(|| (BAD_PARAMETER, "Invalid address".to_owned()))
}

fn known_block<'a>(
    chain: &'a Chain,
    params: &[Value],
) -> Result<(usize, &'a bitcoin::Block), Fault> {
    let hash: BlockHash = parsed(params, 0)?;
    chain
        .height_of(&hash)
        .and_then(|height| Some((height, chain.blocks.get(height)?)))
        .ok_or_else(|| (NOT_FOUND, "Block not found".to_owned()))
}

fn text(params: &[Value], place: usize) -> Result<&str, Fault> {
    let text = params.get(place).and_then(Value::as_str);
    text.ok_or_else(|| (BAD_PARAMETER, format!("parameter {place} must be text")))
}

fn parsed<T: std::str::FromStr>(params: &[Value], place: usize) -> Result<T, Fault> {
    text(params, place)?
        .parse()
        .map_err(|_| (BAD_PARAMETER, format!("parameter {place} must be a hash")))
}
