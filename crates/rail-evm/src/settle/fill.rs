//! Uses up nonces that no payment will use, because everything above them waits: gaps left by
//! transactions that were refused, and orphans that nobody follows.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use farebox_core::rail::Outcome;

use super::lanes::Lane;
use super::nonces::Lease;
use super::refusal::NotTaken;
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
            tracing::info!(nonce, "using up a nonce that holds up what is above it");
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
        let stake = lane.stake(way.most(0, fee));
        let mut trip = Trip {
            lane,
            stake,
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
        loop {
            let fee = trip.fee;
            let Some(tx) = self.sign(&mut trip, fee, nobody).await else {
                return Ok(());
            };
            let Some(untaken) = self.give(trip, tx).await else {
                return Ok(());
            };
            trip = untaken.trip;
            match untaken.why {
                NotTaken::NonceUsed => {
                    self.skip(NotTaken::NonceUsed, &mut trip).await;
                    let is_settled = trip.lease.is_used();
                    return is_settled.then_some(()).ok_or(untaken.message);
                }
                // What waits there pays more, though nobody knows how much.
                NotTaken::Occupied => {
                    let fee = self.fees.to_outbid(trip.fee);
                    trip.fee = fee.ok_or("the next fee is above the cap; wait, or raise it")?;
                    trip.stake.raise(trip.way.most(0, trip.fee));
                }
                NotTaken::Underpriced => {
                    self.fees.forget();
                    return Err(untaken.message);
                }
                _ => return Err(untaken.message),
            }
        }
    }
}
