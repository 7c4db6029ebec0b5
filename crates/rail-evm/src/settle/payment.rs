//! One payment on its way: what is settled, where that is written down, and who waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::rail::{Journal, Outcome, Refusal};
use farebox_wire::evm::EvmAddress;
use tracing::Span;

use super::batch::Record;
use super::pending;
use super::seats::Seat;
use crate::handle::EvmHandle;
use crate::snapshot::Payers;

/// A payment. Whoever has it decides its outcome; dropped, it leaves its seat free.
pub(super) struct Payment {
    pub(super) handle: Arc<EvmHandle>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) seat: Seat,
    pub(super) payers: Arc<Payers>,
    /// Whether a transaction with it may have left.
    pub(super) has_left: bool,
    /// The work that it is a part of, for whoever traces it.
    pub(super) span: Span,
}

impl Payment {
    /// Tells everybody who waits.
    pub(super) fn finish(self, outcome: Outcome) {
        let outcome = match outcome {
            // Trouble of ours proves nothing about what has left already.
            Outcome::Rejected(why) if why.is_ours && self.has_left => {
                tracing::warn!(%why, "a settlement is followed no further");
                pending()
            }
            outcome => outcome,
        };
        // Before anybody hears of it: what is known of the payer must not be richer.
        let (token, transfer) = (self.handle.token, &self.handle.transfer);
        match &outcome {
            Outcome::Settled { .. } => self.payers.settled(token, transfer),
            Outcome::Rejected(_) | Outcome::Unknown { .. } => {
                self.payers.failed(token, transfer.from);
            }
        }
        self.seat.publish(outcome);
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        self.finish(Outcome::Rejected(refusal));
    }

    /// What a shared transaction says of it; `None` where the signature is a contract's.
    pub(super) fn record(&self) -> Option<Record> {
        Some(Record {
            transfer: self.handle.transfer.clone(),
            signature: self.handle.signature()?,
        })
    }

    pub(super) fn payer(&self) -> EvmAddress {
        self.handle.transfer.from
    }
}

/// A payment of which nothing has been signed yet. Its caller may still take it back; whoever
/// takes it first has it.
pub(super) struct Ticket {
    token: EvmAddress,
    span: Span,
    payment: Mutex<Option<Payment>>,
}

impl Ticket {
    pub(super) fn new(payment: Payment) -> Arc<Self> {
        Arc::new(Self {
            token: payment.handle.token,
            span: payment.span.clone(),
            payment: Mutex::new(Some(payment)),
        })
    }

    pub(super) const fn token(&self) -> EvmAddress {
        self.token
    }

    pub(super) const fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn take(&self) -> Option<Payment> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Payment>> {
        self.payment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what has to be known to simulate it.
    pub(super) fn look(&self) -> Option<(Arc<EvmHandle>, Arc<dyn Journal>)> {
        let payment = self.lock();
        let payment = payment.as_ref()?;
        Some((Arc::clone(&payment.handle), Arc::clone(&payment.journal)))
    }

    pub(super) fn record(&self) -> Option<Record> {
        self.lock().as_ref().and_then(Payment::record)
    }

    pub(super) fn finish(&self, outcome: Outcome) {
        if let Some(payment) = self.take() {
            payment.finish(outcome);
        }
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.finish(Outcome::Rejected(refusal));
    }
}

/// The caller's end of a ticket: dropped, it takes the payment back if nothing has been signed.
pub(super) struct Claim(pub(super) Arc<Ticket>);

impl Claim {
    /// Takes the payment back. `false` where it is on its way.
    pub(super) fn withdraw(&self) -> bool {
        self.0.take().is_some()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.withdraw();
    }
}
