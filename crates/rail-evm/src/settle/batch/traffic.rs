//! How many shared transactions are under way, and when the last one ended: what decides how long
//! payments are collected.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The count.
#[derive(Default)]
pub(in crate::settle) struct Traffic {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    underway: usize,
    last: Option<Ended>,
}

/// A shared transaction that has ended.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    pub(super) at: Instant,
    pub(super) payments: usize,
    pub(super) took: Duration,
}

/// A shared transaction from the moment at which its payments are taken to its end.
pub(in crate::settle) struct Underway {
    traffic: Arc<Traffic>,
    payments: usize,
    began: Instant,
}

impl Traffic {
    pub(super) fn begin(self: &Arc<Self>, payments: usize) -> Arc<Underway> {
        let mut state = self.lock();
        state.underway = state.underway.saturating_add(1);
        Arc::new(Underway {
            traffic: Arc::clone(self),
            payments,
            began: Instant::now(),
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.lock().underway == 0
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<Ended> {
        self.lock().last
    }

    /// Resolves when one has ended.
    pub(super) async fn one_ended(&self) {
        self.ended.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut state = self.traffic.lock();
        state.underway = state.underway.saturating_sub(1);
        state.last = Some(Ended {
            at: Instant::now(),
            payments: self.payments,
            took: self.began.elapsed(),
        });
        drop(state);
        self.traffic.ended.notify_one();
    }
}
