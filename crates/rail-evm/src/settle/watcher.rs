//! Watches all transactions of one chain together: one question per block, however many
//! settlements wait, and the same bytes sent again while they are not in a block.
//!
//! What is watched is a nonce with every version that was signed for it: whichever is mined
//! counts. A version is registered before it is sent, so that no block can slip between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use farebox_core::clock::Clock;
use farebox_wire::evm::Word;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::alarm::Alarm;
use super::pace::Pace;
use super::refusal::{is_known, is_nonce_used};
use super::tx::SignedTx;
use crate::rpc::{Call, Found, Quantity, Receipt, Rpc, RpcError, decode};

/// A transaction that is in no block after this long may have been lost.
const RESEND_AFTER: Duration = Duration::from_secs(2);
/// Each further time takes twice as long, up to this: on a slow chain most are only waiting.
const RESEND_PAUSE_MAX: Duration = Duration::from_secs(32);
/// Blocks that may pass a transaction by before its follower is told, and told again.
const STUCK_BLOCKS: u64 = 3;
/// Payments in the transactions of one request for receipts: each makes about 1.6 KiB of logs, and
/// an answer may have 8 MiB.
const PAYMENTS_PER_REQUEST: usize = 1_000;
/// Receipts per request.
const RECEIPTS_PER_REQUEST: usize = 100;
/// Transactions per request; full ones have a hundred KiB.
const SENDS_PER_REQUEST: usize = 20;

/// What is heard of a transaction. The last of it is `Mined` or `Displaced`.
#[derive(Debug)]
pub(crate) enum News {
    /// One of its versions is in a block, as deep as asked for.
    Mined {
        receipt: Receipt,
        /// Number of the newest block.
        head: u64,
    },
    /// A transaction of somebody else has taken its nonce.
    Displaced,
    /// Blocks pass it by, or all its payments have expired: perhaps it should be replaced.
    Waiting,
}

/// The name of a watched nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watched(u64);

/// The transactions that are waited for.
pub(crate) struct Watcher {
    rpc: Arc<Rpc>,
    clock: Arc<dyn Clock>,
    confirmations: u64,
    state: Mutex<State>,
    wake: Notify,
    /// That the node cannot be asked.
    pub(super) alarm: Alarm,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: HashMap<Watched, Waiting>,
    by_hash: HashMap<Word, Watched>,
    head: Option<u64>,
}

struct Waiting {
    versions: Vec<Word>,
    /// The newest version, which is the one that is sent again.
    latest: SignedTx,
    /// How many payments it carries: its receipt is as long.
    payments: usize,
    /// Unix seconds until which it is worth sending.
    expires_s: u64,
    /// `None` until it has been sent.
    resend_at: Option<Instant>,
    resend_pause: Duration,
    /// Whether its receipt was asked for since it was sent.
    is_asked: bool,
    /// The newest block when its follower last heard of it, or when it was sent.
    told_at: Option<u64>,
    /// The version that is in a block, though not deep enough.
    shallow: Option<Word>,
    news: UnboundedSender<News>,
}

impl Watcher {
    pub(crate) fn new(rpc: Arc<Rpc>, clock: Arc<dyn Clock>, confirmations: u64) -> Self {
        Self {
            rpc,
            clock,
            confirmations,
            state: Mutex::default(),
            wake: Notify::new(),
            alarm: Alarm::default(),
        }
    }

    /// Waits for `tx`, which is about to be sent with so many payments and is worth sending until
    /// `expires_s`.
    pub(crate) fn register(
        &self,
        tx: &SignedTx,
        payments: usize,
        expires_s: u64,
    ) -> (Watched, UnboundedReceiver<News>) {
        let (news, heard) = unbounded_channel();
        let mut state = self.lock();
        let id = Watched(state.next);
        state.next = state.next.wrapping_add(1);
        state.by_hash.insert(tx.hash, id);
        let waiting = Waiting {
            versions: vec![tx.hash],
            latest: tx.clone(),
            payments,
            expires_s,
            resend_at: None,
            resend_pause: RESEND_AFTER,
            is_asked: false,
            told_at: None,
            shallow: None,
            news,
        };
        state.waiting.insert(id, waiting);
        (id, heard)
    }

    /// Another version is about to be sent under the same nonce.
    pub(crate) fn add(&self, id: Watched, tx: &SignedTx) {
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.get_mut(&id) {
            waiting.versions.push(tx.hash);
            state.by_hash.insert(tx.hash, id);
        }
    }

