//! Which payments are being served in this process at this moment.
//!
//! One credential may come many times at once; whoever takes the seat serves, the others are
//! told to wait. A seat is held from before the claim until the delivery is on record, so that
//! nobody ever sees a settled payment as undelivered while its answer is still leaving.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_wire::identity::Identity;
use tokio::sync::watch;

/// The request that sits: digests of payload and request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Digest of the canonical payload.
    pub payload: [u8; 32],
    /// Digest of route, method, origin and path.
    pub request: [u8; 32],
}

/// The seats.
#[derive(Default)]
pub(super) struct InFlight {
    seats: Mutex<HashMap<Identity, Occupant>>,
}

struct Occupant {
    fingerprint: Fingerprint,
    /// The answer has left; only the record of it is still being written.
    is_closing: bool,
    /// Ends when the seat is given up.
    left: watch::Receiver<()>,
}

/// Somebody else sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// With the same payload and for the same request.
    BySameRequest,
    /// Not so.
    ByAnother,
}

impl InFlight {
    /// Takes the seat of `identity`, or says who has it. Where only a record is still being
    /// written, waits for that.
    pub(super) async fn enter(
        self: &Arc<Self>,
        identity: &Identity,
        fingerprint: Fingerprint,
    ) -> Result<Seat, Taken> {
        loop {
            let mut left = match self.try_enter(identity, fingerprint) {
                Ok(seat) => return Ok(seat),
                Err(Busy::Serving(taken)) => return Err(taken),
                Err(Busy::Closing(left)) => left,
            };
            // An error means that the seat is free, which is what we wait for.
            while left.changed().await.is_ok() {}
        }
    }

    /// Waits until the seat of `identity` has been given up, by whoever has it now.
    pub(super) async fn left(&self, identity: &Identity) {
        let occupant = self.lock().get(identity).map(|seat| seat.left.clone());
        if let Some(mut left) = occupant {
            // An error means that the seat is free, which is what we wait for.
            while left.changed().await.is_ok() {}
        }
    }

    /// Whether somebody sits.
    pub(super) fn contains(&self, identity: &Identity) -> bool {
        self.lock().contains_key(identity)
    }

    fn try_enter(
        self: &Arc<Self>,
        identity: &Identity,
        fingerprint: Fingerprint,
    ) -> Result<Seat, Busy> {
        let mut seats = self.lock();
        if let Some(occupant) = seats.get(identity) {
            return Err(if occupant.is_closing {
                Busy::Closing(occupant.left.clone())
            } else if occupant.fingerprint == fingerprint {
                Busy::Serving(Taken::BySameRequest)
            } else {
                Busy::Serving(Taken::ByAnother)
            });
        }
        let (leaving, left) = watch::channel(());
        seats.insert(
            identity.clone(),
            Occupant {
                fingerprint,
                is_closing: false,
                left,
            },
        );
        Ok(Seat {
            seats: Arc::clone(self),
            identity: identity.clone(),
            is_kept: false,
            _leaving: leaving,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Occupant>> {
        // The map is whole after every statement, so a panic elsewhere cannot have broken it.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Busy {
    Serving(Taken),
    Closing(watch::Receiver<()>),
}

/// The right to serve one identity; given up when dropped.
pub struct Seat {
    seats: Arc<InFlight>,
    identity: Identity,
    is_kept: bool,
    /// Dropped after the seat was taken out, which wakes those who wait.
    _leaving: watch::Sender<()>,
}

impl Seat {
    /// From now on others wait for this seat instead of being sent away.
    pub fn close(&self) {
        if let Some(occupant) = self.seats.lock().get_mut(&self.identity) {
            occupant.is_closing = true;
        }
    }

    /// Never gives the seat up: what it was taken for is not on record, so in this process nobody
    /// may be served for it again. Others are sent away instead of waiting.
    pub fn keep(mut self) {
        if let Some(occupant) = self.seats.lock().get_mut(&self.identity) {
            occupant.is_closing = false;
        }
        self.is_kept = true;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.is_kept {
            self.seats.lock().remove(&self.identity);
        }
    }
}

#[cfg(test)]
#[path = "seats_tests.rs"]
mod tests;
