//! What our own transactions pay for gas: from the chain's fee history, asked at most once a
//! second, and never above the configured cap.
//!
//! Nobody waits for it while settlements follow each other: whoever finds it stale goes on with it
//! and asks behind.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::rpc::{Call, Quantity, Rpc, RpcError};
use farebox_core::rail::RailError;
use serde::Deserialize;
use serde_json::json;

/// Half of the usual block time; more often tells nothing new.
const FRESH: Duration = Duration::from_secs(1);
/// The maximum holds twice the base fee, which takes six full blocks to double: about this long on
/// two-second chains. What is older is asked for before anything is signed.
const USABLE: Duration = Duration::from_secs(10);
/// Blocks that the tip is taken from.
const HISTORY_BLOCKS: &str = "0x5";
/// Share of a base fee of zero or a tip of zero: one wei keeps fee-less test chains content.
const TIP_MIN_WEI: u128 = 1;

/// Part of the maximum that a tip begins with where an unknown transaction has to be outbid: tips
/// differ by orders of magnitude, so that small steps would meet the cap of the maximum first.
const OUTBID_TIP_PART: u128 = 16;

/// Fees of an EIP-1559 transaction, in wei for each unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fee {
    /// The most, base fee included.
    pub(crate) max: u128,
    /// On top of the base fee.
    pub(crate) tip: u128,
}

/// The last known fees.
pub(crate) struct Fees {
    cap: u128,
    known: Mutex<Option<Known>>,
    /// Held by whoever asks the chain.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Known {
    at: Instant,
    fee: Fee,
    base: u128,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    base_fee_per_gas: Vec<Quantity>,
    #[serde(default)]
    reward: Option<Vec<Vec<Quantity>>>,
}

impl Fees {
    pub(crate) fn new(cap: u128) -> Self {
        Self {
            cap,
            known: Mutex::new(None),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// The fees that may still be used.
    pub(crate) fn usable(&self) -> Option<Fee> {
        let known = *self.lock();
        known.filter(|k| k.at.elapsed() < USABLE).map(|k| k.fee)
    }

    /// Whether it is time to ask again.
    pub(crate) fn is_stale(&self) -> bool {
        self.lock().is_none_or(|known| known.at.elapsed() >= FRESH)
    }

    /// What a block asks for at least, as far as is known.
    pub(crate) fn base(&self) -> Option<u128> {
        self.lock().map(|known| known.base)
    }

    /// The fees of now. Whoever comes while they are being asked for waits for that answer.
    pub(crate) async fn refresh(&self, rpc: &Rpc) -> Result<Fee, RailError> {
        let _asking = self.asking.lock().await;
        if let Some(known) = *self.lock()
            && known.at.elapsed() < FRESH
        {
            return Ok(known.fee);
        }
        let (fee, base) = ask(rpc).await?;
        let fee = self.capped(fee).inspect_err(|_| self.forget())?;
        let at = Instant::now();
        *self.lock() = Some(Known { at, fee, base });
        Ok(fee)
    }

    /// The next caller asks the chain.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// Enough to replace a transaction that paid `old`, when `now` is what others pay; `None`
    /// where that is above the cap.
    pub(crate) fn to_replace(&self, old: Fee, now: Fee) -> Option<Fee> {
        let fee = old.to_replace(now);
        let least = old.to_replace(Fee { max: 0, tip: 0 });
        (least.max <= self.cap).then(|| Fee {
            max: fee.max.min(self.cap),
            tip: fee.tip.min(self.cap),
        })
    }

    /// More than `old`, which was not enough to replace a transaction that nobody knows; `None`
    /// where that is above the cap.
    pub(crate) fn to_outbid(&self, old: Fee) -> Option<Fee> {
        let fee = self.to_replace(old, Fee { max: 0, tip: 0 })?;
        let tip = fee.tip.max(old.tip.saturating_mul(2));
        let tip = tip.max(fee.max / OUTBID_TIP_PART).min(fee.max);
        Some(Fee { tip, ..fee })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capped(&self, fee: Fee) -> Result<Fee, RailError> {
        // The maximum holds twice the base fee; only the base fee itself must fit under the cap.
        if fee.max / 2 > self.cap {
            return Err(RailError {
                code: "gas_too_dear",
                message: format!(
                    "gas costs more than the cap of {} wei; wait, or raise the cap",
                    self.cap
                ),
            });
        }
        Ok(Fee {
            max: fee.max.min(self.cap),
            tip: fee.tip.min(self.cap),
        })
    }
}

impl Fee {
    /// What a unit of gas will cost, where the base fee is known.
    pub(crate) fn expected(self, base: Option<u128>) -> u128 {
        base.map_or(self.max, |base| base.saturating_add(self.tip).min(self.max))
    }

    /// Enough to replace a transaction that paid `self`: nodes ask for a tenth more.
    fn to_replace(self, now: Self) -> Self {
        let more = |old: u128| old.saturating_add(old / 8).saturating_add(1);
        Self {
            max: more(self.max).max(now.max),
            tip: more(self.tip).max(now.tip),
        }
    }
}

/// The fees to pay, and the base fee in them.
async fn ask(rpc: &Rpc) -> Result<(Fee, u128), RpcError> {
    let call = Call::new("eth_feeHistory", json!([HISTORY_BLOCKS, "latest", [50]]));
    let history: History = match rpc.one(call).await {
        Ok(history) => history,
        // Chains before EIP-1559, and nodes that do not know the method.
        Err(RpcError::Refused { .. }) => return gas_price(rpc).await,
        Err(e) => return Err(e),
    };
    let Some(Quantity(base)) = history.base_fee_per_gas.last().copied() else {
        return gas_price(rpc).await;
    };
    let mut tips: Vec<u128> = history
        .reward
        .unwrap_or_default()
        .into_iter()
        .filter_map(|block| block.first().map(|tip| tip.0))
        .collect();
    tips.sort_unstable();
    let median = tips.get(tips.len() / 2).copied().unwrap_or_default();
    let tip = median.max(TIP_MIN_WEI);
    let max = base.saturating_mul(2).saturating_add(tip);
    Ok((Fee { max, tip }, base))
}

async fn gas_price(rpc: &Rpc) -> Result<(Fee, u128), RpcError> {
    let Quantity(price) = rpc.one(Call::new("eth_gasPrice", json!([]))).await?;
    let max = price.saturating_mul(2);
    Ok((Fee { max, tip: price }, price))
}

#[cfg(test)]
#[path = "fees_tests.rs"]
mod tests;
