//! The body of `success: true`, which remembers when its connection died before taking it.
//!
//! One caller gets that answer (ARCHITECTURE law 10). If its connection is gone before the bytes
//! were handed to it, the next identical request gets it instead: for that the identity is
//! remembered, in this process only, at the moment the answer is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use farebox_wire::identity::Identity;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::memory::Memory;

/// Identities whose `success: true` did not leave.
pub(super) type Unheard = Memory<Identity, ()>;

/// An answer that one caller is owed; dropped without having been taken, it is remembered.
pub(super) struct Owed {
    unheard: Arc<Unheard>,
    identity: Option<Identity>,
}

impl Owed {
    pub(super) const fn new(unheard: Arc<Unheard>, identity: Identity) -> Self {
        Self {
            unheard,
            identity: Some(identity),
        }
    }

    /// The body that carries it.
    pub(super) fn into_body(self, bytes: Bytes) -> Body {
        Body::new(OwedBody {
            bytes: Some(bytes),
            owed: self,
        })
    }

    fn has_left(&mut self) {
        self.identity = None;
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(identity) = self.identity.take() {
            tracing::info!(%identity, "the caller has gone; its answer waits for the next one");
            self.unheard.put(identity, ());
        }
    }
}

struct OwedBody {
    bytes: Option<Bytes>,
    owed: Owed,
}

impl HttpBody for OwedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let bytes = self.bytes.take();
        // From here on it is the connection's, and the peer may have it.
        self.owed.has_left();
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(left).unwrap_or(u64::MAX))
    }
}
