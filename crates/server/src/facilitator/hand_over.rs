//! The body of `success: true`, which remembers when its connection died before taking it.
//!
//! One caller gets that answer (ARCHITECTURE law 10). If its connection is gone before the bytes
//! were handed to it, the next identical request gets it instead: for that the identity is
//! remembered, in this process only, at the moment the answer is dropped.
//!
//! A retry under the same key may be told while the answer before it still waits for a dead
//! connection. That answer is then owed to nobody: dropped later, it must not be remembered.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use farebox_wire::identity::Identity;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::memory::Memory;

/// Identities whose `success: true` did not leave, and those of which it is on its way.
pub(super) struct Unheard {
    unheard: Memory<Identity, ()>,
    on_the_way: Mutex<HashMap<Identity, u64>>,
    next: AtomicU64,
}

impl Unheard {
    /// Remembers at most so many that did not leave. Those on the way are as many as connections.
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            unheard: Memory::new(entries_max),
            on_the_way: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// Whether an answer waits for the next caller.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        self.unheard.get(identity).is_some()
    }

    /// Takes the answer that waits for the next caller, if one does.
    pub(super) fn take(&self, identity: &Identity) -> bool {
        self.unheard.take(identity).is_some()
    }

    /// The caller who was told is told again, so nothing is owed any more: neither what waits nor
    /// what is still on its way.
    pub(super) fn told_again(&self, identity: &Identity) {
        // Held for both, so that an answer is dropped before them or after them.
        let mut on_the_way = self.lock();
        on_the_way.remove(identity);
        self.unheard.take(identity);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, u64>> {
        // Whole after every statement, so a panic elsewhere cannot have broken it.
        let on_the_way = self.on_the_way.lock();
        on_the_way.unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that one caller is owed; dropped without having been taken, it is remembered.
pub(super) struct Owed {
    unheard: Arc<Unheard>,
    identity: Option<Identity>,
    number: u64,
}

impl Owed {
    pub(super) fn new(unheard: Arc<Unheard>, identity: Identity) -> Self {
        let number = unheard.next.fetch_add(1, Ordering::Relaxed);
        unheard.lock().insert(identity.clone(), number);
        Self {
            unheard,
            identity: Some(identity),
            number,
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
        if let Some(identity) = self.identity.take() {
            self.is_mine(&mut self.unheard.lock(), &identity);
        }
    }

    /// Whether this is still the answer that its caller is owed. It is not on its way any more.
    fn is_mine(&self, on_the_way: &mut HashMap<Identity, u64>, identity: &Identity) -> bool {
        let is_mine = on_the_way.get(identity) == Some(&self.number);
        if is_mine {
            on_the_way.remove(identity);
        }
        is_mine
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let Some(identity) = self.identity.take() else {
            return;
        };
        let mut on_the_way = self.unheard.lock();
        if self.is_mine(&mut on_the_way, &identity) {
            tracing::info!(%identity, "the caller has gone; its answer waits for the next one");
            self.unheard.unheard.put(identity, ());
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

#[cfg(test)]
#[path = "hand_over_tests.rs"]
mod tests;
