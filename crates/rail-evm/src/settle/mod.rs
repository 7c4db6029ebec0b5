//! Moves the money: one transaction per authorization, many in flight at once.
//!
//! The order is law 2's: nonce, signature, journal, and only then the transaction leaves. From
//! that moment a task of its own follows it, whoever still waits: the caller gets `Unknown` when
//! its time is up, and everything after is found by `check`.

mod fees;
mod nonces;
mod refusal;
mod seats;
mod tx;
mod watcher;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::rail::{Finding, Journal, Outcome, RailError, Refusal};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::abi;
use crate::check::{self, is_used_at};
use crate::events::carries_out;
use crate::examine::refusal as refused;
use crate::handle::EvmHandle;
use crate::key::EvmKey;
use crate::network::{Chain, Finality};
use crate::rpc::{Call, Quantity, Receipt, Rpc, RpcError, SendError, decode};

use fees::{Fee, Fees};
use nonces::{Lease, Nonces};
use refusal::{NotTaken, not_taken, reverted};
use seats::{Ending, Place, Seat, Seats};
use tx::{Action, SignedTx, sign};
use watcher::{Fate, Watcher};

/// Tries to hand one payment over; each costs a new signature and a line in the journal.
const SEND_TRIES: u32 = 5;
/// A transfer needs well under 100,000; rollups add their own. More than this is a trap.
const GAS_MAX: u64 = 1_000_000;
/// Room over the estimate, in hundredths: balances and storage change until the block is made.
const GAS_ROOM_PERCENT: u64 = 125;
/// What a transfer of nothing costs on most chains.
const GAS_CANCEL: u64 = 21_000;
/// How long a gap among the nonces may wait for a payment to fill it.
const GAP_PATIENCE: Duration = Duration::from_millis(250);

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

