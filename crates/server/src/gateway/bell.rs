//! The waker of one upstream connection: it wakes whoever waits for that connection now.
//!
//! A connection is polled inside the request that uses it, not by a task of its own, so a request
//! costs no change of tasks. Most of what happens to it happens while it is polled anyway; such a
//! ring only says "look again" ([`Bell::leave`]), and never schedules a task. An idle connection
//! wakes nobody. A ring must never be lost.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Nobody polls: a ring goes to the listener.
const OUTSIDE: u8 = 0;
/// Somebody polls, and nothing has rung.
const INSIDE: u8 = 1;
/// Somebody polls, and it has rung meanwhile.
const RUNG: u8 = 2;

/// Rings once something has happened on a connection.
#[derive(Default)]
pub(super) struct Bell {
    state: AtomicU8,
    listener: Mutex<Option<Waker>>,
}

impl Bell {
    /// From now on `listener` is woken.
    pub(super) fn listen(&self, listener: &Waker) {
        let mut now = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        match now.as_mut() {
            Some(now) => now.clone_from(listener),
            None => *now = Some(listener.clone()),
        }
    }

    /// From now on nobody is woken.
    pub(super) fn forget(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Begins to poll, or begins again.
    pub(super) fn enter(&self) {
        self.state.store(INSIDE, Ordering::Release);
    }

    /// Ends polling; `false` where it has rung since [`Bell::enter`]: then enter and poll again, or
    /// wake the listener.
    pub(super) fn leave(&self) -> bool {
        self.state.swap(OUTSIDE, Ordering::AcqRel) != RUNG
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        // Whoever leaves after this sees it; whoever has left is woken.
        let inside = self
            .state
            .compare_exchange(INSIDE, RUNG, Ordering::AcqRel, Ordering::Acquire);
        if inside == Err(OUTSIDE) {
            let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(listener) = listener.as_ref() {
                listener.wake_by_ref();
            }
        }
    }
}

#[cfg(test)]
#[path = "bell_tests.rs"]
mod tests;
