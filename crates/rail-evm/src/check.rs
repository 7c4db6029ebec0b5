//! What became of a payment? Asks the token, never our own transactions (ARCHITECTURE law 4).
//!
//! Serves both halves of the rail. It may say `NeverWill` only on what can no longer change: an
//! authorization that was unused when a final block was already past its expiry, or whose end is
//! itself in a final block.

use std::sync::Arc;

use farebox_core::rail::{Finding, Handle, Holding, RailError};
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::money::Amount;
use serde_json::json;
use serde_json::value::RawValue;

use crate::abi::{self, CANCELED_TOPIC, USED_TOPIC, address_word};
use crate::events::{carries_out, is_canceled, is_used};
use crate::handle::EvmHandle;
use crate::network::{self, Chain, Finality};
use crate::rpc::{Block, Call, Data, Log, Receipt, Rpc, RpcError, block_number, decode};

/// Blocks per request for logs: nodes refuse ranges, most from a few thousand on.
const LOG_BLOCKS: u64 = 1_000;
/// Requests for logs in one check: three days of two-second blocks.
const LOG_REQUESTS_MAX: u32 = 130;
/// How far our clock may be ahead of the chain's when the search for logs goes back to the moment
/// at which a payment was first seen. It bounds the search only.
const CLOCK_SKEW_S: u64 = 900;

/// How far a block's time may lie before the moment at which we first saw a payment that it
/// carries: blocks bear the second at which they were begun, and clocks differ by a few. Small,
/// because whoever was paid for that long before is not paying us (law 4).
const BEFORE_SEEN_S: u64 = 5;

/// What the chain says of an authorization.
pub(crate) enum Said {
    /// As far as it goes.
    So(Finding),
    /// Somebody had settled it before it came to us: it pays for something else.
    UsedBefore,
}

/// How an authorization ended on chain.
struct Ending {
    transaction: Word,
    block: u64,
    has_paid: bool,
}

/// The newest block, and the newest that can no longer be undone.
pub(crate) struct Heads {
    pub(crate) latest: Block,
    pub(crate) finalised: Block,
}

/// Asks what became of the payment behind `handle`; `own` is a transaction that is known to be its.
pub(crate) async fn check(chains: &[Arc<Chain>], handle: &Handle, own: Option<Word>) -> Finding {
    let cannot_tell = |why: String| Finding::CannotTell { why };
    let handle = match EvmHandle::read(handle) {
        Ok(handle) => handle,
        Err(e) => return cannot_tell(e.message),
    };
    let asked = network::chain_of(chains, &handle.chain).and_then(|c| Ok((c, c.rpc()?)));
    let (chain, rpc) = match asked {
        Ok(asked) => asked,
        Err(e) => return cannot_tell(e.message),
    };
    match ask(chain, rpc, &handle, own).await {
        Ok(Said::So(finding)) => finding,
        // Neither is sure: a stranger may have been first, or our clock was wrong when an earlier
        // version of our own transaction was sent. So nothing is handed over, and nothing of ours
        // is denied.
        Ok(Said::UsedBefore) => cannot_tell(
            "the authorization was settled before it was first seen here, by a transaction that is not on record; look at the clock of this machine".into(),
        ),
        Err(e) => Finding::Unanswered { why: e.to_string() },
    }
}

