//! One HTTP/1.1 connection to an upstream, polled by whoever waits for its answer.
//!
//! [`super::pool`] opens and keeps lanes. hyper's connection is a future that its users spawn; here
//! it is polled within the request instead, and within the body of the answer after that: no task
//! is woken to send and none to receive. Nobody polls an idle lane: that its upstream has closed it
//! shows when it is used next, before anything is sent.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};

use super::bell::Bell;
use super::dial::Stream;

/// Looks at a connection that rings while it is looked at, before others get their turn: such as
/// the end of a head that makes its body wanted.
const LOOKS_MAX: usize = 4;

/// A connection that carries one request at a time.
pub(super) struct Lane {
    sender: SendRequest<Body>,
    /// `None` when it has ended.
    connection: Option<Connection<TokioIo<Stream>, Body>>,
    /// What follows an answer that leaves HTTP, where that was asked for.
    leaving: Leaving,
    bell: Arc<Bell>,
    rope: Waker,
    /// One timer for all requests: moving it on costs nothing, a new one for each takes a lock that
    /// all connections share.
    timer: Pin<Box<Sleep>>,
    /// By which the pool counts what is open.
    _open: Arc<()>,
}

/// Whether the connection may be taken out of HTTP.
enum Leaving {
    No,
    /// Once it has ended for HTTP.
    Asked,
    Left(Box<Connection<TokioIo<Stream>, Body>>),
}

/// A connection that has left HTTP.
pub(super) struct Left {
    pub(super) stream: Stream,
    /// What was read of it already.
    pub(super) early: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The connection had ended before anything was sent; here is the request.
    Unsent(Box<Request<Body>>, hyper::Error),
    /// It was sent, and the upstream says that it has done nothing with it; here it is once more.
    NotBegun(Box<Request<Body>>, hyper::Error),
    /// Something may have been sent.
    Failed(hyper::Error),
    /// It is too late.
    Late,
}

impl Lane {
    /// Speaks HTTP/1.1 on `stream`, and has a copy of `open` for as long as there is a connection.
    pub(super) async fn new(stream: Stream, open: &Arc<()>) -> Result<Box<Self>, hyper::Error> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let bell = Arc::new(Bell::default());
        let mut lane = Box::new(Self {
            sender,
            connection: Some(connection),
            leaving: Leaving::No,
            rope: Waker::from(Arc::clone(&bell)),
            bell,
            timer: Box::pin(tokio::time::sleep_until(Instant::now())),
            _open: Arc::clone(open),
        });
        // It takes no request before it has been polled once.
        lane.advance();
        Ok(lane)
    }

    /// Whether it can carry the next request.
    pub(super) fn is_free(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Whether nothing more can be carried.
    pub(super) fn has_ended(&self) -> bool {
        self.connection.is_none()
    }

    /// Wakes nobody any more.
    pub(super) fn rest(&self) {
        self.bell.forget();
    }

    /// Sends a request; gives the head of its answer.
    // No `async fn`: it would keep the request beside what has become of it.
    pub(super) fn ask(
        &mut self,
        request: Request<Body>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> {
        self.timer.as_mut().reset(deadline);
        let answering = self.sender.try_send_request(request);
        async move {
            let mut answering = pin!(answering);
            let answered = poll_fn(|cx| {
                let answered = self.look(cx, |cx| answering.as_mut().poll(cx));
                if answered.is_ready() {
                    return answered.map(Some);
                }
                // The rope, not the task: it stays the same from request to request.
                let mut rung = Context::from_waker(&self.rope);
                self.timer.as_mut().poll(&mut rung).map(|()| None)
            });
            match answered.await {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(mut failed)) => Err(match failed.take_message() {
                    Some(request) => Unanswered::Unsent(Box::new(request), failed.into_error()),
                    None => Unanswered::Failed(failed.into_error()),
                }),
                None => Err(Unanswered::Late),
            }
        }
    }

    /// From now on, an answer with 101 leaves the connection to [`Lane::leave`].
    pub(super) fn may_leave(&mut self) {
        self.leaving = Leaving::Asked;
    }

    /// Takes the connection out of HTTP, after 101.
    pub(super) async fn leave(mut self: Box<Self>) -> Option<Left> {
        self.finish().await;
        let Leaving::Left(connection) = self.leaving else {
            return None;
        };
        let parts = connection.into_parts();
        Some(Left {
            stream: parts.io.into_inner(),
            early: parts.read_buf,
        })
    }

    /// Comes to its end with the request that it carries, which may go on after its answer.
    pub(super) async fn finish(&mut self) {
        poll_fn(|cx| {
            let _ = self.look(cx, |_| Poll::<()>::Pending);
            match self.has_ended() || self.is_free() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Asks for what comes through the connection, and polls that in between.
    pub(super) fn look<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Nothing but the connection makes it ready, and that is polled here alone.
        let mut nobody = Context::from_waker(Waker::noop());
        self.bell.listen(cx.waker());
        for _ in 0..LOOKS_MAX {
            if self.has_ended() {
                return ask(cx);
            }
            self.bell.enter();
            // Asking first tells the connection what is wanted of it.
            let mut asked = ask(&mut nobody);
            if asked.is_pending() {
                self.advance();
                asked = ask(&mut nobody);
            }
            let is_quiet = self.bell.leave();
            if asked.is_ready() || (is_quiet && !self.has_ended()) {
                return asked;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn advance(&mut self) {
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        let mut rung = Context::from_waker(&self.rope);
        if let Poll::Ready(ended) = Pin::new(connection).poll(&mut rung) {
            // The request or the body has its error already.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to an upstream has ended");
            }
            let ended = self.connection.take();
            if let (Leaving::Asked, Some(ended)) = (&self.leaving, ended) {
                self.leaving = Leaving::Left(Box::new(ended));
            }
        }
    }
}
