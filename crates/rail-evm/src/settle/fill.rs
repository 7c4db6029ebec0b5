//! Uses up nonces that no payment will use, because everything above them waits: gaps left by
//! transactions that were refused.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use farebox_core::rail::Outcome;

use super::lanes::Lane;
use super::nonces::Lease;
use super::trip::{Trip, Way};
use super::{Settler, ours};

/// What a transfer of nothing costs on most chains.
pub(super) const GAS_TRANSFER: u64 = 21_000;
/// How long a gap may wait for a payment to fill it.
const GAP_PATIENCE: Duration = Duration::from_millis(250);
/// Pause after the first try that failed; each further one is twice as long.
const FILL_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const FILL_PAUSE_MAX: Duration = Duration::from_secs(32);

/// Fills gaps that no payment fills in time, for as long as there is a settler.
pub(super) async fn fill_gaps(lane: Arc<Lane>, settler: Weak<Settler>) {
    loop {
        lane.nonces.gap_appeared().await;
        tokio::time::sleep(GAP_PATIENCE).await;
        let mut pause = FILL_PAUSE;
        while let Some(lease) = lane.nonces.lease_gap() {
            let Some(settler) = settler.upgrade() else {
                return;
            };
            let nonce = lease.nonce();
            let used = settler.use_up(Arc::clone(&lane), lease).await;
            drop(settler);
            if let Err(why) = used {
                // Back among the gaps, where a payment may take it meanwhile.
                tracing::warn!(nonce, why, "nonce not used up");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(FILL_PAUSE_MAX);
            }
        }
    }
}

impl Settler {
    /// Sends nothing to ourselves with the leased nonce.
    async fn use_up(self: &Arc<Self>, lane: Arc<Lane>, lease: Lease) -> Result<(), String> {
        let fee = self.fee().await.map_err(|e| e.message)?;
        let way = Way::Nothing(self.gas_of_nothing(lane.address()).await);
        // Nobody's payment, so that no limit stands in its way.
        let (hold, _) = self.gas.reserve(&[], 0);
        let mut trip = Trip {
            lane,
            lease,
            payments: Vec::new(),
            way,
            hold,
            fee,
            sent_at: Instant::now(),
            underway: None,
            stuck: None,
        };
        let nobody = |error| Outcome::Rejected(ours(&error));
        let Some(tx) = self.sign(&mut trip, fee, nobody).await else {
            return Ok(());
        };
        let (nonces, nonce) = (Arc::clone(&trip.lane.nonces), trip.lease.nonce());
        self.hand_over(trip, tx).await;
        match nonces.is_gap(nonce) {
            true => Err("the node did not take it".to_owned()),
            false => Ok(()),
        }
    }
}
