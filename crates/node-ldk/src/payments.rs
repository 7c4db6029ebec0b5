//! Paying: at most one attempt that leaves the node for each payment hash, whoever asks and however often.
//!
//! ldk-node alone does not keep that promise in what it tells: of two calls at once the second may mark a payment as failed
//! while the first is under way (it looks for a route before it looks for twins), a row that it writes after sending may be
//! lost in a crash, and LDK forgets a settled payment's name after minutes. So an intent of ours is durable before LDK is
//! asked, and LDK's answer is read in its light.

use std::time::Duration;

use ldk_node::NodeError;
use ldk_node::lightning::events::PaymentFailureReason;
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning_invoice::Bolt11Invoice;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::decode;
use crate::error::Error;
use crate::events::Event;
use crate::hash::{PaymentHash, Preimage};
use crate::node::{Inner, Node};
use crate::records::{Sent, SentState};

/// Where one of our payments stands.
#[derive(Debug, PartialEq, Eq)]
pub enum PayState {
    /// Nothing was ever sent for this hash.
    NotFound,
    /// It may settle. Only asking again tells.
    InFlight,
    /// It has settled.
    Succeeded {
        /// Proof of payment.
        preimage: Preimage,
        /// What the way cost, in msat.
        fee_msat: u64,
        /// What the payee got, in msat.
        amount_msat: u64,
    },
    /// It has failed, and no part of it can settle any more.
    Failed {
        /// Why.
        reason: FailReason,
    },
}

/// Why a payment failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// Nothing left: no way to the payee within balance and fee cap. The one failure after which the same invoice may be
    /// tried again.
    #[error("no way to the payee has room for this amount within the fee cap; nothing was sent")]
    NoRoute,
    /// The payee refused.
    #[error("the payee refused the payment; ask it for a new invoice")]
    Rejected,
    /// All ways were tried, or the time for trying was over.
    #[error("every way to the payee failed; ask it for a new invoice and try later")]
    RetriesExhausted,
    /// The invoice expired meanwhile.
    #[error("the invoice expired before a way was found; ask for a new one")]
    Expired,
    /// Any other reason of the node.
    #[error("the node gave the payment up; ask the payee for a new invoice")]
    Other,
}

impl FailReason {
    pub(crate) const fn of_ldk(reason: Option<PaymentFailureReason>) -> Self {
        match reason {
            Some(PaymentFailureReason::RecipientRejected) => Self::Rejected,
            Some(PaymentFailureReason::RetriesExhausted) => Self::RetriesExhausted,
            Some(PaymentFailureReason::RouteNotFound) => Self::RetriesExhausted,
            Some(PaymentFailureReason::PaymentExpired) => Self::Expired,
            _ => Self::Other,
        }
    }
}

impl Node {
    /// Pays an invoice and waits for the end, at most `timeout`. A second call for the same payment hash, also after a
    /// restart, sends nothing while the first may settle or has settled: it waits for the same end.
    ///
    /// After the time it is [`PayState::InFlight`], and goes on. `max_fee_msat` is a cap on what all ways together cost.
    ///
    /// # Errors
    /// No invoice, another network, no amount, expired, our own; or the node is stopped. Nothing was sent by this call.
    pub async fn pay(
        &self,
        bolt11: &str,
        max_fee_msat: u64,
        timeout: Duration,
    ) -> Result<PayState, Error> {
        let deadline = Instant::now().checked_add(timeout);
        let (invoice, amount_msat) = decode::payable(bolt11, self.network())?;
        let hash = decode::hash_of(&invoice);
        // Before it is begun, so that its end is not missed.
        let mut events = self.events();
        let begun = self
            .blocking(move |inner| inner.begin(&invoice, amount_msat, max_fee_msat))
            .await?;
        if begun != PayState::InFlight {
            return Ok(begun);
        }
        loop {
            let event = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, events.next()).await,
                None => Ok(events.next().await),
            };
            match event {
                Ok(Some(
                    Event::Sent { payment_hash, .. } | Event::SendFailed { payment_hash, .. },
                )) if payment_hash != hash => {}
                Ok(Some(Event::Sent { .. } | Event::SendFailed { .. } | Event::Missed(_))) => {
                    let state = self.lookup_payment(hash).await?;
                    if state != PayState::InFlight {
                        return Ok(state);
                    }
                }
                Ok(Some(_)) => {}
                // Over time, or the node stops: what was sent goes on.
                Ok(None) | Err(_) => return Ok(PayState::InFlight),
            }
        }
    }

    /// Where a payment of ours stands.
    ///
    /// # Errors
    /// The storage failed, or the node is stopped.
    pub async fn lookup_payment(&self, payment_hash: PaymentHash) -> Result<PayState, Error> {
        self.blocking(move |inner| {
            let sent = inner.records.sent(payment_hash)?;
            Ok(sent.map_or(PayState::NotFound, |sent| sent.to_state()))
        })
        .await
    }
}