/// How handing over ended.
enum Handed {
    /// A node has the transaction, or may have it.
    Over,
    /// Nothing left; try again with another nonce or fee.
    Again(Seat),
    /// Nothing left, and it is no use to try again.
    Refused(Refusal),
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
    pub(crate) async fn settle(
        self: &Arc<Self>,
        handle: EvmHandle,
        journal: &dyn Journal,
        wait: Duration,
    ) -> Outcome {
        let now = Instant::now();
        let deadline = now.checked_add(wait).unwrap_or(now);
        let identity = handle.identity();
        loop {
            match self.seats.take(&identity) {
                Place::Mine(seat) => return self.drive(handle, seat, journal, deadline).await,
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
        let gas_limit = self.simulate(handle, &data).await?;
        for _ in 0..SEND_TRIES {
            let fee = self.fees.current(&self.rpc).await.map_err(stop)?;
            let lease = self
                .nonces
                .lease()
                .ok_or_else(|| Stop(Outcome::Rejected(ours(&"no transaction nonce is known"))))?;
            let action = Action {
                to: handle.token,
                data: data.clone(),
                gas_limit,
            };
            let tx = sign(&self.key, self.chain.number, lease.nonce(), fee, action);
            has_begun.store(true, Ordering::Relaxed);
            // Law 2: without the journal's line nothing leaves.
            journal.sending(&tx.hash.to_string()).await.map_err(stop)?;
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

    /// Asks for the gas limit, which also tells whether the transfer would revert; and for the
    /// count of transactions, so that another user of the key is noticed.
    async fn simulate(&self, handle: &EvmHandle, data: &[u8]) -> Result<u64, Stop> {
        let asked = self.nonces.epoch();
        let calls = [self.estimate_call(handle.token, data), self.count_call()];
        let mut results = self.rpc.batch(&calls).await.map_err(stop)?.into_iter();
        let estimate = results.next();
        if let Some(Ok(count)) = results.next() {
            self.observe(decode(count).map_err(stop)?, asked);
        }
        let estimate = match estimate {
            Some(Ok(estimate)) => decode::<Quantity>(estimate).map_err(stop)?.0,
            Some(Err(error)) if error.is_revert() => {
                return Err(Stop(self.would_revert(handle, &error).await));
            }
            Some(Err(error)) => return Err(stop(error)),
            None => {
                return Err(Stop(Outcome::Rejected(ours(
                    &"the node gave no gas estimate",
                ))));
            }
        };
        let estimate = u64::try_from(estimate).unwrap_or(u64::MAX);
        let limit = estimate.saturating_mul(GAS_ROOM_PERCENT) / 100;
        if limit > GAS_MAX {
            return Err(Stop(Outcome::Rejected(ours(&format!(
                "the transfer would need {limit} gas, more than the {GAS_MAX} allowed"
            )))));
        }
        Ok(limit)
    }

    /// Hands the transaction over in a task of its own, so that a caller who goes away leaves
    /// nothing half sent.
    async fn send(
        self: &Arc<Self>,
        tx: SignedTx,
        lease: Lease,
        seat: Seat,
        handle: EvmHandle,
    ) -> Handed {
        let settler = Arc::clone(self);
        let task = tokio::spawn(async move { settler.send_now(tx, lease, seat, handle).await });
        match task.await {
            Ok(handed) => handed,
            // Only at shutdown: it may have left.
            Err(_) => Handed::Over,
        }
    }

    async fn send_now(
        self: Arc<Self>,
        tx: SignedTx,
        mut lease: Lease,
        seat: Seat,
        handle: EvmHandle,
    ) -> Handed {
        let valid_before_s = handle.transfer.valid_before;
        let told = self.watcher.register(tx.clone(), valid_before_s);
        match self.rpc.send_raw(&tx.raw).await {
            Ok(()) => tracing::info!(hash = %tx.hash, nonce = lease.nonce(), "sent"),
            // A lost reply: it is watched and sent again as if it had arrived.
            Err(SendError::MayBeSent(error)) => {
                tracing::warn!(hash = %tx.hash, %error, "sent, but without an answer");
            }
            Err(SendError::NotSent(error)) => {
                self.watcher.forget(&tx.hash);
                return Handed::Refused(ours(&error));
            }
            Err(SendError::Refused { message }) => {
                self.watcher.forget(&tx.hash);
                return self.not_taken(&message, lease, seat).await;
            }
        }
        lease.mark_used();
        self.watcher.sent(&tx.hash);
        let settler = Arc::clone(&self);
        tokio::spawn(async move {
            let fate = told.await;
            settler.follow(fate.ok(), tx.fee, lease, seat, handle).await;
        });
        Handed::Over
    }

    async fn not_taken(&self, message: &str, mut lease: Lease, seat: Seat) -> Handed {
        tracing::warn!(
            message,
            nonce = lease.nonce(),
            "the node did not take a transaction"
        );
        match not_taken(message) {
            NotTaken::NonceUsed => {
                lease.mark_used();
                let count = self.rpc.one::<Quantity>(self.count_call()).await;
                let count = count.ok().and_then(|q| u64::try_from(q.0).ok());
                self.nonces
                    .skip_to(lease.nonce(), count.unwrap_or_default());
                Handed::Again(seat)
            }
            NotTaken::Underpriced => {
                self.fees.forget().await;
                Handed::Again(seat)
            }
            NotTaken::Unfunded => Handed::Refused(ours(&format!(
                "the gas key's account {} on {} cannot pay for gas; send it some of the chain's own coin",
                self.key.address(),
                self.chain.network.chain
            ))),
            NotTaken::Other => Handed::Refused(ours(&format!("the node says: {message}"))),
        }
    }

    /// Waits for a transaction's fate, however long, and tells everybody.
    async fn follow(
        &self,
        fate: Option<Fate>,
        fee: Fee,
        lease: Lease,
        seat: Seat,
        handle: EvmHandle,
    ) {
        let outcome = match fate {
            Some(Fate::Mined { receipt, head }) => self.judge(&handle, &receipt, head).await,
            Some(Fate::Displaced) | None => self.ask(&handle).await.unwrap_or_else(pending),
            Some(Fate::Expired) => {
                seat.publish(pending());
                // The payment is over, but everything behind its nonce waits for it.
                self.cancel(lease, Some(fee)).await;
                return;
            }
        };
        tracing::info!(identity = %handle.identity(), ?outcome, "settlement ended");
        drop(lease);
        seat.publish(outcome);
    }

    async fn judge(&self, handle: &EvmHandle, receipt: &Receipt, head: u64) -> Outcome {
        if carries_out(receipt, handle.token, &handle.transfer) {
            let above = head.saturating_sub(receipt.block_number);
            return Outcome::Settled {
                transaction: receipt.transaction_hash.to_string(),
                is_final: match self.chain.network.finality {
                    Finality::Blocks(depth) => above >= depth,
                    // Not before the chain says so, which takes minutes.
                    Finality::Finalized => false,
                },
            };
        }
        if receipt.status == 1 {
            return Outcome::Rejected(refused(
                Reason::TransferEventMismatch,
                format!("transaction {} moved no money", receipt.transaction_hash),
            ));
        }
        // Ours reverted: because somebody else's came first, or because it cannot work.
        self.ask(handle).await.unwrap_or_else(|| {
            Outcome::Rejected(refused(
                Reason::TransactionFailed,
                format!("transaction {} was reverted", receipt.transaction_hash),
            ))
        })
    }

    /// A transfer that would revert: paid by somebody else already, or refused by the token.
    async fn would_revert(&self, handle: &EvmHandle, error: &RpcError) -> Outcome {
        self.ask(handle)
            .await
            .unwrap_or_else(|| Outcome::Rejected(refused(reverted(error), error.to_string())))
    }

    /// Asks the token; `None` where the authorization is provably unused now.
    async fn ask(&self, handle: &EvmHandle) -> Option<Outcome> {
        match is_used_at(&self.rpc, handle, "latest").await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => return Some(pending()),
        }
        Some(match check::ask(&self.chain, &self.rpc, handle).await {
            Ok(Finding::Settled {
                transaction,
                is_final,
            }) => Outcome::Settled {
                transaction,
                is_final,
            },
            Ok(Finding::NeverWill) => Outcome::Rejected(refused(
                Reason::NonceAlreadyUsed,
                "the authorization was cancelled, or used for something else",
            )),
            Ok(Finding::Open | Finding::CannotTell { .. }) | Err(_) => pending(),
        })
    }

    /// Uses up a nonce that nothing else will, so that those above it can move on.
    async fn cancel(&self, mut lease: Lease, replaced: Option<Fee>) {
        let own = self.key.address();
        let Ok(mut fee) = self.fees.current(&self.rpc).await else {
            return;
        };
        if let Some(replaced) = replaced {
            fee = replaced.to_replace(fee);
        }
        let estimate = self.rpc.one::<Quantity>(self.estimate_call(own, &[])).await;
        let gas_limit = estimate
            .ok()
            .and_then(|q| u64::try_from(q.0).ok())
            .map_or(GAS_CANCEL, |gas| gas.clamp(GAS_CANCEL, GAS_MAX));
        let action = Action {
            to: own,
            data: Vec::new(),
            gas_limit,
        };
        let tx = sign(&self.key, self.chain.number, lease.nonce(), fee, action);
        let told = self.watcher.register(tx.clone(), u64::MAX);
        match self.rpc.send_raw(&tx.raw).await {
            Ok(()) | Err(SendError::MayBeSent(_)) => {
                lease.mark_used();
                self.watcher.sent(&tx.hash);
                tracing::warn!(nonce = lease.nonce(), hash = %tx.hash, "nonce filled");
                let _ = told.await;
            }
            Err(error) => {
                self.watcher.forget(&tx.hash);
                if replaced.is_some() {
                    lease.mark_used();
                }
                tracing::warn!(nonce = lease.nonce(), ?error, "nonce not filled");
            }
        }
    }

    fn ensure_running(self: &Arc<Self>) {
        self.tasks.get_or_init(|| {
            let filler = fill_gaps(Arc::clone(&self.nonces), Arc::downgrade(self));
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

/// Fills gaps among the nonces that no payment fills in time.
async fn fill_gaps(nonces: Arc<Nonces>, settler: Weak<Settler>) {
    loop {
        nonces.gap_appeared().await;
        tokio::time::sleep(GAP_PATIENCE).await;
        while let Some(lease) = nonces.lease_gap() {
            let Some(settler) = settler.upgrade() else {
                return;
            };
            settler.cancel(lease, None).await;
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
