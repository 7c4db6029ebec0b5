//! What our own transactions pay for gas: from the chain's fee history, asked at most once a
//! second, and never above the configured cap.

use std::time::{Duration, Instant};

use farebox_core::rail::RailError;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::rpc::{Call, Quantity, Rpc, RpcError};

/// Half of Ethereum's block time; the maximum below outlives several blocks.
const FRESH: Duration = Duration::from_secs(1);
/// Blocks that the tip is taken from.
const HISTORY_BLOCKS: &str = "0x5";
/// Share of a base fee of zero or a tip of zero: one wei keeps fee-less test chains content.
const TIP_MIN_WEI: u128 = 1;

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
    known: Mutex<Option<(Instant, Fee)>>,
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
        }
    }

    /// The fees of now. Whoever comes while they are being asked for waits for that answer.
    pub(crate) async fn current(&self, rpc: &Rpc) -> Result<Fee, RailError> {
        let mut known = self.known.lock().await;
        if let Some((at, fee)) = *known
            && at.elapsed() < FRESH
        {
            return Ok(fee);
        }
        let fee = self.capped(ask(rpc).await?)?;
        *known = Some((Instant::now(), fee));
        Ok(fee)
    }

    /// The next caller asks the chain.
    pub(crate) async fn forget(&self) {
        *self.known.lock().await = None;
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
    /// Enough to replace a transaction that paid `self`: nodes ask for a tenth more.
    pub(crate) fn to_replace(self, now: Self) -> Self {
        let more = |old: u128| old.saturating_add(old / 8).saturating_add(1);
        Self {
            max: more(self.max).max(now.max),
            tip: more(self.tip).max(now.tip),
        }
    }
}

async fn ask(rpc: &Rpc) -> Result<Fee, RpcError> {
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
    Ok(Fee {
        max: base.saturating_mul(2).saturating_add(tip),
        tip,
    })
}

async fn gas_price(rpc: &Rpc) -> Result<Fee, RpcError> {
    let Quantity(price) = rpc.one(Call::new("eth_gasPrice", json!([]))).await?;
    Ok(Fee {
        max: price.saturating_mul(2),
        tip: price,
    })
}

#[cfg(test)]
#[path = "fees_tests.rs"]
mod tests;
