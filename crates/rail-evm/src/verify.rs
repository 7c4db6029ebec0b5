//! Checks what only the chain knows before a credential is served: is the authorization unused,
//! is it funded, is the payer an ordinary account (ARCHITECTURE law 8). One batch, one round trip.

use std::sync::atomic::Ordering;

use farebox_core::rail::{Examined, Funds, Refusal};
use farebox_wire::money::Amount;
use farebox_wire::x402::reason::Reason;
use serde_json::{Value, json};

use crate::abi;
use crate::check::read_bool;
use crate::examine::refusal;
use crate::handle::EvmHandle;
use crate::network::{Chain, Token};
use crate::rpc::{Call, Data, RpcError, decode};

/// What the chain said, raw.
struct Snapshot {
    payer_code: Value,
    balance: Result<Value, RpcError>,
    state: Result<Value, RpcError>,
    /// Not asked for again once it has been seen.
    token_code: Option<Value>,
}

/// Verifies an examined credential against the newest block.
pub(crate) async fn verify(
    chain: &Chain,
    token: &Token,
    handle: &EvmHandle,
    examined: &Examined,
) -> Result<Funds, Refusal> {
    let snapshot = snapshot(chain, token, handle).await?;
    if let Some(result) = snapshot.token_code {
        if code(result)?.is_empty() {
            return Err(refusal(
                Reason::AssetNotContract,
                format!("there is no token at {} on {}", handle.token, handle.chain),
            ));
        }
        token.is_deployed.store(true, Ordering::Relaxed);
    }
    let has_code = !code(snapshot.payer_code)?.is_empty();
    chain
        .payers
        .seen(handle.token, handle.transfer.from, has_code);
    if has_code {
        return Err(refusal(
            Reason::UnsupportedPayloadType,
            format!(
                "{} is a contract or delegated account; only ordinary accounts are accepted yet",
                handle.transfer.from
            ),
        ));
    }
    if is_used(snapshot.state)? {
        return Err(refusal(
            Reason::NonceAlreadyUsed,
            "the authorization was used or cancelled on chain",
        ));
    }
    let balance = balance(snapshot.balance)?;
    if balance < examined.terms.amount {
        return Err(refusal(
            Reason::InsufficientBalance,
            format!(
                "the payer has {balance} atomic units of {}, not {}",
                examined.terms.symbol, examined.terms.amount
            ),
        ));
    }
    Ok(Funds::Balance(balance))
}

async fn snapshot(chain: &Chain, token: &Token, handle: &EvmHandle) -> Result<Snapshot, Refusal> {
    let rpc = chain.rpc().map_err(|e| ours(&e.message))?;
    let (from, nonce) = (handle.transfer.from, handle.transfer.nonce);
    let code_of = |account| Call::new("eth_getCode", json!([account, "latest"]));
    let mut calls = vec![
        code_of(from),
        Call::view(handle.token, &abi::balance_of(from), "latest"),
        Call::view(
            handle.token,
            &abi::authorization_state(from, nonce),
            "latest",
        ),
    ];
    if !token.is_deployed.load(Ordering::Relaxed) {
        calls.push(code_of(handle.token));
    }
    let mut results = rpc.batch(&calls).await.map_err(|e| ours(&e))?.into_iter();
    let mut next = || {
        results
            .next()
            .ok_or_else(|| ours(&"the node left answers out"))
    };
    Ok(Snapshot {
        payer_code: next()?.map_err(|e| ours(&e))?,
        balance: next()?,
        state: next()?,
        token_code: next().ok().transpose().map_err(|e| ours(&e))?,
    })
}

fn code(result: Value) -> Result<Vec<u8>, Refusal> {
    let Data(code) = decode(result).map_err(|e| ours(&e))?;
    Ok(code)
}

fn is_used(result: Result<Value, RpcError>) -> Result<bool, Refusal> {
    let word = result
        .and_then(decode)
        .and_then(|Data(word)| read_bool(&word));
    word.map_err(|e| match e {
        e if e.is_revert() => refusal(
            Reason::Eip3009NotSupported,
            "the token does not answer authorizationState",
        ),
        e => ours(&e),
    })
}

fn balance(result: Result<Value, RpcError>) -> Result<Amount, Refusal> {
    let Data(word) = result.and_then(decode).map_err(|e| ours(&e))?;
    if word.len() != 32 {
        return Err(ours(&"the token answers no balance"));
    }
    // More than 128 bits is more than any payment.
    Ok(abi::word_number(&word).map_or(Amount::from_atomic(u128::MAX), Amount::from_atomic))
}

/// The chain could not be asked, which says nothing about the credential.
fn ours(why: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        reason: Reason::UnexpectedVerify,
        message: format!("the payment could not be verified: {why}"),
        is_ours: true,
    }
}
