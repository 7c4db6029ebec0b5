//! Watches all transactions of one chain together: one question for every 256 of them, however
//! many settlements wait, and never one per payment.
//!
//! A transaction is registered before it is sent. Whoever registered it hears of it once: when it
//! is in a block that is sure enough, or when no block can hold it any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farebox_wire::svm::{SvmBlockhash, SvmSignature};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::alarm::Alarm;
use crate::expiry::{Known, is_over};
use crate::rpc::{At, Call, Level, Rpc, RpcError, Status};

/// Signatures per question: as many as nodes take.
const STATUSES_PER_CALL: usize = 256;
/// Between two questions to a node on this machine, which may run blocks at once.
const PAUSE_LOCAL: Duration = Duration::from_millis(20);
/// Between two questions to any other: a slot.
const PAUSE: Duration = Duration::from_millis(400);
/// While the node does not answer.
const PAUSE_FAILING: Duration = Duration::from_secs(1);
/// Between two questions whether blocks can still hold what none holds.
const EXPIRY_PAUSE: Duration = Duration::from_secs(2);
/// Blockhashes that are asked about in one round; the others wait for the next.
const EXPIRIES_PER_ROUND: usize = 16;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    /// It is in a block.
    Landed {
        /// Why it did nothing.
        error: Option<Value>,
        is_final: bool,
    },
    /// It is in none, and none can hold it any more.
    Over,
}

/// What is said of a status, once it is sure enough.
pub(super) fn landed(status: Status, enough: Level) -> Option<News> {
    let level = status.level();
    // What failed has cost its fee, and only a block that stays tells.
    let enough = match status.err {
        Some(_) => Level::Confirmed,
        None => enough,
    };
    (level >= enough).then_some(News::Landed {
        error: status.err,
        is_final: level == Level::Finalized,
    })
}

/// The transactions that are waited for.
pub(super) struct Watcher {
    rpc: Arc<Rpc>,
    enough: Level,
    waiting: Mutex<HashMap<SvmSignature, Waiting>>,
    wake: Notify,
    /// That the node cannot be asked.
    pub(super) alarm: Alarm,
}

struct Waiting {
    blockhash: SvmBlockhash,
    seen_s: u64,
    expiry_at: Instant,
    news: watch::Sender<Option<News>>,
}

/// A place among those who wait; dropped, it is given up.
pub(super) struct Watched {
    watcher: Arc<Watcher>,
    signature: SvmSignature,
    news: watch::Receiver<Option<News>>,
}

impl Watched {
    /// The news, when it comes.
    pub(super) async fn news(&mut self) -> Option<News> {
        let news = self.news.wait_for(Option::is_some).await.ok()?;
        news.clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watcher.lock().remove(&self.signature);
    }
}

impl Watcher {
    /// `enough` is how sure a block must be.
    pub(super) fn new(rpc: Arc<Rpc>, enough: Level) -> Arc<Self> {
        Arc::new(Self {
            rpc,
            enough,
            waiting: Mutex::default(),
            wake: Notify::new(),
            alarm: Alarm::default(),
        })
    }

    /// Waits for a transaction that is about to be sent, and was first seen at `seen_s`.
    pub(super) fn register(
        self: &Arc<Self>,
        signature: SvmSignature,
        blockhash: SvmBlockhash,
        seen_s: u64,
    ) -> Watched {
        let (sender, news) = watch::channel(None);
        let now = Instant::now();
        let waiting = Waiting {
            blockhash,
            seen_s,
            expiry_at: now.checked_add(EXPIRY_PAUSE).unwrap_or(now),
            news: sender,
        };
        self.lock().insert(signature, waiting);
        self.wake.notify_one();
        Watched {
            watcher: Arc::clone(self),
            signature,
            news,
        }
    }

    /// How many are waited for.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Looks for as long as somebody waits. Runs until it is aborted.
    pub(super) async fn run(self: Arc<Self>) {
        let usual = if self.rpc.is_local() {
            PAUSE_LOCAL
        } else {
            PAUSE
        };
        loop {
            if self.count() == 0 {
                self.wake.notified().await;
            }
            let pause = match self.look().await {
                Ok(()) => {
                    self.alarm.clear();
                    usual
                }
                Err(error) => {
                    self.alarm.raise(format!(
                        "what became of the transactions on their way cannot be asked: {error}"
                    ));
                    PAUSE_FAILING
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self) -> Result<(), RpcError> {
        let signatures: Vec<SvmSignature> = self.lock().keys().copied().collect();
        for signatures in signatures.chunks(STATUSES_PER_CALL) {
            let call = Call::statuses(signatures, false);
            let statuses: At<Vec<Option<Status>>> = self.rpc.one(call).await?;
            for (signature, status) in signatures.iter().zip(statuses.value) {
                let news = status.and_then(|status| landed(status, self.enough));
                if let Some(news) = news {
                    self.tell(signature, news);
                }
            }
        }
        self.look_for_expired().await
    }

    /// Asks about those that have been in no block for a while, each blockhash once.
    async fn look_for_expired(&self) -> Result<(), RpcError> {
        let now = Instant::now();
        let mut due: BTreeMap<[u8; 32], (u64, Vec<SvmSignature>)> = BTreeMap::new();
        for (signature, waiting) in self.lock().iter_mut() {
            if waiting.expiry_at > now
                || (due.len() >= EXPIRIES_PER_ROUND && !due.contains_key(&waiting.blockhash.0))
            {
                continue;
            }
            waiting.expiry_at = now.checked_add(EXPIRY_PAUSE).unwrap_or(now);
            let (seen_s, signatures) = due.entry(waiting.blockhash.0).or_default();
            // Whoever saw it last knows it best: the final chain must be later than that.
            *seen_s = waiting.seen_s.max(*seen_s);
            signatures.push(*signature);
        }
        for (hash, (seen_s, signatures)) in due {
            let known = Known::SinceTime(seen_s);
            let Some(slot) = is_over(&self.rpc, SvmBlockhash(hash), known).await? else {
                continue;
            };
            self.ask_last(&signatures, slot).await?;
        }
        Ok(())
    }

    /// Asks once more about transactions that no block can hold any more, as of `slot`.
    async fn ask_last(&self, signatures: &[SvmSignature], slot: u64) -> Result<(), RpcError> {
        for signatures in signatures.chunks(STATUSES_PER_CALL) {
            let call = Call::statuses(signatures, true);
            let statuses: At<Vec<Option<Status>>> = self.rpc.one(call).await?;
            if statuses.context.slot < slot {
                return Err(RpcError::garbage("the node has fallen behind itself"));
            }
            for (signature, status) in signatures.iter().zip(statuses.value) {
                match status {
                    None => self.tell(signature, News::Over),
                    // It came into one of the last blocks; the next look tells.
                    Some(status) => {
                        if let Some(news) = landed(status, self.enough) {
                            self.tell(signature, news);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn tell(&self, signature: &SvmSignature, news: News) {
        if let Some(waiting) = self.lock().remove(signature) {
            waiting.news.send_replace(Some(news));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SvmSignature, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
