//! What happens at the node, taken from ldk-node's queue: first written to our records, then told to those who listen,
//! and only then confirmed. A crash in between tells it again; the records know it already.

use std::sync::Arc;
use std::time::Duration;

use ldk_node::lightning::events::PaymentFailureReason;
use ldk_node::lightning::ln::channelmanager::PaymentId;
use ldk_node::lightning_types::payment::{PaymentHash as LdkHash, PaymentPreimage};
use ldk_node::payment::{PaymentDirection, PaymentKind, PaymentStatus};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::decode::now;
use crate::error::Error;
use crate::funds::ChannelId;
use crate::hash::PaymentHash;
use crate::invoices::Settlement;
use crate::node::Inner;
use crate::open::Stage;
use crate::payments::FailReason;
use crate::records::{Sent, SentState};

/// How often expired invoices are forgotten where no new ones are made.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// A pause after the storage failed, before the same event is taken again.
const RETRY: Duration = Duration::from_secs(1);
/// Characters of a reason that a peer may have written.
const REASON_CHARS: usize = 200;

/// Something that happened. What it says is in the records before it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// One of our invoices was paid.
    Received(Settlement),
    /// A payment of an invoice that holds has arrived: claim it or cancel it.
    Held {
        /// Which.
        payment_hash: PaymentHash,
        /// What arrived, in msat.
        amount_msat: u64,
    },
    /// A payment of ours has settled.
    Sent {
        /// Which.
        payment_hash: PaymentHash,
        /// What the way cost, in msat.
        fee_msat: u64,
    },
    /// A payment of ours has failed: no part of it can settle any more.
    SendFailed {
        /// Which.
        payment_hash: PaymentHash,
        /// Why.
        reason: FailReason,
    },
    /// A channel is on its way, or can be used.
    ChannelChanged,
    /// A channel is closed, or did not come about.
    ChannelClosed {
        /// Which.
        id: ChannelId,
        /// In LDK's words.
        reason: String,
    },
    /// So many events were missed, because nobody listened.
    Missed(u64),
}

/// The events of a node from some moment on.
#[derive(Debug)]
pub struct Events(pub(crate) Option<broadcast::Receiver<Event>>);

