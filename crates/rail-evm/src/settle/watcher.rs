//! Watches all transactions of one chain together: one question per block, however many
//! settlements wait, and the same bytes sent again while they are not in a block.
//!
//! A transaction is registered before it is sent, so that no block can slip between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use farebox_core::clock::Clock;
use farebox_wire::evm::Word;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use super::refusal::{is_known, is_nonce_used};
use super::tx::SignedTx;
use crate::rpc::{Call, Quantity, Receipt, Rpc, RpcError, decode};

/// The shortest pause between two questions for the newest block.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause with a node on this machine, and the first one with any.
const PAUSE_MAX_LOCAL: Duration = Duration::from_millis(100);
/// The longest pause with a remote node.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Questions per block, once its time is known.
const QUESTIONS_PER_BLOCK: u32 = 8;
/// The longest pause while the node fails.
const PAUSE_FAILING_MAX: Duration = Duration::from_secs(5);
/// A transaction that is in no block after this long may have been lost.
const RESEND_AFTER: Duration = Duration::from_secs(2);
/// Each further time takes twice as long, up to this: on a slow chain most are only waiting.
const RESEND_PAUSE_MAX: Duration = Duration::from_secs(32);
/// Receipts per request.
const RECEIPTS_PER_REQUEST: usize = 100;
/// Transactions per request, a few hundred bytes each.
const SENDS_PER_REQUEST: usize = 50;

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is in a block, as deep as asked for.
    Mined {
        receipt: Receipt,
        /// Number of the newest block.
        head: u64,
    },
    /// Another transaction has taken its nonce.
    Displaced,
    /// It is in no block, and its authorization has expired.
    Expired,
}

/// The transactions that are waited for.
pub(crate) struct Watcher {
    rpc: Arc<Rpc>,
    clock: Arc<dyn Clock>,
    confirmations: u64,
    waiting: Mutex<HashMap<Word, Waiting>>,
    wake: Notify,
}

struct Waiting {
    tx: SignedTx,
    /// Unix seconds.
    valid_before_s: u64,
    /// `None` until it has been sent.
    resend_at: Option<Instant>,
    /// Whether its receipt was asked for since it was sent.
    is_asked: bool,
    resend_pause: Duration,
    fate: oneshot::Sender<Fate>,
}