/// The same, with the reason where it cannot be told.
pub(crate) async fn ask(
    chain: &Chain,
    rpc: &Rpc,
    handle: &EvmHandle,
    own: Option<Word>,
) -> Result<Said, RpcError> {
    let heads = heads(chain, rpc).await?;
    // At a numbered block, so that a node that lags behind refuses rather than answers from the
    // past. Use is for ever, so unused now is unused at every block before.
    if !is_used_at(rpc, handle, &block_number(heads.latest.number)).await? {
        let is_over = heads.finalised.timestamp > handle.transfer.valid_before
            && heads.finalised.number <= heads.latest.number;
        return Ok(Said::So(match is_over {
            true => Finding::NeverWill,
            false => Finding::Open,
        }));
    }
    let Some(ending) = find_ending(rpc, handle, heads.latest.number).await? else {
        return Ok(Said::So(Finding::CannotTell {
            why: "the authorization is used, but the node has no log of it; configure a node that keeps logs".into(),
        }));
    };
    if own != Some(ending.transaction) && is_before_seen(rpc, handle, &ending).await? {
        return Ok(Said::UsedBefore);
    }
    let is_final = ending.block <= heads.finalised.number;
    let depth = heads
        .latest
        .number
        .saturating_sub(ending.block)
        .saturating_add(1);
    Ok(Said::So(match ending.has_paid {
        true if is_final || depth >= chain.network.confirmations => {
            // The ledger is about to count it, and what is known of the payer may not have.
            chain.payers.failed(handle.token, handle.transfer.from);
            Finding::Settled {
                transaction: ending.transaction.to_string(),
                is_final,
            }
        }
        false if is_final => Finding::NeverWill,
        _ => Finding::Open,
    }))
}

/// Whether it has paid before the credential came to us. Buyers sign theirs themselves, so that
/// nobody can have used it before, whatever the clocks say.
async fn is_before_seen(rpc: &Rpc, handle: &EvmHandle, ending: &Ending) -> Result<bool, RpcError> {
    if !ending.has_paid || handle.signature.is_none() {
        return Ok(false);
    }
    let block: Block = rpc.one(Call::block(&block_number(ending.block))).await?;
    Ok(block.timestamp.saturating_add(BEFORE_SEEN_S) < handle.seen_s)
}

pub(crate) async fn heads(chain: &Chain, rpc: &Rpc) -> Result<Heads, RpcError> {
    if chain.network.finality == Finality::Finalized {
        let calls = [Call::block("latest"), Call::block("finalized")];
        let mut results = rpc.batch(&calls).await?.into_iter();
        let mut next = || match results.next() {
            Some(result) => decode(result?),
            None => Err(RpcError::garbage("no result")),
        };
        return Ok(Heads {
            latest: next()?,
            finalised: next()?,
        });
    }
    let latest: Block = rpc.one(Call::block("latest")).await?;
    let finalised = match chain.network.finality {
        Finality::Blocks(depth) if depth > 0 => {
            let number = latest.number.saturating_sub(depth);
            rpc.one(Call::block(&block_number(number))).await?
        }
        _ => latest,
    };
    Ok(Heads { latest, finalised })
}

/// `authorizationState` at a block.
pub(crate) async fn is_used_at(rpc: &Rpc, handle: &EvmHandle, at: &str) -> Result<bool, RpcError> {
    let data = abi::authorization_state(handle.transfer.from, handle.transfer.nonce);
    let Data(word) = rpc.one(Call::view(handle.token, &data, at)).await?;
    read_bool(&word)
}

/// A returned `bool`; anything else is no token's answer.
pub(crate) fn read_bool(word: &[u8]) -> Result<bool, RpcError> {
    match abi::word_number(word) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(RpcError::garbage("the token answers no bool")),
    }
}

/// The transaction that has paid with the authorization since it came to us, however shallow it
/// lies.
pub(crate) async fn find_payment(rpc: &Rpc, handle: &EvmHandle) -> Result<Option<Word>, RpcError> {
    let latest: Block = rpc.one(Call::block("latest")).await?;
    let Some(ending) = find_ending(rpc, handle, latest.number).await? else {
        return Ok(None);
    };
    let is_ours = ending.has_paid && !is_before_seen(rpc, handle, &ending).await?;
    Ok(is_ours.then_some(ending.transaction))
}

