//! Asks about many settled payments at once: one receipt for each transaction on record, however
//! many payments it carried.
//!
//! Called by the watch that sees settlements through to finality, thousands at a time. A payment
//! whose transaction does not say so any more is asked about one by one ([`crate::check`]), so
//! this may only ever confirm.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use farebox_core::rail::{Asked, Finding};
use farebox_wire::evm::Word;
use serde_json::json;

use crate::check::{self, Heads};
use crate::events::carries_out;
use crate::handle::EvmHandle;
use crate::network::Chain;
use crate::rpc::{Call, Receipt, Rpc, decode};

/// Receipts per request: those of full batches have hundreds of logs.
const RECEIPTS_PER_REQUEST: usize = 10;

/// A payment that may be confirmed by its transaction.
struct Candidate {
    place: usize,
    handle: EvmHandle,
    transaction: Word,
}

/// One finding for each that was asked about, in their order.
pub(crate) async fn check_all(chains: &[Arc<Chain>], asked: &[Asked<'_>]) -> Vec<Finding> {
    let mut confirmed: BTreeMap<usize, Finding> = BTreeMap::new();
    for chain in chains {
        let of_chain = candidates(chain, asked);
        let Ok(rpc) = chain.rpc() else { continue };
        if of_chain.is_empty() {
            continue;
        }
        // A node that does not answer is asked again one by one, which says why.
        if let Ok(heads) = check::heads(chain, rpc).await {
            confirm(chain, rpc, &heads, of_chain, &mut confirmed).await;
        }
    }
    let mut findings = Vec::with_capacity(asked.len());
    for (place, asked) in asked.iter().enumerate() {
        findings.push(match confirmed.remove(&place) {
            Some(finding) => finding,
            None => check::check(chains, asked.handle).await,
        });
    }
    findings
}

fn candidates(chain: &Chain, asked: &[Asked<'_>]) -> Vec<Candidate> {
    let asked = asked.iter().enumerate();
    asked
        .filter_map(|(place, asked)| {
            let handle = EvmHandle::read(asked.handle).ok()?;
            let transaction = asked.transaction?.parse().ok()?;
            (handle.chain == chain.network.chain).then_some(Candidate {
                place,
                handle,
                transaction,
            })
        })
        .collect()
}

/// Puts in what the receipts confirm.
async fn confirm(
    chain: &Chain,
    rpc: &Rpc,
    heads: &Heads,
    candidates: Vec<Candidate>,
    confirmed: &mut BTreeMap<usize, Finding>,
) {
    let mut by_transaction: HashMap<Word, Vec<Candidate>> = HashMap::new();
    for candidate in candidates {
        let same = by_transaction.entry(candidate.transaction).or_default();
        same.push(candidate);
    }
    let hashes: Vec<Word> = by_transaction.keys().copied().collect();
    for hashes in hashes.chunks(RECEIPTS_PER_REQUEST) {
        let calls: Vec<Call> = hashes
            .iter()
            .map(|hash| Call::new("eth_getTransactionReceipt", json!([hash])))
            .collect();
        let Ok(results) = rpc.batch(&calls).await else {
            return;
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
                    confirmed.insert(candidate.place, finding);
                }
            }
        }
    }
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
