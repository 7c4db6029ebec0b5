//! The byte stream of one connection: TCP, or TLS over it, with what was read ahead given first.
//!
//! Made by [`super::opening`], read and written by hyper. One type for both, so that the servers
//! above are compiled once; what TLS needs is boxed, so that a plain connection stays small.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// A connection, ready for HTTP: in the clear, or over TLS, whose handshake is done.
pub(super) type Stream = Either<Prefixed<TcpStream>, Box<TlsStream<Prefixed<TcpStream>>>>;

/// A stream of which some bytes were read ahead.
pub(super) struct Prefixed<S> {
    ahead: Bytes,
    stream: S,
}

impl<S> Prefixed<S> {
    /// Gives `ahead`, then what `stream` has.
    pub(super) fn new(ahead: Bytes, stream: S) -> Self {
        Self { ahead, stream }
    }

    /// Gives `bytes` first, before everything else.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        let mut ahead = BytesMut::with_capacity(bytes.len().saturating_add(self.ahead.len()));
        ahead.extend_from_slice(bytes);
        ahead.extend_from_slice(&self.ahead);
        self.ahead = ahead.freeze();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let fits = this.ahead.len().min(buf.remaining());
        buf.put_slice(this.ahead.get(..fits).unwrap_or_default());
        this.ahead.advance(fits);
        if this.ahead.is_empty() {
            // The memory behind it goes as well.
            this.ahead = Bytes::new();
            // With what there is already: hyper doubles its buffer, for as long as the connection lasts,
            // when the first piece of a head is no whole one. What goes wrong here shows in the next read.
            let _ = Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
