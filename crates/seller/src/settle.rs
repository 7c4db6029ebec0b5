//! Moves the money of one claim and writes down what became of it.
//!
//! Called by redeem for a request that waits, and by the watch for claims whose request has
//! gone. The ledger knows of every transaction before it leaves (law 2); what it says afterwards
//! decides whether the paid answer may leave (law 3).

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use farebox_core::ledger::{Applied, Attach, LedgerError, Payment};
use farebox_core::payment::{Effect, Event, Phase};
use farebox_core::rail::{
    CollectRail, Handle, Journal, Outcome, RailError, Refusal, SentTransaction, Terms,
};
use farebox_wire::x402::types::SettleResponse;
use http::StatusCode;

use crate::answer::Refused;
use crate::body::BodyDigest;
use crate::shop::Shop;

/// One attempt to settle one claim.
pub(crate) struct Attempt<'a> {
    pub(crate) shop: &'a Shop,
    pub(crate) rail: &'a dyn CollectRail,
    pub(crate) payment: &'a Payment,
    pub(crate) handle: &'a Handle,
    pub(crate) request_body: &'a BodyDigest,
    /// How long to wait for the rail.
    pub(crate) wait_ms: u64,
}

impl Attempt<'_> {
    /// Settles. `Ok` is the receipt, as JSON text: the paid answer may leave.
    pub(crate) async fn settle(&self) -> Result<String, Refused> {
        let journal = LedgerJournal {
            attempt: self,
            // Whatever an earlier attempt has sent is still out there.
            has_sent: AtomicBool::new(self.is_again()),
        };
        let outcome = self.rail.settle(self.handle, &journal, self.wait_ms).await;
        let has_sent = journal.has_sent.load(Ordering::Acquire);
        match outcome {
            Outcome::Settled {
                transaction,
                is_final,
            } => self.settled(transaction, is_final).await,
            Outcome::Rejected(refusal) if refusal.is_ours && !has_sent => {
                self.unsent(refusal.reason.code(), refusal.message).await
            }
            // Our own trouble must not burn a good credential: it stays pending, and the watch
            // settles it when the trouble is over.
            Outcome::Rejected(refusal) if refusal.is_ours => {
                self.unknown(refusal.reason.code().to_owned()).await
            }
            // What an earlier attempt has sent may still be on its way, and whatever this one was
            // told, only the chain's last word ends that (law 3): the watch waits for it.
            Outcome::Rejected(refusal) if self.is_again() => {
                self.unknown(refusal.reason.code().to_owned()).await
            }
            Outcome::Rejected(refusal) => self.rejected(refusal).await,
            Outcome::Unknown { reason } if !has_sent => {
                let message = "the payment could not be settled; nothing was sent or charged";
                self.unsent(&reason, message.to_owned()).await
            }
            Outcome::Unknown { reason } => self.unknown(reason).await,
        }
    }

    /// Whether an earlier attempt has sent something.
    fn is_again(&self) -> bool {
        self.payment.state.phase != Phase::Reserved
    }

    async fn settled(&self, transaction: String, is_final: bool) -> Result<String, Refused> {
        let terms = &self.payment.terms;
        let receipt = receipt(terms, &transaction);
        let event = Event::Settled {
            transaction: transaction.clone(),
            is_final,
        };
        match self.apply(event, Some(receipt.clone())).await {
            Ok(applied) if applied.effects.contains(&Effect::Deliver) => Ok(receipt),
            Ok(_) => Err(Refused::Delivered {
                receipt: Some(receipt),
            }),
            // The chain has it and our books do not: the watch will find it and mend them.
            Err(error) => {
                tracing::error!(payment = %self.payment.id, %error, "a settlement is not on record");
                Err(Refused::pending(terms, Some(&transaction)))
            }
        }
    }

    /// Nothing has left, so the claim is given back and the credential is as new.
    async fn unsent(&self, reason: &str, message: String) -> Result<String, Refused> {
        let event = Event::Abandoned {
            reason: reason.to_owned(),
        };
        match self.apply(event, None).await {
            Ok(_) => {}
            // A line of the journal is on record though its writing seemed to fail.
            Err(LedgerError::Illegal(_)) => return self.unknown(reason.to_owned()).await,
            Err(error) => return Err(Refused::by_ledger(&error)),
        }
        tracing::warn!(payment = %self.payment.id, reason, "a payment could not be settled");
        Err(Refused::Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "settlement_unavailable",
            message,
        })
    }

    async fn rejected(&self, refusal: Refusal) -> Result<String, Refused> {
        let reason = refusal.reason.code();
        let event = Event::Failed {
            reason: reason.to_owned(),
        };
        let applied = self
            .apply(event, None)
            .await
            .map_err(|error| Refused::by_ledger(&error))?;
        Err(Refused::unsettled(
            &self.payment.terms,
            applied.payment.hashes().next_back(),
            reason,
            &refusal.message,
        ))
    }

    async fn unknown(&self, reason: String) -> Result<String, Refused> {
        let terms = &self.payment.terms;
        Err(match self.apply(Event::NoReply { reason }, None).await {
            Ok(applied) => Refused::pending(terms, applied.payment.hashes().next_back()),
            // On record is that something was sent, so nobody may be told that nothing was charged.
            Err(error) => {
                tracing::error!(payment = %self.payment.id, %error, "a delay is not on record");
                Refused::pending(terms, None)
            }
        })
    }

    async fn apply(&self, event: Event, receipt: Option<String>) -> Result<Applied, LedgerError> {
        let attach = Attach {
            receipt,
            body_digest: self.request_body.get(),
            ..Attach::default()
        };
        let now_ms = self.shop.clock.now_ms();
        self.shop
            .ledger
            .apply(&self.payment.id, event, attach, now_ms)
            .await
    }
}

/// The receipt of a settled payment, as JSON text.
pub(crate) fn receipt(terms: &Terms, transaction: &str) -> String {
    let receipt = SettleResponse {
        success: true,
        transaction: transaction.to_owned(),
        network: terms.network.to_string(),
        error_reason: None,
        error_message: None,
        payer: terms.payer.clone(),
        amount: None,
        extensions: None,
        extra: None,
    };
    // Our own types always have a JSON form.
    serde_json::to_string(&receipt).unwrap_or_default()
}

/// Writes each transaction into the ledger before the rail sends it.
struct LedgerJournal<'a> {
    attempt: &'a Attempt<'a>,
    has_sent: AtomicBool,
}

#[async_trait]
impl Journal for LedgerJournal<'_> {
    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        let event = Event::Sending {
            transaction: Some(transaction.clone()),
        };
        let refused = |message: String| RailError {
            code: "not_recorded",
            message,
        };
        let applied = self
            .attempt
            .apply(event, None)
            .await
            .map_err(|error| refused(error.to_string()))?;
        if !applied.effects.contains(&Effect::Send) {
            return Err(refused("the books do not allow sending".to_owned()));
        }
        self.has_sent.store(true, Ordering::Release);
        Ok(())
    }
}
