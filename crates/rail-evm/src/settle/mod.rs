//! Moves the money: many payments in one transaction where they may share it, one alone where not,
//! many transactions in flight at once.
//!
//! The order is law 2's: nonce, signature, journal, and only then the transaction leaves. From
//! that moment a task of its own follows it, whoever still waits: the caller gets `Unknown` when
//! its time is up, and everything after is found by `check`.
//!
//! The way of a payment: [`alone`] or [`batch`] decide what is sent, [`send`] sends it as a
//! [`trip`], [`follow`] sees it into a block, [`judge`] reads what it has come to.

mod alarm;
mod alone;
mod batch;
mod fees;
mod fill;
mod follow;
mod gas;
mod health;
mod journals;
mod judge;
mod lanes;
mod nonces;
mod pace;
mod payment;
pub(crate) mod refusal;
mod seats;
mod send;
mod sending;
mod suspects;
mod trip;
mod tx;
mod watcher;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::rail::{Journal, Outcome, RailError, Refusal};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;
use serde_json::json;
use tokio::sync::mpsc::Receiver;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use crate::handle::EvmHandle;
use crate::network::Chain;
use crate::options::CollectorOptions;
use crate::rpc::{Call, Quantity, Rpc};
use crate::wallets;

use alarm::Alarm;
use batch::{Arrivals, Contracts, Costs, Traffic};
#[cfg(test)]
pub(crate) use fees::Fee;
pub(crate) use fees::Fees;
use gas::GasBook;
use lanes::Lanes;
use payment::{Claim, Payment, Ticket};
use seats::{Ending, Place, Seat, Seats};
use suspects::Suspects;
pub(crate) use tx::{Action, sign};
use watcher::Watcher;

/// Work that goes on whoever waits for it. Boxed, because sending leads to following and
/// following to sending again.
type Working = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Settles on one chain.
pub(crate) struct Settler {
    chain: Arc<Chain>,
    rpc: Arc<Rpc>,
    clock: Arc<dyn Clock>,
    lanes: Lanes,
    fees: Arc<Fees>,
    /// Whether fees and lanes are being asked about behind.
    is_refreshing: Arc<AtomicBool>,
    watcher: Arc<Watcher>,
    seats: Arc<Seats>,
    contracts: Contracts,
    costs: Costs,
    suspects: Suspects,
    gas: Arc<GasBook>,
    arrivals: Arrivals,
    /// For the collector, until it runs.
    arriving: Mutex<Option<Receiver<Arc<Ticket>>>>,
    traffic: Arc<Traffic>,
    /// Transactions that blocks pass by.
    stuck: Arc<AtomicUsize>,
    stuck_alarm: Alarm,
    /// Who may deploy a payer's wallet.
    factories: Vec<EvmAddress>,
    tasks: OnceLock<Vec<AbortHandle>>,
}

/// A step that ended a settlement.
struct Stop(Outcome);

impl Settler {
    pub(crate) fn new(
        chain: &Arc<Chain>,
        options: &CollectorOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, RailError> {
        let rpc = Arc::clone(chain.rpc()?);
        let network = &chain.network;
        let confirmations = network.confirmations.max(1);
        let watcher = Watcher::new(Arc::clone(&rpc), Arc::clone(&clock), confirmations);
        let (arrivals, arriving) = batch::arrivals();
        Ok(Arc::new(Self {
            chain: Arc::clone(chain),
            rpc,
            lanes: Lanes::new(network.chain.clone(), &options.signers),
            fees: Arc::new(Fees::new(network.max_fee_per_gas_wei)),
            is_refreshing: Arc::default(),
            watcher: Arc::new(watcher),
            seats: Arc::default(),
            contracts: Contracts::new(network.settler),
            costs: Costs::default(),
            suspects: Suspects::new(Arc::clone(&clock)),
            gas: GasBook::new(options.gas, Arc::clone(&clock)),
            arrivals,
            arriving: Mutex::new(Some(arriving)),
            traffic: Arc::default(),
            stuck: Arc::default(),
            stuck_alarm: Alarm::default(),
            factories: options.factories.clone(),
            tasks: OnceLock::new(),
            clock,
        }))
    }

    /// Makes sure that the chain is the right one, and learns where the gas keys stand.
    pub(crate) async fn start(&self) -> Result<(), RailError> {
        self.rpc.probe().await?;
        self.lanes.look(&self.rpc).await?;
        self.contracts.find(&self.rpc).await?;
        Ok(())
    }

    /// Why nothing of this payment's payer would be sent now. Only looks.
    pub(crate) fn would_refuse(&self, handle: &EvmHandle) -> Option<Refusal> {
        self.suspects.refusal(handle.transfer.from)
    }

    /// Settles, or joins the settlement of the same authorization that is under way.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        handle: Arc<EvmHandle>,
        journal: Arc<dyn Journal>,
        wait: Duration,
    ) -> Outcome {
        // Before the log's own span begins.
        let span = Span::current();
        self.settle_as(span, handle, journal, wait).await
    }

