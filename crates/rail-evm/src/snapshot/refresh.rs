//! Keeps payers who are in use fresh: once per block, all of them in one request.
//!
//! Started by the first answer, ends by itself when nobody has asked for a few blocks, so that a
//! process without buyers asks nothing. It also learns from the chain how long a block takes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use farebox_wire::evm::EvmAddress;
use tokio::time::{Instant, sleep_until};

use super::Payers;
use super::book::{Fetch, Key, Why};
use super::fetch::{self, Group, QUERIES_MAX, Query};
use crate::rpc::{Block, Call, Rpc, RpcError, block_number};

/// What counts as one block until the chain has told.
pub(super) const BLOCK_TIME_UNKNOWN: Duration = Duration::from_millis(500);
/// On faster chains an entry is valid for a few blocks, so that we do not ask all the time.
const BLOCK_TIME_MIN: Duration = Duration::from_millis(250);
/// On slower chains entries are asked for more than once per block: test chains make a block when
/// somebody pays, which tells nothing about how soon the next one may come.
const BLOCK_TIME_MAX: Duration = Duration::from_secs(2);
/// Blocks over which their time is measured: timestamps are whole seconds.
const MEASURED_BLOCKS: u64 = 100;
/// Refreshes after which it is measured again: chains change it once in years.
const MEASURE_EVERY: u32 = 2_000;
/// Blocks for which a payer stays in use after he was last asked for.
const IN_USE_BLOCKS: u32 = 8;

/// Makes sure that somebody refreshes.
pub(super) fn ensure(payers: &Arc<Payers>, rpc: &Arc<Rpc>) {
    if !payers.is_refreshing.swap(true, Ordering::AcqRel) {
        tokio::spawn(run(Arc::downgrade(payers), Arc::clone(rpc)));
    }
}

/// Ends when the payers are gone, or when none of them is in use.
async fn run(payers: Weak<Payers>, rpc: Arc<Rpc>) {
    let mut round: u32 = 0;
    loop {
        let began = Instant::now();
        if round.is_multiple_of(MEASURE_EVERY) {
            let measured = measure(&rpc).await;
            let Some(payers) = payers.upgrade() else {
                return;
            };
            if let Ok(Some(block_time)) = measured {
                payers.book().set_valid_for(block_time);
            }
        }
        round = round.wrapping_add(1);
        let Some(pause) = payers.upgrade().map(|p| pause(p.book().valid_for())) else {
            return;
        };
        sleep_until(began.checked_add(pause).unwrap_or(began)).await;
        let Some(payers) = payers.upgrade() else {
            return;
        };
        if !refresh(&payers, &rpc).await {
            // Whoever comes in this moment is not refreshed, and asks again after a block.
            payers.is_refreshing.store(false, Ordering::Release);
            return;
        }
    }
}

/// So early that the answer is there before the old one expires, if it takes a quarter of a block.
fn pause(valid_for: Duration) -> Duration {
    valid_for.saturating_mul(3) / 4
}

/// Asks for everybody who is in use. Returns whether there was anybody.
async fn refresh(payers: &Payers, rpc: &Rpc) -> bool {
    let (groups, fetches) = begin(payers);
    if groups.is_empty() {
        return false;
    }
    let answers = fetch::fetch(rpc, &payers.lens, &groups).await;
    for (fetch, told) in fetches.into_iter().zip(answers.into_iter().flatten()) {
        // An answer that cannot be believed leaves nothing behind: the next buyer asks.
        let _ = payers.end(fetch, &told);
    }
    true
}

/// The groups to ask about, and the fetches that begin with it, in the same order.
fn begin(payers: &Payers) -> (Vec<Group>, Vec<Fetch>) {
    let now = Instant::now();
    let mut book = payers.book();
    let in_use = book.valid_for().saturating_mul(IN_USE_BLOCKS);
    let since = now.checked_sub(in_use).unwrap_or(now);
    let mut by_token: BTreeMap<EvmAddress, Vec<Query>> = BTreeMap::new();
    for (key, nonce) in book.in_use(since) {
        by_token.entry(key.token).or_default().push(Query {
            payer: key.from,
            nonce,
        });
    }
    let mut groups = Vec::new();
    for (token, queries) in by_token {
        for queries in queries.chunks(QUERIES_MAX) {
            groups.push(Group {
                token,
                queries: queries.to_vec(),
            });
        }
    }
    let mut fetches = Vec::new();
    for Group { token, queries } in &groups {
        for query in queries {
            let key = Key {
                token: *token,
                from: query.payer,
            };
            fetches.push(book.begin(key, query.nonce, Why::Refresh, now));
        }
    }
    (groups, fetches)
}

/// How long a block takes here; `None` where the chain is too young to tell.
async fn measure(rpc: &Rpc) -> Result<Option<Duration>, RpcError> {
    let newest: Block = rpc.one(Call::block("latest")).await?;
    let Some(number) = newest.number.checked_sub(MEASURED_BLOCKS) else {
        return Ok(None);
    };
    let older: Block = rpc.one(Call::block(&block_number(number))).await?;
    Ok(Some(block_time(newest, older)))
}

fn block_time(newest: Block, older: Block) -> Duration {
    let seconds = newest.timestamp.saturating_sub(older.timestamp);
    let blocks = newest.number.saturating_sub(older.number).max(1);
    let block_time = Duration::from_millis(seconds.saturating_mul(1_000) / blocks);
    block_time.clamp(BLOCK_TIME_MIN, BLOCK_TIME_MAX)
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
