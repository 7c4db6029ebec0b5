//! One timer for each connection, whatever hyper wants to wait for on it.
//!
//! hyper takes a new sleep for each head and drops it when the head has come. With tokio's own,
//! each of them is put into a wheel that all connections share, and taken out, under its lock. Here
//! they share one timer that stays where it is; moving it on is free. Used by
//! [`super::connections`]; at most one sleep of a connection may be waited for at a time, as HTTP/1
//! does: the one that is polled last wins.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// The timer of one connection.
#[derive(Clone)]
pub(crate) struct OneTimer(Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>);

impl OneTimer {
    /// A timer that nobody waits for yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl fmt::Debug for OneTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimer")
    }
}

impl Timer for OneTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let now = Instant::now();
        self.sleep_until(now.checked_add(duration).unwrap_or(now))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Nap {
            deadline: deadline.into(),
            timer: self.clone(),
        })
    }
}

/// A wait for the timer.
struct Nap {
    deadline: tokio::time::Instant,
    timer: OneTimer,
}

impl Future for Nap {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut timer = timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.deadline)))
            .as_mut();
        if timer.deadline() != self.deadline {
            timer.as_mut().reset(self.deadline);
        }
        timer.poll(cx)
    }
}

impl Sleep for Nap {}

#[cfg(test)]
#[path = "timer_tests.rs"]
mod tests;