impl Watcher {
    pub(crate) fn new(rpc: Arc<Rpc>, clock: Arc<dyn Clock>, confirmations: u64) -> Self {
        Self {
            rpc,
            clock,
            confirmations,
            waiting: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Waits for `tx`, which is about to be sent and is worth sending until `valid_before_s`.
    pub(crate) fn register(&self, tx: SignedTx, valid_before_s: u64) -> oneshot::Receiver<Fate> {
        let (fate, told) = oneshot::channel();
        let waiting = Waiting {
            tx: tx.clone(),
            valid_before_s,
            resend_at: None,
            is_asked: false,
            resend_pause: RESEND_AFTER,
            fate,
        };
        self.lock().insert(tx.hash, waiting);
        told
    }

    /// `hash` may have left: look for it.
    pub(crate) fn sent(&self, hash: &Word) {
        if let Some(waiting) = self.lock().get_mut(hash) {
            waiting.resend_at = Some(Instant::now() + RESEND_AFTER);
        }
        self.wake.notify_one();
    }

    /// `hash` has not left and will not.
    pub(crate) fn forget(&self, hash: &Word) {
        self.lock().remove(hash);
    }

    /// Runs until it is aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pace = Pace::new(self.rpc.is_local());
        let mut head = None;
        loop {
            if self.lock().is_empty() {
                self.wake.notified().await;
                pace.rested();
            } else {
                // A transaction that was just sent may already be in a block.
                let _ = tokio::time::timeout(pace.pause, self.wake.notified()).await;
            }
            match self.look(&mut head).await {
                Ok(has_changed) => pace.looked(has_changed),
                Err(error) => {
                    tracing::warn!(%error, "cannot watch the chain");
                    // Asked again from the start, so that nothing is missed.
                    head = None;
                    pace.failed();
                }
            }
        }
    }

    /// Asks for the newest block and, in the same request, for the receipts of what was just
    /// sent: a chain that mines at once has them already. Where the block is a new one, all other
    /// receipts are asked for, once.
    async fn look(&self, head: &mut Option<u64>) -> Result<bool, RpcError> {
        let fresh = self.just_sent();
        let mut calls = vec![Call::new("eth_blockNumber", json!([]))];
        calls.extend(fresh.iter().map(receipt_call));
        let mut results = self.rpc.batch(&calls).await?.into_iter();
        let Quantity(number) = match results.next() {
            Some(number) => decode(number?)?,
            None => return Err(RpcError::garbage("no result")),
        };
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let read = self.read(fresh.iter().zip(results), number).await;
        let has_changed = *head != Some(number);
        // Asked once more after the number is known: a block that came between the two answers of
        // one request would be missed else.
        let collected = match has_changed {
            true => read.and(self.collect(&self.all(), number).await),
            false => read,
        };
        // Whatever is wrong with one receipt, the others are sent again when it is time.
        self.resend(number).await?;
        collected?;
        *head = Some(number);
        Ok(has_changed)
    }

    /// Asks for receipts. One that cannot be had or read is told at the end, so that it keeps no
    /// other waiting.
    async fn collect(&self, hashes: &[Word], head: u64) -> Result<(), RpcError> {
        let mut collected = Ok(());
        for hashes in hashes.chunks(RECEIPTS_PER_REQUEST) {
            let calls: Vec<Call> = hashes.iter().map(receipt_call).collect();
            let results = self.rpc.batch(&calls).await?;
            collected = collected.and(self.read(hashes.iter().zip(results), head).await);
        }
        collected
    }

    async fn read(
        &self,
        receipts: impl Iterator<Item = (&Word, Result<Value, RpcError>)>,
        head: u64,
    ) -> Result<(), RpcError> {
        let mut read = Ok(());
        for (hash, result) in receipts {
            let result = match result {
                // Some nodes take smaller batches only.
                Err(RpcError::Refused { .. }) => self.rpc.one(receipt_call(hash)).await,
                result => result,
            };
            match result.and_then(decode::<Option<Receipt>>) {
                Ok(Some(receipt)) => self.mined(receipt, head),
                Ok(None) => {}
                Err(error) => read = Err(error),
            }
        }
        read
    }

    /// What was sent and not asked for since, marked as asked for.
    fn just_sent(&self) -> Vec<Word> {
        let mut waiting = self.lock();
        let fresh = waiting
            .iter_mut()
            .filter(|(_, waiting)| waiting.resend_at.is_some() && !waiting.is_asked)
            .take(RECEIPTS_PER_REQUEST);
        fresh
            .map(|(hash, waiting)| {
                waiting.is_asked = true;
                *hash
            })
            .collect()
    }

    fn all(&self) -> Vec<Word> {
        self.lock().keys().copied().collect()
    }

    fn mined(&self, receipt: Receipt, head: u64) {
        let depth = head.saturating_sub(receipt.block_number).saturating_add(1);
        if depth < self.confirmations {
            return;
        }
        self.tell(
            &receipt.transaction_hash.clone(),
            Fate::Mined { receipt, head },
        );
    }

    /// Sends again what is in no block, and gives up what is no longer worth sending.
    async fn resend(&self, head: u64) -> Result<(), RpcError> {
        let now_s = self.clock.now_s();
        let (expired, valid): (Vec<_>, Vec<_>) = self
            .due()
            .into_iter()
            .partition(|(_, valid_before_s)| now_s > *valid_before_s);
        for (tx, _) in expired {
            if !self.is_mined(&tx.hash).await {
                self.tell(&tx.hash, Fate::Expired);
            }
        }
        for due in valid.chunks(SENDS_PER_REQUEST) {
            let calls: Vec<Call> = due.iter().map(|(tx, _)| Call::send_raw(&tx.raw)).collect();
            let results = self.rpc.batch(&calls).await?;
            for ((tx, _), result) in due.iter().zip(results) {
                self.resent(&tx.hash, result, head).await;
            }
        }
        Ok(())
    }

    async fn resent(&self, hash: &Word, result: Result<Value, RpcError>, head: u64) {
        match result {
            Ok(_) => tracing::info!(%hash, "sent again"),
            Err(RpcError::Refused { message, .. }) if is_known(&message) => {}
            Err(RpcError::Refused { message, .. }) if is_nonce_used(&message) => {
                // By itself, or by another? Asked after the nonce was used, a missing receipt is
                // an answer.
                let hashes = std::slice::from_ref(hash);
                if self.collect(hashes, head).await.is_ok() && !self.is_mined(hash).await {
                    self.tell(hash, Fate::Displaced);
                }
            }
            Err(error) => tracing::warn!(%hash, %error, "sending again failed"),
        }
    }

    /// Whether a receipt exists, however deep.
    async fn is_mined(&self, hash: &Word) -> bool {
        // A node that cannot be asked proves nothing, so the transaction stays watched.
        !matches!(
            self.rpc.one::<Value>(receipt_call(hash)).await,
            Ok(Value::Null)
        )
    }

    fn due(&self) -> Vec<(SignedTx, u64)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for waiting in self.lock().values_mut() {
            if waiting.resend_at.is_some_and(|at| at <= now) {
                waiting.resend_pause = (waiting.resend_pause * 2).min(RESEND_PAUSE_MAX);
                waiting.resend_at = Some(now + waiting.resend_pause);
                due.push((waiting.tx.clone(), waiting.valid_before_s));
            }
        }
        due
    }

    fn tell(&self, hash: &Word, fate: Fate) {
        if let Some(waiting) = self.lock().remove(hash) {
            // Nobody listens where the program is shutting down.
            let _ = waiting.fate.send(fate);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Word, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn receipt_call(hash: &Word) -> Call {
    Call::new("eth_getTransactionReceipt", json!([hash]))
}

/// How often to ask: a fraction of the block time, as it was seen.
struct Pace {
    pause: Duration,
    pause_max: Duration,
    last_block: Option<Instant>,
}

impl Pace {
    const fn new(is_local: bool) -> Self {
        Self {
            pause: PAUSE_MAX_LOCAL,
            pause_max: if is_local { PAUSE_MAX_LOCAL } else { PAUSE_MAX },
            last_block: None,
        }
    }

    /// Nothing was waited for meanwhile, so the time since the last block means nothing.
    const fn rested(&mut self) {
        self.last_block = None;
    }

    fn looked(&mut self, has_changed: bool) {
        if has_changed && let Some(before) = self.last_block.replace(Instant::now()) {
            let fraction = before.elapsed() / QUESTIONS_PER_BLOCK;
            // Half old, half new: one early block does not set the pace.
            self.pause = (self.pause + fraction) / 2;
        }
        self.pause = self.pause.clamp(PAUSE_MIN, self.pause_max);
    }

    fn failed(&mut self) {
        self.last_block = None;
        self.pause = (self.pause * 2).min(PAUSE_FAILING_MAX);
    }
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