/// Searches backwards from the newest block to the moment at which the payment was first seen.
async fn find_ending(
    rpc: &Rpc,
    handle: &EvmHandle,
    latest: u64,
) -> Result<Option<Ending>, RpcError> {
    let mut to = latest;
    for _ in 0..LOG_REQUESTS_MAX {
        let from = to.saturating_sub(LOG_BLOCKS - 1);
        let calls = [
            logs_call(handle, from, to),
            Call::block(&block_number(from)),
        ];
        let mut results = rpc.batch(&calls).await?.into_iter();
        let mut next = || {
            results
                .next()
                .unwrap_or_else(|| Err(RpcError::garbage("no result")))
        };
        let logs: Vec<Log> = decode(next()?)?;
        let first: Block = decode(next()?)?;
        if let Some(ending) = read_ending(rpc, handle, &logs).await? {
            return Ok(Some(ending));
        }
        let is_before = first.timestamp.saturating_add(CLOCK_SKEW_S) < handle.seen_s;
        if is_before || from == 0 {
            return Ok(None);
        }
        to = from - 1;
    }
    Ok(None)
}

fn logs_call(handle: &EvmHandle, from: u64, to: u64) -> Call {
    Call::new(
        "eth_getLogs",
        json!([{
            "address": handle.token,
            "fromBlock": block_number(from),
            "toBlock": block_number(to),
            "topics": [
                [USED_TOPIC, CANCELED_TOPIC],
                Word(address_word(handle.transfer.from)),
                handle.transfer.nonce,
            ],
        }]),
    )
}

async fn read_ending(
    rpc: &Rpc,
    handle: &EvmHandle,
    logs: &[Log],
) -> Result<Option<Ending>, RpcError> {
    let transfer = &handle.transfer;
    for log in logs
        .iter()
        .filter(|l| l.address == handle.token && !l.removed)
    {
        if is_canceled(log, transfer) {
            return Ok(Some(Ending {
                transaction: log.transaction_hash,
                block: log.block_number,
                has_paid: false,
            }));
        }
        if is_used(log, transfer) {
            let call = Call::new("eth_getTransactionReceipt", json!([log.transaction_hash]));
            let receipt: Receipt = rpc.one(call).await?;
            let mut said = receipt.logs.iter().filter(|l| l.address == handle.token);
            if !said.any(|log| is_used(log, transfer)) {
                // Whichever of the two is wrong, nothing may rest on it.
                return Err(RpcError::garbage("its receipt contradicts its log"));
            }
            return Ok(Some(Ending {
                transaction: receipt.transaction_hash,
                block: receipt.block_number,
                has_paid: carries_out(&receipt, handle.token, transfer),
            }));
        }
    }
    Ok(None)
}

/// What `account` has of every known token: one answer per token, or one per chain that does not
/// answer. Chains without an endpoint are left out.
pub(crate) async fn holdings(
    chains: &[Arc<Chain>],
    account: EvmAddress,
) -> Vec<Result<Holding, RailError>> {
    let mut holdings = Vec::new();
    for chain in chains {
        let Ok(rpc) = chain.rpc() else { continue };
        let calls: Vec<Call> = chain
            .tokens()
            .map(|t| Call::view(t.asset.address, &abi::balance_of(account), "latest"))
            .collect();
        let results = match rpc.batch(&calls).await {
            Ok(results) => results,
            Err(e) => {
                holdings.push(Err(e.into()));
                continue;
            }
        };
        for (token, result) in chain.tokens().zip(results) {
            holdings.push(
                result
                    .and_then(read_amount)
                    .map(|amount| Holding {
                        network: chain.network.chain.clone(),
                        asset: token.id.clone(),
                        symbol: token.asset.symbol.clone(),
                        decimals: token.asset.decimals,
                        address: account.to_string(),
                        amount,
                    })
                    .map_err(RailError::from),
            );
        }
    }
    holdings
}

/// A returned `uint256` as an amount.
pub(crate) fn read_amount(result: Box<RawValue>) -> Result<Amount, RpcError> {
    let Data(word) = decode(result)?;
    abi::word_number(&word)
        .map(Amount::from_atomic)
        .ok_or_else(|| RpcError::garbage("the token answers no amount of at most 128 bits"))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
