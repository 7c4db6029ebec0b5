//! Uses up nonces that no payment will use, because everything above them waits: gaps left by
//! transactions that were refused, and payments that expired before a block took them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;

use super::Settler;
use super::alone::GAS_MAX;
use super::fees::Fee;
use super::nonces::{Lease, Nonces};
use super::refusal::NotTaken;
use super::tx::{Action, sign};
use crate::rpc::Quantity;

/// What a transfer of nothing costs on most chains.
const GAS_TRANSFER: u64 = 21_000;
/// How long a gap may wait for a payment to fill it.
const GAP_PATIENCE: Duration = Duration::from_millis(250);
/// Tries before the nonce goes back among the gaps; with doubling pauses about a minute.
const FILL_TRIES: u32 = 6;
/// How long a block may take to include a transaction before it offers more.
const BLOCK_PATIENCE: Duration = Duration::from_secs(60);
/// Pause after the first try.
const FILL_PAUSE: Duration = Duration::from_secs(1);

/// Fills gaps that no payment fills in time, for as long as there is a settler.
pub(super) async fn fill_gaps(nonces: Arc<Nonces>, settler: Weak<Settler>) {
    loop {
        nonces.gap_appeared().await;
        tokio::time::sleep(GAP_PATIENCE).await;
        while let Some(lease) = nonces.lease_gap() {
            let Some(settler) = settler.upgrade() else {
                return;
            };
            tokio::spawn(async move { settler.use_up(lease, None).await });
        }
    }
}

impl Settler {
    /// Sends nothing to ourselves with the leased nonce, in place of a transaction that paid
    /// `replaced`, where there was one.
    pub(super) async fn use_up(&self, mut lease: Lease, mut replaced: Option<Fee>) {
        // Whatever had this nonce can pay nobody any more, so that it may be given back.
        lease.mark_unused();
        let mut pause = FILL_PAUSE;
        for _ in 0..FILL_TRIES {
            match self.try_use_up(&mut lease, &mut replaced).await {
                Ok(()) => return,
                Err(why) => tracing::warn!(nonce = lease.nonce(), why, "nonce not used up"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        // Back among the gaps, where it is tried again.
        lease.mark_unused();
    }

    async fn try_use_up(
        &self,
        lease: &mut Lease,
        replaced: &mut Option<Fee>,
    ) -> Result<(), String> {
        let own = self.key.address();
        let now = self.fees.current(&self.rpc).await.map_err(|e| e.message)?;
        let fee = replaced.map_or(now, |replaced| replaced.to_replace(now));
        let estimate = self.rpc.one::<Quantity>(self.estimate_call(own, &[])).await;
        let gas_limit = estimate
            .ok()
            .and_then(|gas| u64::try_from(gas.0).ok())
            .map_or(GAS_TRANSFER, |gas| gas.clamp(GAS_TRANSFER, GAS_MAX));
        let action = Action {
            to: own,
            data: Vec::new(),
            gas_limit,
        };
        let tx = sign(&self.key, self.chain.number, lease.nonce(), fee, action);
        let told = self.watcher.register(tx.clone(), u64::MAX);
        if let Err((why, message)) = self.broadcast(&tx).await {
            self.watcher.forget(&tx.hash);
            if why == NotTaken::NonceUsed {
                lease.mark_used();
                return Ok(());
            }
            if why == NotTaken::Occupied {
                *replaced = Some(fee);
            }
            return Err(message);
        }
        lease.mark_used();
        self.watcher.sent(&tx.hash);
        tracing::info!(nonce = lease.nonce(), hash = %tx.hash, "nonce used up");
        match timeout(BLOCK_PATIENCE, told).await {
            // It closes without a word only at shutdown.
            Ok(_) => Ok(()),
            Err(_) => {
                self.watcher.forget(&tx.hash);
                *replaced = Some(fee);
                Err("no block took it; it pays too little".into())
            }
        }
    }
}
