//! The two bodies of a paid request: the one that comes, hashed on its way through, and the one
//! that leaves, watched to its end. Neither is ever buffered here.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use farebox_core::ledger::{Attach, PaymentId};
use farebox_core::payment::Event;
use http_body::{Body as HttpBody, Frame, SizeHint};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::headers;
use crate::l402::TakenUse;
use crate::till::{Seat, Till};

/// The digest of a request's body, known once the body has been read to its end.
#[derive(Clone, Default)]
pub struct BodyDigest(Arc<OnceLock<[u8; 32]>>);

impl BodyDigest {
    /// The digest of a body that is known whole.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Self::default();
        digest.set(Sha256::digest(bytes).into());
        digest
    }

    /// The digest, if the end has been reached.
    #[must_use]
    pub fn get(&self) -> Option<[u8; 32]> {
        self.0.get().copied()
    }

    fn set(&self, digest: [u8; 32]) {
        // The end of one body comes once; a second end says the same.
        let _ = self.0.set(digest);
    }
}

/// A request body that is hashed while it streams through.
pub(crate) struct HashingBody {
    inner: Body,
    hash: Sha256,
    digest: BodyDigest,
}

impl HashingBody {
    /// Wraps `inner`; the digest is set when its end has passed.
    pub(crate) fn new(inner: Body) -> (Self, BodyDigest) {
        let digest = if inner.is_end_stream() {
            BodyDigest::of(b"")
        } else {
            BodyDigest::default()
        };
        let body = Self {
            inner,
            hash: Sha256::new(),
            digest: digest.clone(),
        };
        (body, digest)
    }
}

impl HttpBody for HashingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.hash.update(data);
        }
        let failed = matches!(frame, Some(Err(_)));
        if !failed && (frame.is_none() || self.inner.is_end_stream()) {
            self.digest.set(self.hash.clone().finalize().into());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether an answer has been given to the connection; until then its buyer may have gone.
#[derive(Clone, Default)]
pub(crate) struct HandedOver(Arc<AtomicBool>);

impl HandedOver {
    pub(crate) fn confirm(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_confirmed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What has to be recorded when an answer has left.
pub(crate) struct Delivery {
    pub(crate) till: Arc<Till>,
    pub(crate) payment: PaymentId,
    pub(crate) bought: Bought,
    pub(crate) handed_over: HandedOver,
    /// `HEAD`, 101, 204 and 304 have no body: their head is the whole answer.
    pub(crate) is_bodyless: bool,
}

/// With what an answer was bought.
pub(crate) enum Bought {
    /// With the authorization of one payment, whose seat is taken.
    Authorization {
        request_body: BodyDigest,
        seat: Seat,
    },
    /// With one use of a token.
    Token(TakenUse),
}

impl Delivery {
    /// Records how it ended, then gives up the seat. Without an event the payment stays settled
    /// and undelivered, and the same credential is let through once more; a use is given back.
    pub(crate) fn record(self, event: Option<Event>, runtime: &Handle) {
        let Self {
            till,
            payment,
            bought,
            ..
        } = self;
        let (request_body, seat) = match bought {
            Bought::Authorization { request_body, seat } => (request_body, seat),
            Bought::Token(taken) => return taken.ended(event),
        };
        let attach = Attach {
            body_digest: request_body.get(),
            ..Attach::default()
        };
        if event.is_none() && attach.body_digest.is_none() {
            return;
        }
        seat.close();
        let tasks = till.tasks().clone();
        let record = async move {
            let now_ms = till.clock().now_ms();
            let is_delivered = event.is_some();
            let recorded = match event {
                Some(event) => till
                    .ledger()
                    .apply(&payment, event, attach, now_ms)
                    .await
                    .map(drop),
                None => till.ledger().attach(&payment, attach).await,
            };
            if let Err(error) = recorded {
                tracing::error!(%payment, %error, "the end of an answer is not on record");
                if is_delivered {
                    // The books would let the same credential through once more.
                    return seat.keep();
                }
            }
            // Named here, or it would be given up before anything is on record.
            drop(seat);
        };
        drop(tasks.spawn_on(record, runtime));
    }
}

/// A paid answer on its way out.
pub(crate) struct PaidBody {
    inner: Body,
    delivery: Option<Delivery>,
    runtime: Handle,
    is_polled: bool,
    is_ended: bool,
    is_broken: bool,
}

impl PaidBody {
    /// Must be called inside a tokio runtime: the record is written there.
    pub(crate) fn new(inner: Body, delivery: Delivery) -> Self {
        Self {
            inner,
            delivery: Some(delivery),
            runtime: Handle::current(),
            is_polled: false,
            is_ended: false,
            is_broken: false,
        }
    }

    fn ending(&self, delivery: &Delivery) -> Option<Event> {
        if !delivery.handed_over.is_confirmed() {
            return None;
        }
        if self.is_broken {
            return Some(Event::Aborted);
        }
        if self.is_ended || delivery.is_bodyless || self.inner.is_end_stream() {
            return Some(Event::Delivered);
        }
        // Never asked for a byte: the connection was gone before the head could leave.
        self.is_polled.then_some(Event::Aborted)
    }
}

impl HttpBody for PaidBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_polled = true;
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            None => self.is_ended = true,
            Some(Err(_)) => self.is_broken = true,
            // A call of gRPC that fails midway says so in its trailers.
            Some(Ok(frame)) => {
                let trailers = frame.trailers_ref();
                self.is_broken |= trailers.is_some_and(headers::says_that_grpc_failed);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for PaidBody {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            let event = self.ending(&delivery);
            delivery.record(event, &self.runtime);
        }
    }
}
