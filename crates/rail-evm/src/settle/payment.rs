//! One payment on its way: what is settled, where that is written down, and who waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::rail::{Journal, Outcome, Refusal};
use farebox_wire::evm::EvmAddress;

use super::batch::Record;
use super::seats::Seat;
use crate::handle::EvmHandle;

/// A payment. Whoever has it decides its outcome; dropped, it leaves its seat free.
pub(super) struct Payment {
    pub(super) handle: EvmHandle,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) seat: Seat,
}

impl Payment {
    /// Tells everybody who waits.
    pub(super) fn finish(self, outcome: Outcome) {
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

    pub(super) const fn payer(&self) -> EvmAddress {
        self.handle.transfer.from
    }
}

/// A payment of which nothing has been signed yet. Its caller may still take it back; whoever
/// takes it first has it.
pub(super) struct Ticket {
    token: EvmAddress,
    payment: Mutex<Option<Payment>>,
}

impl Ticket {
    pub(super) fn new(payment: Payment) -> Arc<Self> {
        Arc::new(Self {
            token: payment.handle.token,
            payment: Mutex::new(Some(payment)),
        })
    }

    pub(super) const fn token(&self) -> EvmAddress {
        self.token
    }

    pub(super) fn take(&self) -> Option<Payment> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Payment>> {
        self.payment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self) -> Option<Record> {
        self.lock().as_ref().and_then(Payment::record)
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        if let Some(payment) = self.take() {
            payment.refuse(refusal);
        }
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
