//! Moves the money: one transaction per authorization, many in flight at once.
//!
//! The order is law 2's: nonce, signature, journal, and only then the transaction leaves. From
//! that moment a task of its own follows it, whoever still waits: the caller gets `Unknown` when
//! its time is up, and everything after is found by `check`.

mod alone;
mod fees;
mod fill;
mod judge;
mod nonces;
mod refusal;
mod seats;
mod send;
mod tx;
mod watcher;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::rail::{Journal, Outcome, RailError, Refusal};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::handle::EvmHandle;
use crate::key::EvmKey;
use crate::network::Chain;
use crate::rpc::{Call, Quantity, Rpc};
use crate::snapshot::Payers;

#[cfg(test)]
pub(crate) use fees::Fee;
use fees::Fees;
use nonces::Nonces;
use seats::{Ending, Place, Seat, Seats};
#[cfg(test)]
pub(crate) use tx::{Action, sign};
use watcher::Watcher;

/// Settles on one chain with one gas key.
pub(crate) struct Settler {
    chain: Arc<Chain>,
    rpc: Arc<Rpc>,
    key: Arc<EvmKey>,
    nonces: Arc<Nonces>,
    fees: Fees,
    watcher: Arc<Watcher>,
    seats: Arc<Seats>,
    tasks: OnceLock<Vec<AbortHandle>>,
}

/// A step that ended a settlement.
struct Stop(Outcome);

impl Settler {
    pub(crate) fn new(
        chain: &Arc<Chain>,
        key: Arc<EvmKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, RailError> {
        let rpc = Arc::clone(chain.rpc()?);
        let confirmations = chain.network.confirmations.max(1);
        Ok(Arc::new(Self {
            chain: Arc::clone(chain),
            watcher: Arc::new(Watcher::new(Arc::clone(&rpc), clock, confirmations)),
            rpc,
            key,
            nonces: Arc::default(),
            fees: Fees::new(chain.network.max_fee_per_gas_wei),
            seats: Arc::default(),
            tasks: OnceLock::new(),
        }))
    }

    /// What is known of the payers of the chain.
    pub(crate) fn payers(&self) -> &Payers {
        &self.chain.payers
    }

    /// Makes sure that the chain is the right one, and learns where the gas key's nonces stand.
    pub(crate) async fn start(&self) -> Result<(), RailError> {
        self.rpc.probe().await?;
        let asked = self.nonces.epoch();
        let count: Quantity = self.rpc.one(self.count_call()).await?;
        self.observe(count, asked);
        Ok(())
    }

    /// Settles, or joins the settlement of the same authorization that is under way.
    #[tracing::instrument(name = "settle", skip_all, fields(identity = %handle.identity()))]
    pub(crate) async fn settle(
        self: &Arc<Self>,
        handle: EvmHandle,
        journal: Arc<dyn Journal>,
        wait: Duration,
    ) -> Outcome {
        let now = Instant::now();
        let deadline = now.checked_add(wait).unwrap_or(now);
        let identity = handle.identity();
        loop {
            match self.seats.take(&identity) {
                Place::Mine(seat) => {
                    return self.drive(handle, seat, &*journal, deadline).await;
                }
                Place::Taken(ending) => {
                    // Without an outcome the driver has given up before anything was sent.
                    if let Some(outcome) = wait_for(ending, deadline).await {
                        return outcome;
                    }
                }
            }
        }
    }

    async fn drive(
        self: &Arc<Self>,
        handle: EvmHandle,
        seat: Seat,
        journal: &dyn Journal,
        deadline: Instant,
    ) -> Outcome {
        self.ensure_running();
        let ending = seat.ending();
        let has_begun = AtomicBool::new(false);
        match timeout_at(deadline, self.hand_over(&handle, seat, journal, &has_begun)).await {
            Ok(Ok(())) => wait_for(ending, deadline).await.unwrap_or_else(pending),
            Ok(Err(Stop(outcome))) => outcome,
            Err(_) if has_begun.load(Ordering::Relaxed) => pending(),
            Err(_) => Outcome::Rejected(ours(&"the node did not answer in time; nothing was sent")),
        }
    }

    /// What to say where the gas key cannot pay.
    fn unfunded(&self) -> Refusal {
        ours(&format!(
            "the gas key's account {} on {} cannot pay for gas; send it some of the chain's own coin",
            self.key.address(),
            self.chain.network.chain
        ))
    }

    fn ensure_running(self: &Arc<Self>) {
        self.tasks.get_or_init(|| {
            let filler = fill::fill_gaps(Arc::clone(&self.nonces), Arc::downgrade(self));
            vec![
                tokio::spawn(Arc::clone(&self.watcher).run()).abort_handle(),
                tokio::spawn(filler).abort_handle(),
            ]
        });
    }

    fn observe(&self, count: Quantity, asked: nonces::Epoch) {
        if let Ok(count) = u64::try_from(count.0) {
            self.nonces.observe(count, asked);
        }
    }

    fn count_call(&self) -> Call {
        Call::new(
            "eth_getTransactionCount",
            json!([self.key.address(), "pending"]),
        )
    }

    fn estimate_call(&self, to: EvmAddress, data: &[u8]) -> Call {
        let data = alloy_primitives::hex::encode_prefixed(data);
        let call = json!({"from": self.key.address(), "to": to, "data": data});
        Call::new("eth_estimateGas", json!([call]))
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        for task in self.tasks.get().into_iter().flatten() {
            task.abort();
        }
    }
}

/// The outcome, or `Unknown` at the deadline; `None` where the driver gave up without one.
async fn wait_for(mut ending: Ending, deadline: Instant) -> Option<Outcome> {
    match timeout_at(deadline, ending.wait_for(Option::is_some)).await {
        Ok(Ok(outcome)) => outcome.clone(),
        Ok(Err(_)) => None,
        Err(_) => Some(pending()),
    }
}

fn pending() -> Outcome {
    Outcome::Unknown {
        reason: Reason::SettlementPending.code().into(),
    }
}

/// The settlement failed for a reason that is not the buyer's; nothing was sent.
pub(crate) fn ours(why: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        reason: Reason::UnexpectedSettle,
        message: format!("the payment could not be settled: {why}"),
        is_ours: true,
    }
}

fn stop(error: impl std::fmt::Display) -> Stop {
    Stop(Outcome::Rejected(ours(&error)))
}
