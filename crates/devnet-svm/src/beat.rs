//! When slots end: on a beat, or only when told. A thread of its own follows it, so that a busy or blocked async runtime
//! never stops the chain. It must never decide what goes into a slot: `chain` does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::chain::Chain;

/// Waits end at least so often; nothing depends on it.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The beat, shared between the thread and those who change it.
#[derive(Debug)]
pub(crate) struct Beat {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    every: Option<Duration>,
    is_held: bool,
    is_stopped: bool,
    due: Instant,
}

impl Beat {
    pub(crate) fn new(every: Option<Duration>) -> Self {
        let inner = Inner {
            every,
            is_held: false,
            is_stopped: false,
            due: Instant::now() + every.unwrap_or(LONGEST_WAIT),
        };
        Self {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    /// A slot each so often from now on; `None` only when told.
    pub(crate) fn set(&self, every: Option<Duration>) {
        let mut inner = self.lock();
        inner.every = every;
        inner.due = Instant::now() + every.unwrap_or(LONGEST_WAIT);
        self.changed.notify_all();
    }

    pub(crate) fn hold(&self, is_held: bool) {
        self.lock().is_held = is_held;
        self.changed.notify_all();
    }

    pub(crate) fn is_held(&self) -> bool {
        self.lock().is_held
    }

    /// Whether slots pass by themselves.
    pub(crate) fn is_running(&self) -> bool {
        let inner = self.lock();
        inner.every.is_some() && !inner.is_held
    }

    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Waits for the next slot. `false`: there is none any more.
    fn next(&self) -> bool {
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            let wait = match inner.every {
                _ if inner.is_stopped => return false,
                Some(every) if !inner.is_held && now >= inner.due => {
                    // A beat is kept even when a slot takes long, but missed beats are not made up for.
                    inner.due = (inner.due + every).max(now);
                    return true;
                }
                Some(_) if !inner.is_held => inner.due.saturating_duration_since(now),
                _ => LONGEST_WAIT,
            };
            inner = self
                .changed
                .wait_timeout(inner, wait)
                .map_or_else(|lost| lost.into_inner().0, |(inner, _)| inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread that ends slots until the beat is stopped.
pub(crate) fn start(chain: Arc<Chain>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("devnet-svm-beat".to_owned())
        .spawn(move || {
            while chain.beat.next() {
                chain.tick();
            }
        })
}
