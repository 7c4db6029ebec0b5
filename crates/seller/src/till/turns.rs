//! Who waits for a payer whose means nobody knows: one payment of his at a time, in their order.
//!
//! Called by the till where a claim finds another one open, and wherever a claim ends in this
//! process. A turn is a hint to look again, never a right: the ledger alone decides who is next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use farebox_core::rail::Terms;
use tokio::sync::Notify;

/// A payer in one asset.
type Payer = (String, String);

/// The payers for whom somebody waits.
#[derive(Default)]
pub(super) struct Turns {
    waiting: Mutex<HashMap<Payer, Weak<Notify>>>,
}

/// A place among those who wait for one payer. Whoever gives it up lets the next one look.
pub(super) struct Turn {
    turns: Arc<Turns>,
    payer: Payer,
    notify: Arc<Notify>,
}

impl Turns {
    /// Takes a place; `None` where the payer is not known.
    pub(super) fn wait_for(self: &Arc<Self>, terms: &Terms) -> Option<Turn> {
        let payer = payer(terms)?;
        let mut waiting = self.lock();
        let known = waiting.get(&payer).and_then(Weak::upgrade);
        let notify = known.unwrap_or_else(|| {
            let notify = Arc::new(Notify::new());
            waiting.insert(payer.clone(), Arc::downgrade(&notify));
            notify
        });
        Some(Turn {
            turns: Arc::clone(self),
            payer,
            notify,
        })
    }

    /// A claim of this payer has ended: the next one may look.
    pub(super) fn ended(&self, terms: &Terms) {
        let waiting = self.lock();
        // Hardly ever does anybody.
        if waiting.is_empty() {
            return;
        }
        let Some(payer) = payer(terms) else { return };
        if let Some(notify) = waiting.get(&payer).and_then(Weak::upgrade) {
            notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Payer, Weak<Notify>>> {
        // The map is whole after every statement, so a panic elsewhere cannot have broken it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until it is worth looking again.
    pub(super) async fn comes(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.turns.lock();
        // Ours is the last one, as new ones come from under the same lock.
        if Arc::strong_count(&self.notify) == 1 {
            waiting.remove(&self.payer);
            return;
        }
        // Whoever was woken and leaves, served or not, must not leave the others asleep.
        self.notify.notify_one();
    }
}

fn payer(terms: &Terms) -> Option<Payer> {
    Some((terms.asset.to_string(), terms.payer.clone()?))
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
