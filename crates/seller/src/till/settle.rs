//! Moves the money of one claim and writes down what became of it.
//!
//! Called for a request that waits, and by the watch for claims whose request has gone. The
//! ledger knows of every transaction before it leaves (law 2); what it says afterwards decides
//! whether anything may be handed over (law 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::ledger::{Applied, Attach, Ledger, LedgerError, Payment, PaymentId, Taker};
use farebox_core::payment::{Effect, Event, Phase};
use farebox_core::rail::{
    CollectRail, Handle, Journal, Outcome, Page, Proof, RailError, Refusal, SentTransaction, Terms,
};
use farebox_core::span;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::SettleResponse;
use serde_json::{Map, Value};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::Till;
use crate::body::BodyDigest;

/// One attempt to settle one claim.
pub struct Attempt<'a> {
    /// How the money moves.
    pub rail: &'a dyn CollectRail,
    /// The claim.
    pub payment: &'a Payment,
    /// For the rail: the credential itself.
    pub handle: &'a Handle,
    /// Digest of the body of the request that is paid, which may still be on its way.
    pub request_body: &'a BodyDigest,
    /// The key of the caller, where the answer counts as handed over to it the moment it is
    /// settled, written down in the same stroke with the body: a facilitator's rule, whose
    /// `success: true` goes to one caller.
    pub delivers: Option<[u8; 32]>,
    /// How long to wait for the rail.
    pub wait_ms: u64,
}

/// How an attempt has ended; it is on record as it says, unless it says otherwise.
#[derive(Debug)]
pub enum Settlement {
    /// The money has moved, and what is paid for may be handed over.
    Settled {
        /// A [`SettleResponse`] as JSON text.
        receipt: String,
        /// Hash of the transaction.
        transaction: String,
    },
    /// The money has moved, and what is paid for was handed over before.
    Delivered {
        /// A [`SettleResponse`] as JSON text.
        receipt: String,
    },
    /// It has not and, by this credential, will not.
    Rejected {
        /// Machine code.
        reason: String,
        /// For people.
        message: String,
        /// The last transaction that was sent for it.
        transaction: Option<String>,
    },
    /// Something was sent, and nobody knows yet.
    Pending {
        /// The last transaction that was sent for it.
        transaction: Option<String>,
    },
    /// Nothing was sent, and the claim was given back: the credential is as new.
    Unsent {
        /// Machine code.
        reason: String,
        /// For people.
        message: String,
    },
    /// Nothing was sent, and the books cannot be used.
    LedgerFailed(LedgerError),
}

impl Till {
    /// Settles a claim.
    pub async fn settle(&self, attempt: Attempt<'_>) -> Settlement {
        let Payment { id, terms, .. } = attempt.payment;
        let span = span!(
            "settle",
            farebox.payment = %id,
            farebox.rail = terms.rail,
            farebox.network = terms.network.as_str(),
            farebox.outcome = Empty,
            farebox.transaction = Empty,
        );
        let settling = Settling {
            till: self,
            attempt,
        };
        let settlement = settling.run().instrument(span.clone()).await;
        settlement.tell(&span);
        settlement
    }
}

impl Settlement {
    /// Says in its span how it has ended. A payment among others in one transaction is found again
    /// by the hash of that.
    fn tell(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        let (outcome, transaction) = match self {
            Self::Settled { transaction, .. } => ("settled", Some(transaction)),
            Self::Delivered { .. } => ("delivered", None),
            Self::Rejected { transaction, .. } => ("rejected", transaction.as_ref()),
            Self::Pending { transaction } => ("pending", transaction.as_ref()),
            Self::Unsent { .. } => ("unsent", None),
            Self::LedgerFailed(_) => ("ledger_failed", None),
        };
        span.record("farebox.outcome", outcome);
        if let Some(transaction) = transaction {
            span.record("farebox.transaction", transaction.as_str());
        }
    }
}

struct Settling<'a> {
    till: &'a Till,
    attempt: Attempt<'a>,
}

