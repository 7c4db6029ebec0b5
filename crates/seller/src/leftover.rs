//! Reads what nobody wanted of a request's body before the answer leaves.
//!
//! A server that closes a connection with unread bytes in it resets it, and the reset may
//! overtake the answer: the client that uploads before it reads would see a broken connection
//! instead of its challenge. What is read here is thrown away, and there is a limit on it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

/// Bytes that are read in vain: most calls of an API fit, and it bounds what anonymous clients
/// can make us read.
const BYTES_MAX: usize = 1024 * 1024;
/// How long that may take; clients that upload more slowly risk the reset.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a request's body comes back to when whoever got it drops it unread.
pub(crate) struct Leftover(Option<Slot>);

type Slot = Arc<Mutex<Option<Body>>>;

impl Leftover {
    /// Lends the body out.
    pub(crate) fn of(request: Request<Body>) -> (Request<Body>, Self) {
        // Whoever waits for 100 has not sent anything yet, and reading would ask for it. In HTTP/2 no
        // connection is closed with the request, and who streams may wait for our answer.
        let is_of_its_own = request.version() == Version::HTTP_2;
        if is_of_its_own || request.body().is_end_stream() || request.headers().contains_key(EXPECT)
        {
            return (request, Self(None));
        }
        let slot = Slot::default();
        let lent = Arc::clone(&slot);
        let request = request.map(|body| {
            Body::new(Lent {
                inner: body,
                slot: lent,
            })
        });
        (request, Self(Some(slot)))
    }

    /// Whether nothing was lent out.
    pub(crate) fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// Reads the rest, if the body has come back.
    pub(crate) async fn drain(self) {
        let Some(mut body) = self.0.and_then(|slot| lock(&slot).take()) else {
            return;
        };
        let read = async {
            let mut left = BYTES_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(bytes) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        };
        // Over the time or the limit, the connection is closed as it is.
        let _ = tokio::time::timeout(PATIENCE, read).await;
    }
}

/// A body that goes back to its slot.
struct Lent {
    inner: Body,
    slot: Slot,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.inner.is_end_stream() {
            let body = std::mem::replace(&mut self.inner, Body::empty());
            *lock(&self.slot) = Some(body);
        }
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Body>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
