//! Follows a transaction to its end, and replaces it where blocks pass it by: the same nonce, a
//! higher fee, without the payments that have expired meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::fees::Fee;
use super::refusal::NotTaken;
use super::trip::{Trip, Way, party};
use super::watcher::{News, Watched};
use super::{Settler, pending};
use crate::rpc::Quantity;

/// A transaction whose fee covers the base fee waits this long before it pays more: blocks may be
/// full for a moment, and every replacement is a line in each journal.
const PATIENCE: Duration = Duration::from_secs(12);

/// Counts a transaction among those that blocks pass by.
pub(super) struct Stuck(Arc<AtomicUsize>);

impl Stuck {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Settler {
    /// Waits for a transaction's end, however long.
    pub(super) async fn follow(
        self: Arc<Self>,
        mut trip: Trip,
        id: Watched,
        mut news: UnboundedReceiver<News>,
    ) {
        while let Some(heard) = news.recv().await {
            match heard {
                News::Waiting => self.reconsider(&mut trip, id).await,
                News::Mined { receipt, head } => return self.arrived(trip, receipt, head).await,
                News::Displaced => return self.displaced(trip).await,
            }
        }
    }

    /// Decides whether a transaction that waits should be replaced.
    async fn reconsider(&self, trip: &mut Trip, id: Watched) {
        let now_s = self.clock.now_s();
        let is_live = |expiry: u64| expiry > now_s;
        let is_over = !trip.way.is_nothing()
            && !trip
                .payments
                .iter()
                .any(|p| is_live(p.handle.transfer.valid_before));
        if !is_over && !self.is_passed_by(trip).await {
            return;
        }
        if trip.stuck.is_none() {
            trip.stuck = Some(Stuck::new(&self.stuck));
            self.stuck_alarm.raise(format!(
                "transaction {} of {} waits while blocks go by",
                trip.lease.nonce(),
                trip.own()
            ));
        }
        self.adopt_orphans(trip).await;
        let (live, expired): (Vec<_>, Vec<_>) = std::mem::take(&mut trip.payments)
            .into_iter()
            .partition(|p| is_live(p.handle.transfer.valid_before));
        trip.payments = live;
        for payment in expired {
            // An older version may still be mined in time: only a final block ends it.
            payment.finish(pending());
        }
        if trip.payments.is_empty() && !trip.way.is_nothing() {
            // Everything behind its nonce waits for it.
            trip.way = Way::Nothing(self.gas_of_nothing(trip.own()).await);
        }
        if let Err(why) = self.replace(trip, id).await {
            tracing::warn!(
                nonce = trip.lease.nonce(),
                why,
                "a transaction waits and is not replaced"
            );
        }
    }

    /// Whether it pays too little, as far as can be told.
    async fn is_passed_by(&self, trip: &Trip) -> bool {
        if trip.sent_at.elapsed() >= PATIENCE {
            return true;
        }
        let _ = self.fees.refresh(&self.rpc).await;
        self.fees.base().is_some_and(|base| trip.fee.max < base)
    }

    /// Where the lowest transaction that we know of waits for one that we do not know of, the
    /// filler takes that one's nonce: nobody else sends it again or pays more for it.
    async fn adopt_orphans(&self, trip: &Trip) {
        let nonces = &trip.lane.nonces;
        let nonce = trip.lease.nonce();
        if nonces.lowest() != Some(nonce) {
            return;
        }
        let mined = self.rpc.one::<Quantity>(trip.lane.mined_call()).await;
        // Without an answer it is asked again when more blocks have gone by.
        let Some(mined) = mined.ok().and_then(|count| u64::try_from(count.0).ok()) else {
            return;
        };
        let adopted = nonces.adopt_orphans(mined, nonce);
        if adopted > 0 {
            tracing::warn!(
                nonce,
                mined,
                adopted,
                "nobody follows nonces below this one"
            );
        }
    }

    async fn replace(&self, trip: &mut Trip, id: Watched) -> Result<(), String> {
        let now = self.fees.refresh(&self.rpc).await;
        // Where nobody can tell what others pay, a little more than before.
        let now = now.unwrap_or(Fee { max: 0, tip: 0 });
        let fee = self
            .fees
            .to_replace(trip.fee, now)
            .ok_or("the next fee is above the cap; wait, or raise it")?;
        let most = trip.way.most_each(trip.payments.len(), fee);
        let going_on: Vec<_> = trip.payments.iter().map(party).collect();
        trip.hold.raise(&going_on, most)?;
        trip.stake.raise(trip.way.most(trip.payments.len(), fee));
        let Some(tx) = self.sign(trip, fee, |_| pending()).await else {
            return Err("no payment could be written down".to_owned());
        };
        // Before it leaves, so that no block can slip between.
        self.watcher.add(id, &tx);
        match self.broadcast(&tx).await {
            Ok(()) => {
                tracing::info!(hash = %tx.hash, nonce = trip.lease.nonce(), payments = trip.payments.len(), "replaced");
                trip.fee = fee;
                trip.sent_at = Instant::now();
                self.watcher.sent(id, &tx, trip.expires_s());
                Ok(())
            }
            // One of its versions has made it; the watcher finds out which.
            Err((NotTaken::NonceUsed, _)) => Ok(()),
            Err((why, message)) => {
                if why == NotTaken::Occupied {
                    // The node asks for more than it says.
                    trip.fee = fee;
                }
                Err(message)
            }
        }
    }
}