impl Inner {
    /// Sends, unless it was sent.
    fn begin(
        &self,
        invoice: &Bolt11Invoice,
        amount_msat: u64,
        max_fee_msat: u64,
    ) -> Result<PayState, Error> {
        let hash = decode::hash_of(invoice);
        let _seat = self.seat(hash);
        if let Some(sent) = self.records.sent(hash)? {
            match sent.state {
                SentState::Failed { left: false, .. } => {}
                _ => return Ok(sent.to_state()),
            }
        }
        if let Some(ago) = decode::expired_for(invoice) {
            return Err(Error::InvoiceExpired(ago.as_secs()));
        }
        if invoice.get_payee_pub_key() == self.ldk.node_id() {
            return Err(Error::Invoice("it is this node's own".to_owned()));
        }
        let intent = Sent {
            amount_msat,
            state: SentState::Sending,
        };
        self.records.put_sent(hash, &intent)?;
        let limits = RouteParametersConfig {
            max_total_routing_fee_msat: Some(max_fee_msat),
            ..RouteParametersConfig::default()
        };
        match self.ldk.bolt11_payment().send(invoice, Some(limits)) {
            Ok(_) => self.sent_off(hash),
            // LDK looks for a route, an expiry and a size first, and gives up before it makes or sends anything.
            Err(NodeError::PaymentSendingFailed) => {
                self.never_left(hash, intent, FailReason::NoRoute)
            }
            Err(error @ NodeError::NotRunning) => {
                self.never_left(hash, intent, FailReason::Other)?;
                Err(error.into())
            }
            Err(NodeError::InvalidInvoice | NodeError::InvalidAmount) => {
                self.never_left(hash, intent, FailReason::Other)
            }
            // A twin that LDK knows, or a storage that failed after it was sent: it may settle.
            Err(error) => {
                tracing::warn!(payment_hash = %hash, %error, "a payment may be under way");
                Ok(PayState::InFlight)
            }
        }
    }

    /// It has left. Its end may already be recorded; then ldk-node has just written a row that nobody decides any more.
    fn sent_off(&self, hash: PaymentHash) -> Result<PayState, Error> {
        let state = match self.records.sent(hash) {
            Ok(Some(sent)) => sent.to_state(),
            // It may settle, whatever our storage says.
            Ok(None) | Err(_) => PayState::InFlight,
        };
        if state != PayState::InFlight {
            self.forget_row(hash)?;
        }
        Ok(state)
    }

    fn never_left(
        &self,
        hash: PaymentHash,
        mut intent: Sent,
        reason: FailReason,
    ) -> Result<PayState, Error> {
        intent.state = SentState::Failed {
            reason,
            left: false,
        };
        self.records.put_sent(hash, &intent)?;
        self.forget_row(hash)?;
        Ok(PayState::Failed { reason })
    }
}
