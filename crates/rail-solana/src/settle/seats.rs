//! One settlement per identity at a time: the first caller drives it, the others wait for its
//! outcome, so that one authorization is never sent twice by one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::rail::Outcome;
use farebox_wire::identity::Identity;
use tokio::sync::watch;

/// Where an outcome will appear. It closes empty when the driver gave up before anything was sent.
pub(crate) type Ending = watch::Receiver<Option<Outcome>>;

/// The settlements that are under way.
#[derive(Default)]
pub(crate) struct Seats {
    taken: Mutex<HashMap<Identity, Ending>>,
}

/// What a caller gets.
pub(crate) enum Place {
    /// It drives.
    Mine(Seat),
    /// Another one does.
    Taken(Ending),
}

/// The right to drive a settlement. Dropped without an outcome, it leaves the place free.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    identity: Identity,
    outcome: watch::Sender<Option<Outcome>>,
    is_left: bool,
}

impl Seats {
    pub(crate) fn take(self: &Arc<Self>, identity: &Identity) -> Place {
        let mut taken = self.lock();
        if let Some(ending) = taken.get(identity) {
            return Place::Taken(ending.clone());
        }
        let (outcome, ending) = watch::channel(None);
        taken.insert(identity.clone(), ending);
        Place::Mine(Seat {
            seats: Arc::clone(self),
            identity: identity.clone(),
            outcome,
            is_left: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Ending>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Where the outcome of this settlement will appear.
    pub(crate) fn ending(&self) -> Ending {
        self.outcome.subscribe()
    }

    /// Tells everybody who waits.
    pub(crate) fn publish(mut self, outcome: Outcome) {
        if !matches!(outcome, Outcome::Settled { .. }) {
            // Whoever hears of it may try again at once, and must not hear the same once more.
            self.leave();
        }
        self.outcome.send_replace(Some(outcome));
    }
}

impl Seat {
    fn leave(&mut self) {
        // The place may have been taken anew since.
        if !std::mem::replace(&mut self.is_left, true) {
            self.seats.lock().remove(&self.identity);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}
