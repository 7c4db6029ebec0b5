//! Moves the money: one transaction per authorization, many in flight at once.
//!
//! The order is law 2's: nonce, signature, journal, and only then the transaction leaves. From
//! that moment a task of its own follows it, whoever still waits: the caller gets `Unknown` when
//! its time is up, and everything after is found by `check`.

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
use farebox_core::rail::{Journal, Outcome, RailError, Refusal, SentTransaction};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::abi;
use crate::check;
use crate::handle::EvmHandle;
use crate::key::EvmKey;
use crate::network::Chain;
use crate::rpc::{Call, Quantity, Rpc, decode};

pub(crate) use fees::Fee;
use fees::Fees;
use nonces::Nonces;
use seats::{Ending, Place, Seat, Seats};
use send::Handed;
pub(crate) use tx::{Action, sign};
use watcher::Watcher;

/// Tries to hand one payment over; each costs a new signature and a line in the journal.
const SEND_TRIES: u32 = 5;
/// A transfer needs well under 100,000; rollups add their own. More than this is a trap.
const GAS_MAX: u64 = 1_000_000;
/// Room over the estimate, in hundredths: balances and storage change until the block is made.
const GAS_ROOM_PERCENT: u64 = 125;

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

/// What the chain said before anything was signed.
struct Simulated {
    gas_limit: u64,
    /// What the gas key's account has.
    gas_money_wei: Option<u128>,
}

impl Simulated {
    /// Whether the gas key can pay, as far as is known.
    fn is_covered(&self, fee: Fee) -> bool {
        let most = fee.max.saturating_mul(u128::from(self.gas_limit));
        self.gas_money_wei.is_none_or(|wei| wei >= most)
    }
}

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

    /// Everything up to the moment at which a node has the transaction. May be dropped at any
    /// point: what has left is followed by its own task, and what has not gives its nonce back.
    async fn hand_over(
        self: &Arc<Self>,
        handle: &EvmHandle,
        mut seat: Seat,
        journal: &dyn Journal,
        has_begun: &AtomicBool,
    ) -> Result<(), Stop> {
        let signature = handle.signature().ok_or_else(|| {
            Stop(Outcome::Rejected(ours(
                &"the stored payment has no signature",
            )))
        })?;
        let data = abi::transfer_with_authorization(&handle.transfer, &signature);
        let simulated = match self.simulate(handle, &data).await {
            Err(Stop(outcome @ Outcome::Unknown { .. })) => {
                self.record_stranger(handle, journal, has_begun).await?;
                return Err(Stop(outcome));
            }
            simulated => simulated?,
        };
        for _ in 0..SEND_TRIES {
            let fee = self.fees.current(&self.rpc).await.map_err(stop)?;
            if !simulated.is_covered(fee) {
                return Err(Stop(Outcome::Rejected(self.unfunded())));
            }
            let lease = self
                .nonces
                .lease()
                .ok_or_else(|| Stop(Outcome::Rejected(ours(&"no transaction nonce is known"))))?;
            let action = Action {
                to: handle.token,
                data: data.clone(),
                gas_limit: simulated.gas_limit,
            };
            let tx = sign(&self.key, self.chain.number, lease.nonce(), fee, action);
            let line = SentTransaction {
                hash: tx.hash.to_string(),
                signer: Some(self.key.address().to_string()),
                nonce: Some(lease.nonce()),
            };
            has_begun.store(true, Ordering::Relaxed);
            // Law 2: without the journal's line nothing leaves.
            journal.sending(&line).await.map_err(stop)?;
            match self.send(tx, lease, seat, handle.clone()).await {
                Handed::Over => return Ok(()),
                Handed::Refused(refusal) => return Err(Stop(Outcome::Rejected(refusal))),
                Handed::Again(again) => seat = again,
            }
        }
        Err(Stop(Outcome::Rejected(ours(
            &"the node refused every nonce; another program seems to use the gas key",
        ))))
    }

    /// Asks for the gas limit, which also tells whether the transfer would revert; for the count
    /// of transactions, so that another user of the key is noticed; and for the key's money.
    async fn simulate(&self, handle: &EvmHandle, data: &[u8]) -> Result<Simulated, Stop> {
        let asked = self.nonces.epoch();
        let calls = [
            self.estimate_call(handle.token, data),
            self.count_call(),
            Call::new("eth_getBalance", json!([self.key.address(), "latest"])),
        ];
        let results = self.rpc.batch(&calls).await.map_err(stop)?;
        let [estimate, count, balance] =
            <[_; 3]>::try_from(results).map_err(|_| stop("the node left answers out"))?;
        if let Ok(count) = count {
            self.observe(decode(count).map_err(stop)?, asked);
        }
        let estimate = match estimate {
            Err(error) if error.is_revert() => {
                return Err(Stop(self.would_revert(handle, &error).await));
            }
            estimate => estimate.and_then(decode::<Quantity>).map_err(stop)?,
        };
        let estimate = u64::try_from(estimate.0).unwrap_or(u64::MAX);
        let gas_limit = estimate.saturating_mul(GAS_ROOM_PERCENT) / 100;
        if gas_limit > GAS_MAX {
            return Err(stop(format!(
                "the transfer would need {gas_limit} gas, more than the {GAS_MAX} allowed"
            )));
        }
        // A balance that cannot be read stops nothing: the node refuses what is not covered.
        let gas_money_wei = balance.and_then(decode::<Quantity>).ok().map(|wei| wei.0);
        Ok(Simulated {
            gas_limit,
            gas_money_wei,
        })
    }

    /// Somebody else's transaction has used the authorization, but not deep enough to serve. It
    /// goes on record as if it were ours, so that the books wait for it.
    async fn record_stranger(
        &self,
        handle: &EvmHandle,
        journal: &dyn Journal,
        has_begun: &AtomicBool,
    ) -> Result<(), Stop> {
        let found = check::find_payment(&self.rpc, handle).await;
        if let Some(hash) = found.map_err(stop)? {
            has_begun.store(true, Ordering::Relaxed);
            let line = SentTransaction::by_stranger(hash.to_string());
            journal.sending(&line).await.map_err(stop)?;
        }
        Ok(())
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