    /// `tx` may have left: look for it, and send it again from now on.
    pub(crate) fn sent(&self, id: Watched, tx: &SignedTx, expires_s: u64) {
        let mut state = self.lock();
        let head = state.head;
        if let Some(waiting) = state.waiting.get_mut(&id) {
            waiting.latest = tx.clone();
            waiting.expires_s = expires_s;
            waiting.resend_at = Some(Instant::now() + RESEND_AFTER);
            waiting.resend_pause = RESEND_AFTER;
            waiting.is_asked = false;
            waiting.told_at = head;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Nothing of it has left and nothing will.
    pub(crate) fn forget(&self, id: Watched) {
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.remove(&id) {
            for hash in waiting.versions {
                state.by_hash.remove(&hash);
            }
        }
    }

    /// Runs until it is aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pace = Pace::new(self.rpc.is_local());
        loop {
            if self.lock().waiting.is_empty() {
                self.wake.notified().await;
                pace.rested();
                pace.sent();
            } else if tokio::time::timeout(pace.next(), self.wake.notified())
                .await
                .is_ok()
            {
                // A transaction that was just sent may already be in a block.
                pace.sent();
            }
            match self.look().await {
                Ok(has_changed) => {
                    self.alarm.clear();
                    pace.looked(has_changed);
                }
                Err(error) => {
                    self.alarm
                        .raise(format!("the chain cannot be watched: {error}"));
                    // Asked again from the start, so that nothing is missed.
                    self.lock().head = None;
                    pace.failed();
                }
            }
        }
    }

    /// Asks for the newest block and, in the same request, for the receipts of what was just
    /// sent: a chain that mines at once has them already. Where the block is a new one, all other
    /// receipts are asked for, once.
    async fn look(&self) -> Result<bool, RpcError> {
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
        let has_changed = self.lock().head != Some(number);
        // Asked once more after the number is known: a block that came between the two answers of
        // one request would be missed else.
        let collected = match has_changed {
            true => read.and(self.collect(self.all(), number).await),
            false => read,
        };
        // Whatever is wrong with one receipt, the others are sent again when it is time, and
        // replaced where blocks pass them by.
        let resent = self.resend(number).await;
        self.tell_of_blocks(number);
        collected.and(resent)?;
        Ok(has_changed)
    }

    /// Asks for receipts. One that cannot be had or read is told at the end, so that it keeps no
    /// other waiting.
    async fn collect(&self, requests: Vec<Vec<Word>>, head: u64) -> Result<(), RpcError> {
        let mut collected = Ok(());
        for hashes in requests {
            let calls: Vec<Call> = hashes.iter().map(receipt_call).collect();
            let results = self.rpc.batch(&calls).await?;
            collected = collected.and(self.read(hashes.iter().zip(results), head).await);
        }
        collected
    }

    async fn read(
        &self,
        receipts: impl Iterator<Item = (&Word, Found)>,
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
                // A receipt of another transaction is no answer.
                Ok(Some(receipt)) if receipt.transaction_hash == *hash => self.mined(receipt, head),
                Ok(Some(_)) => read = Err(RpcError::garbage("a receipt of another transaction")),
                Ok(None) => self.not_mined(hash),
                Err(error) => read = Err(error),
            }
        }
        read
    }

    /// What was sent and not asked for since, marked as asked for.
    fn just_sent(&self) -> Vec<Word> {
        let mut fresh = Vec::new();
        let mut payments: usize = 0;
        for waiting in self.lock().waiting.values_mut() {
            if waiting.resend_at.is_none() || waiting.is_asked {
                continue;
            }
            // At least one, and what does not fit is asked for when the block is a new one.
            payments = payments.saturating_add(waiting.payments);
            if !fresh.is_empty() && payments > PAYMENTS_PER_REQUEST {
                break;
            }
            waiting.is_asked = true;
            fresh.extend_from_slice(&waiting.versions);
        }
        fresh
    }

    /// All that is waited for, in requests whose answers are not too long.
    fn all(&self) -> Vec<Vec<Word>> {
        let mut requests: Vec<Vec<Word>> = Vec::new();
        let (mut request, mut payments): (Vec<Word>, usize) = (Vec::new(), 0);
        for waiting in self.lock().waiting.values() {
            let more = payments.saturating_add(waiting.payments);
            let is_full = more > PAYMENTS_PER_REQUEST || request.len() >= RECEIPTS_PER_REQUEST;
            if is_full && !request.is_empty() {
                requests.push(std::mem::take(&mut request));
                payments = 0;
            }
            payments = payments.saturating_add(waiting.payments);
            request.extend_from_slice(&waiting.versions);
        }
        if !request.is_empty() {
            requests.push(request);
        }
        requests
    }

    fn mined(&self, receipt: Receipt, head: u64) {
        // A block above the newest one that we were told of is not to be counted on yet.
        let above = head.checked_sub(receipt.block_number);
        let depth = above.map_or(0, |above| above.saturating_add(1));
        let mut state = self.lock();
        let Some(id) = state.by_hash.get(&receipt.transaction_hash).copied() else {
            return;
        };
        if depth < self.confirmations {
            if let Some(waiting) = state.waiting.get_mut(&id) {
                waiting.shallow = Some(receipt.transaction_hash);
            }
            return;
        }
        drop(state);
        self.tell_last(id, News::Mined { receipt, head });
    }

    fn not_mined(&self, hash: &Word) {
        let mut state = self.lock();
        let id = state.by_hash.get(hash).copied();
        if let Some(waiting) = id.and_then(|id| state.waiting.get_mut(&id))
            && waiting.shallow == Some(*hash)
        {
            waiting.shallow = None;
        }
    }

    /// Tells those whom blocks have passed by.
    fn tell_of_blocks(&self, head: u64) {
        let mut state = self.lock();
        state.head = Some(head);
        for waiting in state.waiting.values_mut() {
            let told_at = *waiting.told_at.get_or_insert(head);
            let is_sent = waiting.resend_at.is_some() && waiting.shallow.is_none();
            if is_sent && head >= told_at.saturating_add(STUCK_BLOCKS) {
                waiting.told_at = Some(head);
                // Nobody listens where the program is shutting down.
                let _ = waiting.news.send(News::Waiting);
            }
        }
    }

    /// Sends again what is in no block, and tells of what is no longer worth sending.
    async fn resend(&self, head: u64) -> Result<(), RpcError> {
        let due = self.due();
        for due in due.chunks(SENDS_PER_REQUEST) {
            let calls: Vec<Call> = due.iter().map(|(_, tx)| Call::send_raw(&tx.raw)).collect();
            let results = self.rpc.batch(&calls).await?;
            for ((id, tx), result) in due.iter().zip(results) {
                self.resent(*id, &tx.hash, result, head).await;
            }
        }
        Ok(())
    }

    async fn resent(&self, id: Watched, hash: &Word, result: Found, head: u64) {
        match result {
            Ok(_) => tracing::info!(%hash, "sent again"),
            Err(RpcError::Refused { message, .. }) if is_known(&message) => {}
            Err(RpcError::Refused { message, .. }) if is_nonce_used(&message) => {
                // By one of its versions, or by another? Asked after the nonce was used, missing
                // receipts are an answer.
                let versions = self.versions(id);
                let is_asked = self.collect(vec![versions.clone()], head).await.is_ok();
                let mut is_mined = !is_asked;
                for hash in &versions {
                    is_mined = is_mined || self.is_mined(hash).await;
                }
                if !is_mined {
                    self.tell_last(id, News::Displaced);
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

    /// What has to be sent again now. Followers of what has expired are told instead.
    fn due(&self) -> Vec<(Watched, SignedTx)> {
        let (now, now_s) = (Instant::now(), self.clock.now_s());
        let mut due = Vec::new();
        for (id, waiting) in &mut self.lock().waiting {
            if waiting.shallow.is_some() || waiting.resend_at.is_none_or(|at| at > now) {
                continue;
            }
            waiting.resend_pause = (waiting.resend_pause * 2).min(RESEND_PAUSE_MAX);
            waiting.resend_at = Some(now + waiting.resend_pause);
            if now_s > waiting.expires_s {
                let _ = waiting.news.send(News::Waiting);
            } else {
                due.push((*id, waiting.latest.clone()));
            }
        }
        due
    }

    fn versions(&self, id: Watched) -> Vec<Word> {
        let state = self.lock();
        let waiting = state.waiting.get(&id);
        waiting.map_or_else(Vec::new, |waiting| waiting.versions.clone())
    }

    fn tell_last(&self, id: Watched, news: News) {
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.remove(&id) {
            for hash in &waiting.versions {
                state.by_hash.remove(hash);
            }
            // Nobody listens where the program is shutting down.
            let _ = waiting.news.send(news);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn receipt_call(hash: &Word) -> Call {
    Call::new("eth_getTransactionReceipt", json!([hash]))
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