impl Settling<'_> {
    async fn run(&self) -> Settlement {
        let Attempt {
            rail,
            handle,
            wait_ms,
            ..
        } = self.attempt;
        let journal = Arc::new(LedgerJournal {
            ledger: Arc::clone(&self.till.ledger),
            clock: Arc::clone(&self.till.clock),
            payment: self.attempt.payment.id.clone(),
            // A facilitator's caller owns the payment once it is told, and not before.
            request_body: match self.attempt.delivers {
                None => self.attempt.request_body.clone(),
                Some(_) => BodyDigest::default(),
            },
            is_again: self.is_again(),
            // Whatever an earlier attempt has sent is still out there.
            has_sent: AtomicBool::new(self.is_again()),
        });
        let began = Instant::now();
        let outcome = rail.settle(handle, journal.clone(), wait_ms).await;
        if matches!(outcome, Outcome::Settled { .. }) {
            let terms = &self.attempt.payment.terms;
            self.till.counts.settled_after(terms, began.elapsed());
        }
        let has_sent = journal.has_sent.load(Ordering::Acquire);
        match outcome {
            Outcome::Settled {
                transaction,
                is_final,
                proof,
            } => self.settled(transaction, is_final, proof).await,
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
        self.attempt.payment.state.phase != Phase::Reserved
    }

    async fn settled(&self, transaction: String, is_final: bool, proof: Proof) -> Settlement {
        let receipt = receipt(&self.attempt.payment.terms, &transaction, proof);
        let mut events = vec![Event::Settled {
            transaction: transaction.clone(),
            is_final,
        }];
        if self.attempt.delivers.is_some() {
            events.push(Event::Delivered);
        }
        let attach = Attach {
            receipt: Some(receipt.clone()),
            request_digest: self.attempt.delivers,
            body_digest: self.attempt.request_body.get(),
            ..Attach::default()
        };
        match self.write(events, attach).await {
            Ok(applied) if applied.effects.contains(&Effect::Deliver) => Settlement::Settled {
                receipt,
                transaction,
            },
            Ok(_) => Settlement::Delivered { receipt },
            // The chain has it and our books do not: the watch will find it and mend them.
            Err(error) => {
                let payment = &self.attempt.payment.id;
                tracing::error!(%payment, %error, "a settlement is not on record");
                Settlement::Pending {
                    transaction: Some(transaction),
                }
            }
        }
    }

    /// Nothing has left, so the claim is given back and the credential is as new.
    async fn unsent(&self, reason: &str, message: String) -> Settlement {
        let event = Event::Abandoned {
            reason: reason.to_owned(),
        };
        match self.apply(event).await {
            Ok(_) => {}
            // A line of the journal is on record though its writing seemed to fail.
            Err(LedgerError::Illegal(_)) => return self.unknown(reason.to_owned()).await,
            Err(error) => return Settlement::LedgerFailed(error),
        }
        let payment = &self.attempt.payment.id;
        tracing::warn!(%payment, reason, message, "a payment could not be settled");
        Settlement::Unsent {
            reason: reason.to_owned(),
            message,
        }
    }

    async fn rejected(&self, refusal: Refusal) -> Settlement {
        let reason = refusal.reason.code().to_owned();
        let event = Event::Failed {
            reason: reason.clone(),
        };
        match self.apply(event).await {
            Ok(applied) => Settlement::Rejected {
                reason,
                message: refusal.message,
                transaction: applied.payment.hashes().next_back().cloned(),
            },
            Err(error) => Settlement::LedgerFailed(error),
        }
    }

    async fn unknown(&self, reason: String) -> Settlement {
        let transaction = match self.apply(Event::NoReply { reason }).await {
            Ok(applied) => applied.payment.hashes().next_back().cloned(),
            // On record is that something was sent, so nobody may be told that nothing was charged.
            Err(error) => {
                let payment = &self.attempt.payment.id;
                tracing::error!(%payment, %error, "a delay is not on record");
                None
            }
        };
        Settlement::Pending { transaction }
    }

    async fn apply(&self, event: Event) -> Result<Applied, LedgerError> {
        let body_digest = match self.attempt.delivers {
            None => self.attempt.request_body.get(),
            Some(_) => None,
        };
        let attach = Attach {
            body_digest,
            ..Attach::default()
        };
        self.write(vec![event], attach).await
    }

    async fn write(&self, events: Vec<Event>, attach: Attach) -> Result<Applied, LedgerError> {
        let now_ms = self.till.clock.now_ms();
        let id = &self.attempt.payment.id;
        let applied = self.till.ledger.apply_all(id, events, attach, now_ms).await;
        self.till.ended(&self.attempt.payment.terms);
        if let Ok(applied) = &applied {
            let before = &self.attempt.payment.state;
            self.till.counts.moved(before, &applied.payment);
        }
        applied
    }
}