impl Events {
    /// The next one; `None` once the node is stopped.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Takes events until the node stops.
pub(crate) async fn follow(inner: Arc<Inner>, mut stopped: watch::Receiver<bool>) {
    let mut prune = tokio::time::interval(PRUNE_EVERY);
    loop {
        let event = tokio::select! {
            biased;
            () = told_to_stop(&mut stopped) => return,
            _ = prune.tick() => {
                let inner = Arc::clone(&inner);
                // A panic is told by the panic hook; the next round tries again.
                let _ = tokio::task::spawn_blocking(move || inner.prune(usize::MAX)).await;
                continue;
            }
            event = inner.ldk.next_event_async() => event,
        };
        let taken = {
            let inner = Arc::clone(&inner);
            tokio::task::spawn_blocking(move || {
                inner.take(event)?;
                Ok::<(), Error>(inner.ldk.event_handled()?)
            })
        };
        let error = match taken.await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        tracing::error!(
            error,
            "an event of the node could not be recorded; trying again"
        );
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// A stranger's text as it may be shown: one line, short.
fn plain(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(REASON_CHARS).collect()
}

/// Waits for the stop, or for the handle that would have told it to be gone.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stopped| *stopped).await);
}

impl Inner {
    /// Records an event, then tells it.
    fn take(&self, event: ldk_node::Event) -> Result<(), Error> {
        use ldk_node::Event as Ldk;
        match event {
            Ldk::PaymentReceived {
                payment_hash,
                amount_msat,
                ..
            } => self.received(PaymentHash(payment_hash.0), amount_msat),
            Ldk::PaymentClaimable {
                payment_hash,
                claimable_amount_msat,
                ..
            } => {
                self.arrived(PaymentHash(payment_hash.0), claimable_amount_msat);
                Ok(())
            }
            Ldk::PaymentSuccessful {
                payment_hash,
                payment_preimage,
                fee_paid_msat,
                ..
            } => self.sent(
                PaymentHash(payment_hash.0),
                payment_preimage,
                fee_paid_msat.unwrap_or_default(),
            ),
            Ldk::PaymentFailed {
                payment_hash: Some(payment_hash),
                reason,
                ..
            } => self.send_failed(PaymentHash(payment_hash.0), reason),
            Ldk::ChannelReady { .. } | Ldk::ChannelPending { .. } => {
                self.tell(Event::ChannelChanged);
                Ok(())
            }
            Ldk::ChannelClosed {
                user_channel_id,
                reason,
                ..
            } => {
                self.tell(Event::ChannelClosed {
                    id: ChannelId(user_channel_id.0),
                    reason: reason.map_or_else(String::new, |reason| plain(&reason.to_string())),
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn received(&self, hash: PaymentHash, amount_msat: u64) -> Result<(), Error> {
        let preimage = self
            .row(hash)
            .and_then(|kind| match kind {
                PaymentKind::Bolt11 { preimage, .. } => preimage,
                _ => None,
            })
            .map(|preimage| hex::encode(preimage.0));
        let at = now().as_secs();
        let Some(settlement) = self.records.settle(hash, amount_msat, at, preimage)? else {
            return Ok(());
        };
        if !self.open().set(hash, Stage::Paid, amount_msat) {
            self.open().insert(hash, amount_msat, at, Stage::Paid);
        }
        self.settled.send_replace(settlement.index);
        self.tell(Event::Received(settlement));
        Ok(())
    }

    /// A payment of an invoice that holds is there. What is cancelled or has expired goes back.
    fn arrived(&self, hash: PaymentHash, amount_msat: u64) {
        let mut open = self.open();
        let wanted = open.get(hash).is_some_and(|invoice| {
            matches!(invoice.stage, Stage::Hold | Stage::Held)
                && !self.is_past(invoice.expires_at_unix_s)
        });
        if wanted {
            open.set(hash, Stage::Held, amount_msat);
            drop(open);
            self.tell(Event::Held {
                payment_hash: hash,
                amount_msat,
            });
            return;
        }
        drop(open);
        self.send_back(hash);
    }

    /// Gives a held payment back to its payer.
    pub(crate) fn send_back(&self, hash: PaymentHash) {
        if let Err(error) = self.ldk.bolt11_payment().fail_for_hash(LdkHash(hash.0)) {
            tracing::warn!(payment_hash = %hash, %error, "a payment could not be sent back");
        }
    }

    fn sent(
        &self,
        hash: PaymentHash,
        preimage: Option<PaymentPreimage>,
        fee_msat: u64,
    ) -> Result<(), Error> {
        let Some(preimage) = preimage else {
            // Only events that older versions of ldk-node left behind have none; this storage was never theirs.
            tracing::error!(payment_hash = %hash, "a payment settled without a preimage");
            return Ok(());
        };
        // A success outranks everything, also a failure that was told before: the money has moved.
        let amount_msat = match self.records.sent(hash)? {
            Some(sent) => sent.amount_msat,
            None => self
                .ldk
                .payment(&PaymentId(hash.0))
                .and_then(|row| row.amount_msat)
                .unwrap_or_default(),
        };
        let state = SentState::Succeeded {
            preimage: hex::encode(preimage.0),
            fee_msat,
        };
        self.records.put_sent(hash, &Sent { amount_msat, state })?;
        self.forget_row(hash)?;
        self.tell(Event::Sent {
            payment_hash: hash,
            fee_msat,
        });
        Ok(())
    }

    fn send_failed(
        &self,
        hash: PaymentHash,
        reason: Option<PaymentFailureReason>,
    ) -> Result<(), Error> {
        let Some(mut sent) = self.records.sent(hash)? else {
            return self.forget_row(hash);
        };
        // LDK may tell a failure after a success; it means parts that were not needed.
        if sent.state != SentState::Sending {
            return self.forget_row(hash);
        }
        let reason = FailReason::of_ldk(reason);
        sent.state = SentState::Failed { reason, left: true };
        self.records.put_sent(hash, &sent)?;
        self.forget_row(hash)?;
        self.tell(Event::SendFailed {
            payment_hash: hash,
            reason,
        });
        Ok(())
    }

    fn tell(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }

    fn row(&self, hash: PaymentHash) -> Option<PaymentKind> {
        self.ldk.payment(&PaymentId(hash.0)).map(|row| row.kind)
    }

    /// Drops ldk-node's row of a payment: it keeps all rows in memory for ever, and ours says the same.
    pub(crate) fn forget_row(&self, hash: PaymentHash) -> Result<(), Error> {
        Ok(self.ldk.remove_payment(&PaymentId(hash.0))?)
    }

    /// Takes up ldk-node's rows after a start: decided ones are dropped, paid invoices stay as long as they could be paid
    /// again, and those that hold as long as any invoice lives.
    pub(crate) fn tidy_rows(&self) -> Result<(), Error> {
        let late = now()
            .as_secs()
            .saturating_add(u64::from(crate::invoices::MAX_EXPIRY_S));
        for row in self.ldk.list_payments() {
            let PaymentKind::Bolt11 { hash, preimage, .. } = row.kind else {
                continue;
            };
            let hash = PaymentHash(hash.0);
            match (row.direction, row.status) {
                (PaymentDirection::Inbound, PaymentStatus::Pending) if preimage.is_none() => {
                    let amount = row.amount_msat.unwrap_or_default();
                    let made = row.latest_update_timestamp;
                    let end = made.saturating_add(u64::from(crate::invoices::MAX_EXPIRY_S));
                    self.open().insert(hash, amount, end, Stage::Hold);
                }
                (PaymentDirection::Inbound, PaymentStatus::Succeeded) => {
                    let amount = row.amount_msat.unwrap_or_default();
                    self.open().insert(hash, amount, late, Stage::Paid);
                }
                (PaymentDirection::Inbound, _) => self.forget_row(hash)?,
                (PaymentDirection::Outbound, _) => {
                    let sending = self
                        .records
                        .sent(hash)?
                        .is_some_and(|sent| sent.state == SentState::Sending);
                    if !sending {
                        self.forget_row(hash)?;
                    }
                }
            }
        }
        Ok(())
    }
}
