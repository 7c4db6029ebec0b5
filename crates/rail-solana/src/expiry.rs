//! When is a transaction over? Once no block can hold it any more: its blockhash has aged out of
//! the chain that can no longer be undone (ARCHITECTURE law 3).
//!
//! Both halves ask here, and nowhere else: a fresh blockhash is *not* valid at `finalized` either,
//! for a dozen seconds, because the block that it names is not final yet. "Not valid" alone would
//! give money back that is about to move.

use farebox_wire::svm::SvmBlockhash;

use crate::network::Commitment;
use crate::rpc::{At, Call, Latest, Rpc, RpcError};

/// Blocks for which a blockhash can be named.
pub(crate) const BLOCKHASH_BLOCKS: u64 = 150;

/// Seconds for which a payment is held to be alive: 150 blocks take 60 s where each slot has one, and
/// one and a half minutes on a bad day. It bounds what is kept for it; that it is over, only the
/// chain says.
pub(crate) const LIFE_S: u64 = 150;

/// How far our clock may be from the chain's: its time is an estimate of its validators, which may
/// drift from the true one by a quarter.
pub(crate) const CLOCK_SKEW_S: u64 = 60;

/// Since when a transaction has been known, so that a final block is known to be later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// No block above this height can hold it: known to whoever took its blockhash from the chain.
    UntilHeight(u64),
    /// It was first seen at this time, in Unix seconds.
    SinceTime(u64),
}

/// Whether no block can ever hold a transaction that names `hash`. Where it is so, also the slot
/// as of which: whoever asks for the transaction afterwards must ask at that slot or later.
///
/// # Errors
/// Where no node answers.
pub(crate) async fn is_over(
    rpc: &Rpc,
    hash: SvmBlockhash,
    known: Known,
) -> Result<Option<u64>, RpcError> {
    let latest: At<Latest> = rpc
        .one(Call::latest_blockhash(Commitment::Finalized))
        .await?;
    let slot = latest.context.slot;
    // First how far the final chain is, then whether it still takes the hash: the other way round,
    // a node that lags behind could say no to a hash that it has not seen.
    let valid: At<bool> = rpc
        .one(Call::is_blockhash_valid(hash, Commitment::Finalized, slot))
        .await?;
    if valid.value {
        return Ok(None);
    }
    let is_past = match known {
        Known::UntilHeight(last) => {
            let height = latest.value.last_valid_block_height;
            height.saturating_sub(BLOCKHASH_BLOCKS) > last
        }
        Known::SinceTime(seen_s) => {
            let time: Option<i64> = rpc.one(Call::block_time(slot)).await?;
            let time = time.and_then(|time| u64::try_from(time).ok());
            time.is_some_and(|time| time > seen_s.saturating_add(CLOCK_SKEW_S))
                && !is_young(rpc, hash, slot).await?
        }
    };
    Ok(is_past.then_some(slot))
}

/// Whether the newest block still takes the hash. Our clock may be further behind the chain's than
/// we allow for: then every payment seems to be old, but a young one's blockhash is valid here.
async fn is_young(rpc: &Rpc, hash: SvmBlockhash, slot: u64) -> Result<bool, RpcError> {
    let valid: At<bool> = rpc.one(Call::is_blockhash_valid_now(hash, slot)).await?;
    Ok(valid.value)
}