/// The receipt of a settled payment, as JSON text. `extra.proof` says where it rests on somebody's
/// word.
pub(crate) fn receipt(terms: &Terms, transaction: &str, proof: Proof) -> String {
    let extra = match proof {
        Proof::Chain => None,
        Proof::Word => Some(Map::from_iter([(
            "proof".to_owned(),
            Value::from("facilitator's word"),
        )])),
    };
    let receipt = SettleResponse {
        success: true,
        transaction: transaction.to_owned(),
        network: terms.network.to_string(),
        error_reason: None,
        error_message: None,
        payer: terms.payer.clone(),
        amount: None,
        extensions: None,
        extra,
    };
    // Our own types always have a JSON form.
    serde_json::to_string(&receipt).unwrap_or_default()
}

/// The receipt of a payment that has not moved the money, or not that anybody knows.
#[must_use]
pub fn unsettled_receipt(
    terms: &Terms,
    transaction: Option<&str>,
    reason: &str,
    message: &str,
) -> SettleResponse {
    SettleResponse {
        success: false,
        transaction: transaction.unwrap_or_default().to_owned(),
        network: terms.network.to_string(),
        error_reason: Some(reason.to_owned()),
        error_message: Some(message.to_owned()),
        payer: terms.payer.clone(),
        amount: None,
        extensions: None,
        extra: None,
    }
}

/// The code of what is sent and not decided.
pub(crate) const PENDING: &str = Reason::SettlementPending.code();

/// Writes each transaction, and each handing over, into the ledger before the rail sends it. The
/// rail may keep it for as long as it follows the payment.
struct LedgerJournal {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    payment: PaymentId,
    request_body: BodyDigest,
    is_again: bool,
    has_sent: AtomicBool,
}

#[async_trait]
impl Journal for LedgerJournal {
    fn is_again(&self) -> bool {
        self.is_again
    }

    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        self.write(Some(transaction.clone()), None).await
    }

    async fn handing_over(&self, handle: &Handle) -> Result<(), RailError> {
        self.write(None, Some(handle.clone())).await
    }

    fn page(&self) -> Option<Page> {
        Some(Page {
            ledger: Arc::clone(&self.ledger),
            taker: Taker {
                id: self.payment.clone(),
                attach: self.attach(None),
            },
            now_ms: self.clock.now_ms(),
        })
    }

    fn written(&self, line: Result<Vec<Effect>, LedgerError>) -> Result<(), RailError> {
        let refused = |message: String| RailError {
            code: "not_recorded",
            message,
        };
        let effects = line.map_err(|error| refused(error.to_string()))?;
        if !effects.contains(&Effect::Send) {
            return Err(refused("the books do not allow sending".to_owned()));
        }
        self.has_sent.store(true, Ordering::Release);
        Ok(())
    }
}

impl LedgerJournal {
    async fn write(
        &self,
        transaction: Option<SentTransaction>,
        handle: Option<Handle>,
    ) -> Result<(), RailError> {
        let event = Event::Sending { transaction };
        let attach = self.attach(handle);
        let now_ms = self.clock.now_ms();
        let applied = self
            .ledger
            .apply(&self.payment, event, attach, now_ms)
            .await;
        self.written(applied.map(|applied| applied.effects))
    }

    fn attach(&self, handle: Option<Handle>) -> Attach {
        Attach {
            body_digest: self.request_body.get(),
            handle,
            ..Attach::default()
        }
    }
}