    #[tracing::instrument(name = "settle", skip_all, fields(identity = %handle.identity()))]
    async fn settle_as(
        self: &Arc<Self>,
        span: Span,
        handle: Arc<EvmHandle>,
        journal: Arc<dyn Journal>,
        wait: Duration,
    ) -> Outcome {
        let now = Instant::now();
        let deadline = now.checked_add(wait).unwrap_or(now);
        let identity = handle.identity();
        loop {
            match self.seats.take(&identity) {
                Place::Mine(seat) => {
                    return self.drive(span, handle, seat, journal, deadline).await;
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
        span: Span,
        handle: Arc<EvmHandle>,
        seat: Seat,
        journal: Arc<dyn Journal>,
        deadline: Instant,
    ) -> Outcome {
        if let Some(refusal) = self.would_refuse(&handle) {
            return Outcome::Rejected(refusal);
        }
        self.ensure_running();
        let ending = seat.ending();
        // Only a payment alone is simulated first: what an earlier attempt has sent may have
        // arrived in this very moment.
        let goes_alone = journal.is_again() || !self.may_share(&handle);
        let payment = Payment {
            handle,
            journal,
            seat,
            payers: Arc::clone(&self.chain.payers),
            has_left: false,
            span,
        };
        if goes_alone {
            return Box::pin(self.drive_alone(payment, ending, deadline)).await;
        }
        let ticket = Ticket::new(payment);
        let claim = Claim(Arc::clone(&ticket));
        if self.arrivals.try_send(ticket).is_err() {
            return Outcome::Rejected(ours(&"too many settlements wait; try again"));
        }
        self.wait_or_withdraw(ending, deadline, &claim).await
    }

    /// Whether the payment may share a transaction.
    fn may_share(&self, handle: &EvmHandle) -> bool {
        handle.signature().is_some()
            && self.chain.token(handle.token).is_some()
            && self.chain.payers.may_share(handle.token, &handle.transfer)
            && !self.suspects.has(handle.transfer.from)
    }

    async fn wait_or_withdraw(&self, ending: Ending, deadline: Instant, claim: &Claim) -> Outcome {
        match wait_for(ending, deadline).await {
            Some(Outcome::Unknown { .. }) if claim.withdraw() => {
                Outcome::Rejected(ours(&"the node did not answer in time; nothing was sent"))
            }
            Some(outcome) => outcome,
            // Only at shutdown: it may have left.
            None => pending(),
        }
    }

    /// The fees of now. They are asked for behind where they are only a little old.
    async fn fee(self: &Arc<Self>) -> Result<fees::Fee, RailError> {
        let Some(fee) = self.fees.usable() else {
            return self.fees.refresh(&self.rpc).await;
        };
        if self.fees.is_stale() && !self.is_refreshing.swap(true, Ordering::AcqRel) {
            let settler = Arc::clone(self);
            tokio::spawn(async move {
                let (fees, lanes) = tokio::join!(
                    settler.fees.refresh(&settler.rpc),
                    settler.lanes.look(&settler.rpc),
                );
                settler.is_refreshing.store(false, Ordering::Release);
                settler.watch_money(settler.gas_of_one_wei());
                if let Err(error) = fees.and(lanes.map_err(RailError::from)) {
                    tracing::warn!(%error, "fees and gas keys cannot be looked at");
                }
            });
        }
        Ok(fee)
    }

    fn ensure_running(self: &Arc<Self>) {
        self.tasks.get_or_init(|| {
            let mut tasks = vec![tokio::spawn(Arc::clone(&self.watcher).run()).abort_handle()];
            let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(arriving) = arriving.take() {
                let traffic = Arc::clone(&self.traffic);
                let collector = batch::collect(Arc::downgrade(self), traffic, arriving);
                tasks.push(tokio::spawn(collector).abort_handle());
            }
            for lane in self.lanes.iter() {
                let filler = fill::fill_gaps(Arc::clone(lane), Arc::downgrade(self));
                tasks.push(tokio::spawn(filler).abort_handle());
            }
            tasks
        });
    }

    fn estimate_call(&self, from: EvmAddress, to: EvmAddress, data: &[u8]) -> Call {
        let data = alloy_primitives::hex::encode_prefixed(data);
        let call = json!({"from": from, "to": to, "data": data});
        Call::new("eth_estimateGas", json!([call]))
    }

    /// What it takes on this chain to do nothing.
    async fn gas_of_nothing(&self, own: EvmAddress) -> u64 {
        let call = self.estimate_call(own, own, &[]);
        let estimate = self.rpc.one::<Quantity>(call).await.ok();
        estimate
            .and_then(|gas| u64::try_from(gas.0).ok())
            .map_or(fill::GAS_TRANSFER, |gas| {
                gas.clamp(fill::GAS_TRANSFER, wallets::GAS_MAX)
            })
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
