//! Work that must come to its end though whoever waits for it goes away.
//!
//! A caller that hangs up must not lose what becomes of the money. Its work runs where it is
//! waited for, which costs no task; only where it is dropped unfinished it moves to a task of its
//! own. There its result is dropped like any other.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// See the module.
pub struct GoesOn<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    /// `None` once it is done.
    work: Option<Pin<Box<F>>>,
    tasks: TaskTracker,
}

impl<F> GoesOn<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    /// Goes on among `tasks` where it is dropped unfinished.
    pub fn new(work: F, tasks: &TaskTracker) -> Self {
        Self {
            work: Some(Box::pin(work)),
            tasks: tasks.clone(),
        }
    }
}

impl<F> Future for GoesOn<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else {
            // Polled after its end, which nobody does.
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F> Drop for GoesOn<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn drop(&mut self) {
        let Some(work) = self.work.take() else {
            return;
        };
        // Without a runtime the process is ending, and the next start finds out.
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(
                async move {
                    work.await;
                },
                &runtime,
            );
        }
    }
}

#[cfg(test)]
#[path = "goes_on_tests.rs"]
mod tests;
