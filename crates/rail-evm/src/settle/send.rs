//! Hands a signed transaction over and follows it to its end, in tasks that outlive the caller.

use std::sync::Arc;

use farebox_core::rail::Refusal;
use tracing::Instrument;

use super::fees::Fee;
use super::nonces::Lease;
use super::refusal::{NotTaken, not_taken};
use super::seats::Seat;
use super::tx::SignedTx;
use super::watcher::Fate;
use super::{Settler, ours, pending};
use crate::handle::EvmHandle;
use crate::rpc::{Quantity, SendError};

/// How handing over ended.
pub(super) enum Handed {
    /// A node has the transaction, or may have it.
    Over,
    /// Nothing left; try again with another nonce or fee.
    Again(Seat),
    /// Nothing left, and it is no use to try again.
    Refused(Refusal),
}

impl Settler {
    /// Hands the transaction over in a task of its own, so that a caller who goes away leaves
    /// nothing half sent.
    pub(super) async fn send(
        self: &Arc<Self>,
        tx: SignedTx,
        lease: Lease,
        seat: Seat,
        handle: EvmHandle,
    ) -> Handed {
        let settler = Arc::clone(self);
        let task = async move { settler.send_now(tx, lease, seat, handle).await };
        let task = tokio::spawn(task.in_current_span());
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
        if let Err((why, message)) = self.broadcast(&tx).await {
            self.watcher.forget(&tx.hash);
            return self.not_taken(why, &message, lease, seat).await;
        }
        tracing::info!(hash = %tx.hash, nonce = lease.nonce(), "sent");
        lease.mark_used();
        self.watcher.sent(&tx.hash);
        let settler = Arc::clone(&self);
        let follow = async move {
            let fate = told.await;
            settler.follow(fate.ok(), tx.fee, lease, seat, handle).await;
        };
        tokio::spawn(follow.in_current_span());
        Handed::Over
    }

    /// Gives a transaction to the chain. `Ok` means that a node has it or may have it: a lost
    /// reply is watched and sent again as if it had arrived. `Err` means that none has it.
    pub(super) async fn broadcast(&self, tx: &SignedTx) -> Result<(), (NotTaken, String)> {
        let (why, message) = match self.rpc.send_raw(&tx.raw).await {
            Ok(()) => return Ok(()),
            Err(SendError::MayBeSent(error)) => (NotTaken::Unclear, error.to_string()),
            Err(SendError::NotSent(error)) => (NotTaken::Other, error.to_string()),
            Err(SendError::Refused { message }) => (not_taken(&message), message),
        };
        tracing::warn!(hash = %tx.hash, ?why, message, "a transaction was not simply taken");
        match why {
            NotTaken::Known | NotTaken::Unclear => Ok(()),
            why => Err((why, message)),
        }
    }

    async fn not_taken(
        &self,
        why: NotTaken,
        message: &str,
        mut lease: Lease,
        seat: Seat,
    ) -> Handed {
        match why {
            NotTaken::NonceUsed | NotTaken::Occupied => {
                let count = self.rpc.one::<Quantity>(self.count_call()).await;
                let count = count.ok().and_then(|q| u64::try_from(q.0).ok());
                // A node whose count says otherwise is not believed: skipping a free nonce would
                // hold up everything above it. Nor is one below it known to be used where this
                // one only waits, so that without a count nothing is skipped.
                let is_gone = why == NotTaken::NonceUsed;
                if count.map_or(is_gone, |count| count > lease.nonce()) {
                    lease.mark_used();
                    self.nonces
                        .skip_to(lease.nonce(), count.unwrap_or_default());
                }
                Handed::Again(seat)
            }
            NotTaken::Underpriced => {
                self.fees.forget().await;
                Handed::Again(seat)
            }
            NotTaken::Unfunded => Handed::Refused(self.unfunded()),
            NotTaken::Other | NotTaken::Known | NotTaken::Unclear => {
                Handed::Refused(ours(&format!("the node did not take it: {message}")))
            }
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
            Some(Fate::Displaced) | None => {
                self.ask(&handle, "latest").await.unwrap_or_else(pending)
            }
            Some(Fate::Expired) => {
                seat.publish(pending());
                // The payment is over, but everything behind its nonce waits for it.
                self.use_up(lease, Some(fee)).await;
                return;
            }
        };
        tracing::info!(?outcome, "settlement ended");
        drop(lease);
        seat.publish(outcome);
    }
}
