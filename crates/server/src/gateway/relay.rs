//! Copies bytes between two connections, both ways at once, until both ways have ended.
//!
//! Run by a tunnel, after a 101. It holds no buffer while nothing moves, and gives up when nothing
//! has moved for too long, so that two peers who have forgotten each other hold nothing for ever.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes that are read at once.
const BYTES_AT_ONCE: usize = 16 * 1024;

/// How long nothing may move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// While both sides are there.
    pub(super) of_both: Duration,
    /// When one has ended.
    pub(super) of_one: Duration,
}

/// A connection, and what was read of it before the relay began.
pub(super) struct Side<S> {
    pub(super) stream: S,
    pub(super) early: Bytes,
}

/// Copies until both have ended.
///
/// # Errors
/// What broke, or that nothing has moved for too long.
pub(super) async fn run<A, B>(a: Side<A>, b: Side<B>, silence: Silence) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Way::new(a.early), Way::new(b.early));
    let (mut a, mut b) = (a.stream, b.stream);
    let mut timer = std::pin::pin!(tokio::time::sleep(silence.of_both));
    poll_fn(|cx| {
        let before = (there.moved, back.moved);
        let ended = there.poll(cx, &mut a, &mut b)?.is_ready();
        let ended = back.poll(cx, &mut b, &mut a)?.is_ready() && ended;
        if ended {
            return Poll::Ready(Ok(()));
        }
        if before != (there.moved, back.moved) {
            let patience = match there.is_ended || back.is_ended {
                true => silence.of_one,
                false => silence.of_both,
            };
            let now = Instant::now();
            timer
                .as_mut()
                .reset(now.checked_add(patience).unwrap_or(now));
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// One direction.
struct Way {
    /// Read, and not written yet.
    rest: Bytes,
    /// Reads and writes that have come to something, and the end.
    moved: u64,
    /// The reader has nothing more to say.
    is_ended: bool,
    /// The writer was told so.
    is_shut: bool,
}

impl Way {
    fn new(early: Bytes) -> Self {
        Self {
            rest: early,
            moved: 0,
            is_ended: false,
            is_shut: false,
        }
    }

    /// Ready when the end has been passed on.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.is_shut {
            while !self.rest.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.rest))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.rest.advance(written);
                self.count();
            }
            if self.is_ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.is_shut = true;
            } else if self.read(cx, from)?.is_pending() {
                ready!(Pin::new(&mut *to).poll_flush(cx))?;
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); BYTES_AT_ONCE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
        self.count();
        self.is_ended = buffer.filled().is_empty();
        // Memory of its own, as much as came, and given back once it is written.
        self.rest = Bytes::copy_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    fn count(&mut self) {
        self.moved = self.moved.wrapping_add(1);
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
