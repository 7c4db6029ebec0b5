//! Moves the money: the fee payer signs, the books write it down, and only then the transaction
//! leaves (ARCHITECTURE law 2). From that moment a task of its own follows it, whoever still waits.
//!
//! One message runs once on Solana, whoever hands it over and however often, and the fee payer's
//! signature, which is the transaction's name, always comes out the same. So what is at stake at
//! each moment is this:
//!
//! | moment | crash | time runs out | the same again | a lying or silent node |
//! |---|---|---|---|---|
//! | examined | nothing was kept | – | claims decide | rules need no node |
//! | verified: simulated as it came, the payer's account read | nothing was kept | our own trouble, try again | claims decide | no worse than silence: nothing has left |
//! | signed, not written | nothing has left | taken back | joins the first | – |
//! | written (`Journal::sending`) | the next `settle` or `check` asks by the name first | unknown; the follower goes on | joins the first, or the same bytes once more | – |
//! | sent | as before | unknown; the follower goes on | joins the follower | sent again, by another node too, until the chain has it or cannot any more |
//! | in a block that is sure enough, and did what it says | settled | – | settled, the same name | a status counts only for the name that we made |
//! | in such a block, and failed | rejected: the message is used up | – | rejected | the fee was ours, so the payer is counted |
//! | no block can hold it (`expiry`), and asked once more after that | rejected: nothing moved | – | rejected | a node behind the final chain is not believed |

mod alarm;
mod exit;
mod fees;
mod health;
mod seats;
mod send;
mod suspects;
mod watcher;

pub(crate) use health::SETTLEMENT_LAMPORTS;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::rail::{Journal, Outcome, RailError, Refusal};
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402::reason::Reason;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::handle::SvmHandle;
use crate::key::SolanaKey;
use crate::message::Transaction;
use crate::network::Chain;
use crate::options::CollectorOptions;
use crate::rpc::{Level, Rpc};
use crate::rules::{self, Transfer};
use crate::simulate::Simulations;

use exit::{Claim, Exit};
use fees::FeeBook;
use seats::{Ending, Place, Seat, Seats};
use send::Job;
use suspects::Suspects;
use watcher::Watcher;

/// Settles on one chain.
pub(crate) struct Settler {
    chain: Arc<Chain>,
    rpc: Arc<Rpc>,
    keys: Vec<Arc<SolanaKey>>,
    managed: Vec<SvmAddress>,
    pub(crate) simulations: Simulations,
    watcher: Arc<Watcher>,
    seats: Arc<Seats>,
    fees: Arc<FeeBook>,
    suspects: Suspects,
    watching: OnceLock<AbortHandle>,
}

