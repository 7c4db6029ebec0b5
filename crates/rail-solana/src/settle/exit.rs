//! The moment after which a payment can no longer be taken back: before it, a caller who stops
//! waiting takes the payment back and nothing is ever sent; after it, the payment goes on alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const INSIDE: u8 = 0;
const LEFT: u8 = 1;
const WITHDRAWN: u8 = 2;

/// The door of one payment; whoever is first decides.
pub(super) struct Exit(AtomicU8);

impl Exit {
    /// A payment of which nothing has left.
    pub(super) fn closed() -> Arc<Self> {
        Arc::new(Self(AtomicU8::new(INSIDE)))
    }

    /// A payment of which something may be on its way already.
    pub(super) fn open() -> Arc<Self> {
        Arc::new(Self(AtomicU8::new(LEFT)))
    }

    /// Something is about to leave. `false` where the payment was taken back.
    pub(super) fn leave(&self) -> bool {
        self.first(LEFT) != WITHDRAWN
    }

    /// What was about to leave has not, and will not.
    pub(super) fn stayed(&self) {
        self.0.store(INSIDE, Ordering::Release);
    }

    pub(super) fn has_left(&self) -> bool {
        self.0.load(Ordering::Acquire) == LEFT
    }

    /// Takes the payment back. `false` where it is on its way.
    fn withdraw(&self) -> bool {
        self.first(WITHDRAWN) != LEFT
    }

    /// What it is from now on: what was decided first.
    fn first(&self, wanted: u8) -> u8 {
        let order = (Ordering::AcqRel, Ordering::Acquire);
        match self.0.compare_exchange(INSIDE, wanted, order.0, order.1) {
            Ok(_) => wanted,
            Err(decided) => decided,
        }
    }
}

/// The caller's end: dropped, it takes the payment back if nothing has left.
pub(super) struct Claim(pub(super) Arc<Exit>);

impl Claim {
    /// Takes the payment back. `false` where it is on its way.
    pub(super) fn withdraw(&self) -> bool {
        self.0.withdraw()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
#[path = "exit_tests.rs"]
mod tests;
