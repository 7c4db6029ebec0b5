//! Bodies of answers may go on for as long as they like, but not be silent for ever, and their trailers
//! say nothing that a header of the gate's own says.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::headers;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Nothing has come for too long.
#[derive(Debug, thiserror::Error)]
#[error("the upstream has sent nothing of its body for too long")]
pub(super) struct Silent;

/// A body that ends with an error after too long a silence.
pub(super) struct Patient<B> {
    body: B,
    patience: Duration,
    /// Made when something is waited for the first time: most bodies never are.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl<B> Patient<B> {
    pub(super) fn new(body: B, patience: Duration) -> Self {
        Self {
            body,
            patience,
            timer: None,
            is_waiting: false,
        }
    }

    fn is_too_late(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let deadline = now.checked_add(self.patience).unwrap_or(now);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}

/// The same frame; in trailers, without what is no trailer.
fn without_headers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::strip_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

impl<B> HttpBody for Patient<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match frame {
            Poll::Ready(frame) => {
                self.is_waiting = false;
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(without_headers(frame)),
                    Err(error) => Err(error.into()),
                }))
            }
            Poll::Pending if self.is_too_late(cx) => Poll::Ready(Some(Err(Silent.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