impl Settler {
    pub(crate) fn new(
        chain: &Arc<Chain>,
        options: &CollectorOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, RailError> {
        let rpc = Arc::clone(chain.rpc()?);
        let enough = Level::from(chain.network.commitment);
        Ok(Arc::new(Self {
            chain: Arc::clone(chain),
            watcher: Watcher::new(Arc::clone(&rpc), enough),
            rpc,
            keys: options.signers.clone(),
            managed: options.signers.iter().map(|key| key.address()).collect(),
            simulations: Simulations::default(),
            seats: Arc::default(),
            fees: FeeBook::new(options.fees, Arc::clone(&clock)),
            suspects: Suspects::new(clock),
            watching: OnceLock::new(),
        }))
    }

    /// Makes sure that the chain is the right one.
    pub(crate) async fn start(&self) -> Result<(), RailError> {
        Ok(self.rpc.probe().await?)
    }

    /// Why nothing of this payment's payer would be sent now. Only looks.
    pub(crate) fn would_refuse(&self, payer: SvmAddress) -> Option<Refusal> {
        self.suspects.refusal(payer)
    }

    /// Settles, or joins the settlement of the same message that is under way.
    #[tracing::instrument(name = "settle", skip_all, fields(identity = %handle.identity()))]
    pub(crate) async fn settle(
        self: &Arc<Self>,
        handle: Arc<SvmHandle>,
        journal: Arc<dyn Journal>,
        wait: Duration,
    ) -> Outcome {
        let now = Instant::now();
        let deadline = now.checked_add(wait).unwrap_or(now);
        let identity = handle.identity();
        loop {
            match self.seats.take(&identity) {
                Place::Mine(seat) => return self.drive(&handle, seat, journal, deadline).await,
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
        handle: &SvmHandle,
        seat: Seat,
        journal: Arc<dyn Journal>,
        deadline: Instant,
    ) -> Outcome {
        // What an earlier attempt has sent may come into a block whatever we think of its payer, and
        // whichever keys we have by now.
        let is_again = journal.is_again();
        if !is_again && let Some(refusal) = self.would_refuse(handle.payer) {
            return Outcome::Rejected(refusal);
        }
        let (transfer, key) = match self.checked(handle) {
            Ok(checked) => checked,
            Err(why) if is_again => {
                tracing::warn!(%why, "a payment that was sent before cannot be gone on with");
                return pending();
            }
            Err(refusal) => return Outcome::Rejected(refusal),
        };
        self.ensure_watching();
        let exit = match is_again {
            true => Exit::open(),
            false => Exit::closed(),
        };
        let claim = Claim(Arc::clone(&exit));
        let ending = seat.ending();
        let job = Job {
            transfer,
            key,
            journal,
            exit,
            seen_s: handle.seen_s,
        };
        let settler = Arc::clone(self);
        let work = async move {
            // Without an outcome it was taken back, and its place is free.
            if let Some(outcome) = settler.work(job).await {
                seat.publish(outcome);
            }
        };
        tokio::spawn(work.in_current_span());
        match wait_for(ending, deadline).await {
            Some(Outcome::Unknown { .. }) | None if claim.withdraw() => {
                Outcome::Rejected(ours(&"the node did not answer in time; nothing was sent"))
            }
            Some(outcome) => outcome,
            // Only at shutdown: it may have left.
            None => pending(),
        }
    }

    /// What was examined, or was stored and is held against the rules again, and the key of its
    /// fee payer.
    pub(crate) fn checked(
        &self,
        handle: &SvmHandle,
    ) -> Result<(Arc<Transfer>, Arc<SolanaKey>), Refusal> {
        let transfer = match &handle.examined {
            Some(examined) => {
                rules::alone(examined, &self.managed)?;
                Arc::clone(examined)
            }
            None => Arc::new(reread(handle, &self.managed)?),
        };
        let key = self
            .keys
            .iter()
            .find(|key| key.address() == transfer.fee_payer());
        let key = key.ok_or_else(|| {
            ours(&format!(
                "the key of its fee payer {} is not configured",
                transfer.fee_payer()
            ))
        })?;
        Ok((transfer, Arc::clone(key)))
    }

    fn ensure_watching(&self) {
        self.watching
            .get_or_init(|| tokio::spawn(Arc::clone(&self.watcher).run()).abort_handle());
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        if let Some(task) = self.watching.get() {
            task.abort();
        }
    }
}

/// Reads a stored payment again, as a stranger's: nothing is signed on the word of a file.
fn reread(handle: &SvmHandle, managed: &[SvmAddress]) -> Result<Transfer, Refusal> {
    let stored = handle
        .transaction
        .as_ref()
        .ok_or_else(|| ours(&"the stored payment has no transaction"))?;
    let transfer = rules::again(Transaction::read(stored.bytes())?, managed)?;
    let is_the_same = transfer.digest() == handle.digest
        && transfer.fee_payer() == handle.fee_payer
        && transfer.source() == handle.source
        && transfer.destination() == handle.destination
        && transfer.amount() == handle.amount;
    match is_the_same {
        true => Ok(transfer),
        false => Err(ours(&"the stored payment contradicts its transaction")),
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
