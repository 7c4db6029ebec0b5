//! The requests of one HTTP/2 connection: how many there are, and whose answer nobody takes.
//!
//! [`super::http2`] hands [`Streams`] to hyper, which spawns each request there, and wraps each
//! answer's body in [`Watched`]. The flow control of HTTP/2 lets a client take nothing of one answer
//! while the connection goes on; [`super::stall`] below cannot see that. So each request has a
//! timer that runs while a piece of its answer waits, and is reset when it runs out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes of a piece of an answer. The timer runs anew for each, so it is the least that a slow
/// client has to take in that time, and it is what waits in memory.
const PIECE_BYTES: usize = 16 * 1024;
/// Requests that a client may take back beyond those whose answer it waits for: pages that are left early take
/// back some, and each costs a request to an upstream.
const TAKEN_BACK_MAX: usize = 100;

tokio::task_local! {
    /// The request that runs in this task.
    static TAKING: Arc<Taking>;
}

/// Whether a piece of an answer waits for the client.
#[derive(Default)]
struct Taking {
    is_waiting: AtomicBool,
    /// Pieces that were given out.
    given: AtomicU64,
}

/// The requests of one connection, and where they run.
#[derive(Clone)]
pub(super) struct Streams {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    patience: Duration,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    begun: AtomicUsize,
    answered: AtomicUsize,
    taken_back: AtomicUsize,
    is_enough: CancellationToken,
}

impl Streams {
    /// None yet. An answer may wait for the client for as long as `patience`.
    pub(super) fn new(patience: Duration, tasks: TaskTracker) -> Self {
        Self {
            shared: Arc::default(),
            tasks,
            patience,
        }
    }

    /// A request has come; tell the result when its answer is there.
    pub(super) fn begin(&self) -> Answering {
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
        Answering(Some(Arc::clone(&self.shared)))
    }

    /// Whether there is no request, and was none since the last question, whose state is `begun`.
    pub(super) fn is_idle_since(&self, begun: &mut Option<usize>) -> bool {
        let now = self.shared.begun.load(Ordering::Relaxed);
        let is_same = begun.replace(now).unwrap_or_default() == now;
        is_same && self.shared.running.load(Ordering::Relaxed) == 0
    }

    /// Ends when the client has taken back more requests than it may.
    pub(super) async fn too_many_taken_back(&self) {
        self.shared.is_enough.cancelled().await;
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        let taking = Arc::new(Taking::default());
        self.shared.running.fetch_add(1, Ordering::Relaxed);
        self.tasks.spawn(Run {
            request: Box::pin(TAKING.scope(Arc::clone(&taking), request)),
            taking,
            given: 0,
            patience: self.patience,
            timer: None,
            shared: Arc::clone(&self.shared),
        });
    }
}

/// A request whose answer is not there yet.
pub(super) struct Answering(Option<Arc<Shared>>);

impl Answering {
    /// There it is.
    pub(super) fn done(mut self) {
        if let Some(shared) = self.0.take() {
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else {
            return;
        };
        let taken_back = shared.taken_back.fetch_add(1, Ordering::Relaxed);
        let answered = shared.answered.load(Ordering::Relaxed);
        if taken_back >= answered.saturating_add(TAKEN_BACK_MAX) {
            shared.is_enough.cancel();
        }
    }
}

/// One request, from its head to the end of its answer.
struct Run<F> {
    request: Pin<Box<TaskLocalFuture<Arc<Taking>, F>>>,
    taking: Arc<Taking>,
    /// The pieces that were given out when the timer was set.
    given: u64,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    shared: Arc<Shared>,
}

impl<F: Future<Output = ()>> Future for Run<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.request.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !this.taking.is_waiting.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let given = this.taking.given.load(Ordering::Relaxed);
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
        if given != this.given {
            this.given = given;
            let now = Instant::now();
            let deadline = now.checked_add(this.patience).unwrap_or(now);
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        // Dropped unfinished, it resets its stream.
        tracing::debug!("a client takes nothing of an answer; it is broken off");
        Poll::Ready(())
    }
}

impl<F> Drop for Run<F> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body in pieces, each of which is seen to be taken.
pub(super) struct Watched {
    body: Body,
    /// What is left of a frame.
    rest: Bytes,
    taking: Option<Arc<Taking>>,
}

impl Watched {
    /// The answer to the request that runs in this task.
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            taking: TAKING.try_with(Arc::clone).ok(),
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // hyper asks for the next piece when the last one has found room.
        if let Some(taking) = &self.taking {
            taking.is_waiting.store(false, Ordering::Relaxed);
        }
        let frame = ready!(self.next(cx));
        if let (Some(taking), Some(Ok(_))) = (&self.taking, &frame) {
            taking.given.fetch_add(1, Ordering::Relaxed);
            taking.is_waiting.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
