//! The body of an upstream's answer, which polls the connection that it comes from.
//!
//! When the body has ended, the connection goes back to its pool; when the body is dropped before,
//! the connection is closed with it, because nobody would read the rest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::lane::Lane;
use super::pool::Pool;
use super::silence::Patient;

/// Bytes of a body that is taken with its head: what the first read of a connection may hold.
const EARLY_BYTES_MAX: u64 = 8 * 1024;

/// A body and the connection that it comes from.
struct Streamed {
    body: Incoming,
    /// What has come with the head.
    early: Option<Frame<Bytes>>,
    /// Why there is no more.
    broken: Option<Broken>,
    /// `None` once the body has ended.
    lane: Option<Box<Lane>>,
    pool: Arc<Pool>,
}

/// An error is told one turn late. hyper throws away what it has not sent when a body fails, and the
/// head with its receipt may be among that; between two turns it sends.
struct Broken {
    error: hyper::Error,
    has_waited: bool,
}

/// An answer whose body needs nobody else to poll its connection.
pub(super) fn answer(
    answer: Response<Incoming>,
    lane: Box<Lane>,
    pool: &Arc<Pool>,
) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    let mut streamed = Streamed {
        body,
        early: None,
        broken: None,
        lane: Some(lane),
        pool: Arc::clone(pool),
    };
    if streamed.body.is_end_stream() {
        streamed.end();
        detach(&mut head.headers);
        return Response::from_parts(head, Body::empty());
    }
    let length = streamed.body.size_hint().exact();
    if length.is_some_and(|length| length <= EARLY_BYTES_MAX) {
        streamed.take_early();
    }
    let body = match streamed.early.take() {
        Some(frame) if streamed.lane.is_none() => match frame.into_data() {
            Ok(bytes) => {
                detach(&mut head.headers);
                Body::from(Bytes::copy_from_slice(&bytes))
            }
            Err(trailers) => streamed.with_early(trailers),
        },
        Some(early) => streamed.with_early(early),
        None => streamed.into_body(),
    };
    Response::from_parts(head, body)
}

/// Gives values memory of their own. hyper's are parts of the connection's read buffer: for as long
/// as an answer waits for its settlement, that would be kept whole, and the connection take another.
fn detach(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
    }
}

impl Streamed {
    /// Most bodies arrive with their head. Taking such a one at once gives the connection back
    /// before a settlement, or a slow client, is waited for.
    fn take_early(&mut self) {
        let mut nobody = Context::from_waker(Waker::noop());
        if let Poll::Ready(Some(Ok(first))) = self.poll_body(&mut nobody) {
            self.early = Some(first);
        }
    }

    fn with_early(mut self, early: Frame<Bytes>) -> Body {
        self.early = Some(early);
        self.into_body()
    }

    fn into_body(self) -> Body {
        let idle = self.pool.patience().idle;
        Body::new(Patient::new(self, idle))
    }

    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(mut broken) = self.broken.take() {
            if broken.has_waited {
                return Poll::Ready(Some(Err(broken.error)));
            }
            broken.has_waited = true;
            self.broken = Some(broken);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let body = &mut self.body;
        let frame = ready!(match self.lane.as_mut() {
            Some(lane) => lane.look(cx, |cx| Pin::new(&mut *body).poll_frame(cx)),
            None => Pin::new(body).poll_frame(cx),
        });
        match frame {
            // Nobody asks for more than the length that was announced.
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            Some(Ok(_)) | None => self.end(),
            Some(Err(error)) => {
                self.lane = None;
                self.broken = Some(Broken {
                    error,
                    has_waited: false,
                });
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(frame)
    }

    fn end(&mut self) {
        if let Some(lane) = self.lane.take() {
            self.pool.put_back(lane);
        }
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.early.take() {
            Some(early) => Poll::Ready(Some(Ok(early))),
            None => self.poll_body(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_none() && self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.body.size_hint();
        let early = self.early.as_ref().and_then(Frame::data_ref);
        let early = early.map_or(0, Bytes::len);
        match left.exact() {
            Some(left) if early > 0 => {
                let early = u64::try_from(early).unwrap_or(u64::MAX);
                SizeHint::with_exact(left.saturating_add(early))
            }
            _ => left,
        }
    }
}
