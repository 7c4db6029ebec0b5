//! Asks about many payments at once: one receipt for each transaction on record, however many
//! payments it carried.
//!
//! Called by the watch, for what is not decided and for what is not final yet, thousands at a time.
//! A payment whose transaction does not say that it has paid is asked about one by one
//! ([`crate::check`]), so this may only ever confirm.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use farebox_core::rail::{Asked, Finding};
use farebox_wire::evm::Word;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::json;

use crate::check::{self, Heads};
use crate::events::carries_out;
use crate::handle::EvmHandle;
use crate::network::Chain;
use crate::rpc::{Call, Receipt, Rpc, RpcError, decode};

/// Receipts per request: those of full batches have hundreds of logs.
const RECEIPTS_PER_REQUEST: usize = 10;
/// Payments that are asked about one by one at the same time.
const PARALLEL: usize = 16;

/// A payment of one chain, and the transaction that may confirm it.
struct Candidate {
    place: usize,
    handle: Arc<EvmHandle>,
    transaction: Option<Word>,
    is_counted: bool,
}

/// What is known so far, by the place of the question.
type Found = BTreeMap<usize, Finding>;

/// One finding for each that was asked about, in their order.
pub(crate) async fn check_all(chains: &[Arc<Chain>], asked: &[Asked<'_>]) -> Vec<Finding> {
    // One chain that hangs keeps no other waiting.
    let of_chains = chains.iter().map(|chain| check_chain(chain, asked));
    let mut found: Found = join_all(of_chains).await.into_iter().flatten().collect();
    let rest: Vec<_> = (0..)
        .zip(asked)
        .filter(|(place, _)| !found.contains_key(place))
        .collect();
    let rest = rest.into_iter().map(|(place, asked)| async move {
        let own = asked.transaction.and_then(|hash| hash.parse().ok());
        (place, check::check(chains, asked.handle, own).await)
    });
    let mut rest = stream::iter(rest.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
    while let Some((place, finding)) = rest.next().await {
        found.insert(place, finding);
    }
    // Every place has been filled, in order.
    found.into_values().collect()
}

/// What one chain says of its payments in few requests; all that it is worth asking about where it
/// does not answer.
async fn check_chain(chain: &Chain, asked: &[Asked<'_>]) -> Found {
    let candidates = candidates(chain, asked);
    let Ok(rpc) = chain.rpc() else {
        return Found::new();
    };
    if candidates.is_empty() {
        return Found::new();
    }
    match check::heads(chain, rpc).await {
        Ok(heads) => confirm(chain, rpc, &heads, candidates).await,
        Err(error) => unanswered(&candidates, &error).collect(),
    }
}

fn candidates(chain: &Chain, asked: &[Asked<'_>]) -> Vec<Candidate> {
    let asked = asked.iter().enumerate();
    asked
        .filter_map(|(place, asked)| {
            let handle = EvmHandle::read(asked.handle).ok()?;
            (handle.chain == chain.network.chain).then_some(Candidate {
                place,
                handle,
                transaction: asked.transaction.and_then(|hash| hash.parse().ok()),
                is_counted: asked.is_counted,
            })
        })
        .collect()
}

/// A node that does not answer is not asked about each of them, or one that hangs would keep the
/// watch for hours.
fn unanswered<'a>(
    candidates: impl IntoIterator<Item = &'a Candidate>,
    error: &RpcError,
) -> impl Iterator<Item = (usize, Finding)> {
    let why = error.to_string();
    candidates
        .into_iter()
        .map(move |candidate| (candidate.place, Finding::Unanswered { why: why.clone() }))
}

/// What the receipts confirm.
async fn confirm(chain: &Chain, rpc: &Rpc, heads: &Heads, candidates: Vec<Candidate>) -> Found {
    let mut found = Found::new();
    let mut by_transaction: HashMap<Word, Vec<&Candidate>> = HashMap::new();
    for candidate in &candidates {
        if let Some(hash) = candidate.transaction {
            by_transaction.entry(hash).or_default().push(candidate);
        }
    }
    let hashes: Vec<Word> = by_transaction.keys().copied().collect();
    for hashes in hashes.chunks(RECEIPTS_PER_REQUEST) {
        let calls: Vec<Call> = hashes
            .iter()
            .map(|hash| Call::new("eth_getTransactionReceipt", json!([hash])))
            .collect();
        let results = match rpc.batch(&calls).await {
            Ok(results) => results,
            // The node does not like the request: one by one it may answer.
            Err(RpcError::Garbage { .. } | RpcError::Refused { .. }) => return found,
            Err(error) => {
                let silent = candidates.iter().filter(|c| !found.contains_key(&c.place));
                let silent: Vec<_> = unanswered(silent, &error).collect();
                found.extend(silent);
                return found;
            }
        };
        for (hash, result) in hashes.iter().zip(results) {
            let Ok(Some(receipt)) = result.and_then(decode::<Option<Receipt>>) else {
                continue;
            };
            if receipt.transaction_hash != *hash {
                continue;
            }
            for candidate in by_transaction.remove(hash).unwrap_or_default() {
                if let Some(finding) = by_receipt(chain, heads, &receipt, &candidate.handle) {
                    if !candidate.is_counted {
                        // The ledger is about to count it, and what is known of the payer may
                        // not have.
                        let (token, payer) =
                            (candidate.handle.token, candidate.handle.transfer.from);
                        chain.payers.failed(token, payer);
                    }
                    found.insert(candidate.place, finding);
                }
            }
        }
    }
    found
}

/// What the receipt says, if it says that the payment stands deep enough.
fn by_receipt(
    chain: &Chain,
    heads: &Heads,
    receipt: &Receipt,
    handle: &EvmHandle,
) -> Option<Finding> {
    if !carries_out(receipt, handle.token, &handle.transfer) {
        return None;
    }
    let is_final = receipt.block_number <= heads.finalised.number;
    let above = heads.latest.number.checked_sub(receipt.block_number)?;
    let is_deep = above.saturating_add(1) >= chain.network.confirmations;
    (is_final || is_deep).then(|| Finding::Settled {
        transaction: receipt.transaction_hash.to_string(),
        is_final,
    })
}
