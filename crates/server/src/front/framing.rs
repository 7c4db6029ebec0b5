//! Finds requests that give their length twice, by Content-Length and by Transfer-Encoding.
//!
//! Two servers can read such a request in two ways, so it is refused; hyper drops the length
//! without a word. [`super::connections`] puts a [`FramingGuard`] below hyper: it watches the bytes
//! on their way up, keeps where one request ends and the next begins (RFC 9112 §6, §7), and tells
//! through [`Framings`] from which request on the connection is ambiguous. It must never change,
//! hold or copy a byte: memory is constant whatever a client sends, and bodies are skipped by
//! count.
//!
//! It is as lenient as can be: hyper refuses malformed heads and chunks and serves nothing that
//! follows them, so it does not matter how they are read here.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More requests than a connection can carry.
const NEVER: u64 = u64::MAX;

/// Marks a request, as an extension, whose framing is ambiguous.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambiguous;

/// A connection whose reader is watched.
pub(crate) struct FramingGuard<S> {
    stream: S,
    watch: Watch,
    ambiguous_from: Arc<AtomicU64>,
}

/// What the guard has seen, for the side that answers.
pub(crate) struct Framings {
    ambiguous_from: Arc<AtomicU64>,
    asked: Cell<u64>,
}

/// Watches what is read from `stream`.
pub(crate) fn guard<S>(stream: S) -> (FramingGuard<S>, Framings) {
    let ambiguous_from = Arc::new(AtomicU64::new(NEVER));
    let guard = FramingGuard {
        stream,
        watch: Watch::default(),
        ambiguous_from: Arc::clone(&ambiguous_from),
    };
    let framings = Framings {
        ambiguous_from,
        asked: Cell::new(0),
    };
    (guard, framings)
}

impl Framings {
    /// Whether the next request is ambiguous, or comes after one that was. Call it once for each
    /// request, in their order: many may have been read at once, and those before are sound.
    pub(crate) fn next_is_ambiguous(&self) -> bool {
        let request = self.asked.get();
        self.asked.set(request.saturating_add(1));
        // One task reads and answers a connection: there is nothing to order.
        request >= self.ambiguous_from.load(Ordering::Relaxed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingGuard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.watch
            .read(buf.filled().get(before..).unwrap_or_default());
        if let Some(request) = this.watch.ambiguous {
            this.ambiguous_from.store(request, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FramingGuard<S> {
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

/// Follows the requests of one connection.
#[derive(Default)]
struct Watch {
    place: Place,
    /// Content-Length of the head that is being read.
    length: Option<u64>,
    /// Whether the head that is being read has a Transfer-Encoding.
    encoded: bool,
    /// Heads that were read to their end.
    heads: u64,
    /// The first request, counted from 0, that has both.
    ambiguous: Option<u64>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Default)]
enum Place {
    /// Empty lines before a request, which are skipped, or its first byte.
    #[default]
    Start,
    RequestLine,
    /// A header's name, or the empty line that ends the head.
    Name(Name),
    /// The value of Content-Length.
    Length,
    /// The value of any other header.
    Value,
    /// A body, or the data of a chunk and what ends it.
    Skip {
        left: u64,
        then: AfterSkip,
    },
    ChunkSize(u64),
    ChunkExtension(u64),
    ChunkLineFeed(u64),
    /// A trailer's first byte, or the empty line that ends the body.
    TrailerStart,
    Trailer,
}

#[derive(Clone, Copy)]
enum AfterSkip {
    Request,
    Chunk,
    Trailer,
}

impl Watch {
    fn read(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            bytes = match self.place {
                Place::RequestLine | Place::Value => self.rest_of_line(bytes),
                Place::Skip { left, then } => self.skip(bytes, left, then),
                Place::Name(name) if name.len == 0 => self.line(first, bytes),
                Place::Start | Place::Name(_) | Place::Length => {
                    self.place = self.in_head(first);
                    rest
                }
                chunk => {
                    self.place = in_chunks(chunk, first);
                    rest
                }
            };
        }
    }

    /// Leaves a line whose content does not matter.
    fn rest_of_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((_, rest)) = split_line(bytes) else {
            return &[];
        };
        self.place = Place::Name(Name::default());
        rest
    }

    /// A line of a head. One that has come whole is read at once, any other byte by byte: that gives
    /// the same.
    fn line<'a>(&mut self, first: u8, bytes: &'a [u8]) -> &'a [u8] {
        let Some((line, rest)) = split_line(bytes) else {
            self.place = self.in_head(first);
            return bytes.get(1..).unwrap_or_default();
        };
        if matches!(line, b"" | b"\r") {
            self.place = self.end_of_head();
            return rest;
        }
        let start = line.get(..=NAME_BYTES_MAX).unwrap_or(line);
        let mut parts = start.splitn(2, |byte| *byte == b':');
        let (name, is_name) = (parts.next().unwrap_or_default(), parts.next().is_some());
        if is_name && name.eq_ignore_ascii_case(CONTENT_LENGTH) {
            self.place = Place::Length;
            self.length = Some(0);
            for byte in line.get(CONTENT_LENGTH.len()..).unwrap_or_default() {
                self.place = self.in_head(*byte);
            }
        }
        self.encoded |= is_name && name.eq_ignore_ascii_case(TRANSFER_ENCODING);
        self.place = Place::Name(Name::default());
        rest
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, then: AfterSkip) -> &'a [u8] {
        // A body longer than memory goes on in the next read.
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        let Some((_, rest)) = bytes.split_at_checked(wanted) else {
            let seen = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let left = left.saturating_sub(seen);
            self.place = Place::Skip { left, then };
            return &[];
        };
        self.place = match then {
            AfterSkip::Request => Place::Start,
            AfterSkip::Chunk => Place::ChunkSize(0),
            AfterSkip::Trailer => Place::TrailerStart,
        };
        rest
    }

    fn in_head(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::Start, b'\r' | b'\n') => Place::Start,
            (Place::Start, _) => Place::RequestLine,
            (Place::Name(name), b'\n') if name.is_empty_line() => self.end_of_head(),
            (Place::Name(_) | Place::Length, b'\n') => Place::Name(Name::default()),
            (Place::Name(name), b':') if name.is(CONTENT_LENGTH) => {
                self.length = Some(0);
                Place::Length
            }
            (Place::Name(name), b':') => {
                self.encoded |= name.is(TRANSFER_ENCODING);
                Place::Value
            }
            (Place::Name(name), _) => name.with(byte).map_or(Place::Value, Place::Name),
            (place, digit @ b'0'..=b'9') => {
                let length = self.length.unwrap_or_default().saturating_mul(10);
                self.length = Some(length.saturating_add(u64::from(digit - b'0')));
                place
            }
            (place, _) => place,
        }
    }

    fn end_of_head(&mut self) -> Place {
        let length = self.length.take();
        let encoded = std::mem::take(&mut self.encoded);
        if encoded && length.is_some() && self.ambiguous.is_none() {
            self.ambiguous = Some(self.heads);
        }
        self.heads = self.heads.saturating_add(1);
        match length {
            _ if encoded => Place::ChunkSize(0),
            None => Place::Start,
            Some(left) => Place::Skip {
                left,
                then: AfterSkip::Request,
            },
        }
    }
}

/// Where `byte` leads to in a chunked body. Lines end with a carriage return and one more byte,
/// which hyper makes sure is a line feed.
fn in_chunks(place: Place, byte: u8) -> Place {
    let line_feed = |then| Place::Skip { left: 1, then };
    match (place, byte) {
        (Place::ChunkSize(size) | Place::ChunkExtension(size), b'\r') => Place::ChunkLineFeed(size),
        (Place::ChunkSize(size), _) => match char::from(byte).to_digit(16) {
            Some(digit) => {
                let size = size.saturating_mul(16).saturating_add(u64::from(digit));
                Place::ChunkSize(size)
            }
            None => Place::ChunkExtension(size),
        },
        (Place::ChunkLineFeed(0), _) => Place::TrailerStart,
        (Place::ChunkLineFeed(size), _) => Place::Skip {
            left: size.saturating_add(2),
            then: AfterSkip::Chunk,
        },
        (Place::TrailerStart, b'\r') => line_feed(AfterSkip::Request),
        (Place::Trailer, b'\r') => line_feed(AfterSkip::Trailer),
        (Place::TrailerStart, _) => Place::Trailer,
        (place, _) => place,
    }
}

/// A line without its line feed, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    Some((line, rest.get(1..)?))
}

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
/// The longest name that matters.
const NAME_BYTES_MAX: usize = TRANSFER_ENCODING.len();

/// The start of a header line.
#[derive(Clone, Copy, Default)]
struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
}

impl Name {
    /// `None` when the name is too long to be one that matters.
    fn with(mut self, byte: u8) -> Option<Self> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len = self.len.saturating_add(1);
        Some(self)
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn is(&self, lower_case: &[u8]) -> bool {
        self.written().eq_ignore_ascii_case(lower_case)
    }

    fn is_empty_line(&self) -> bool {
        matches!(self.written(), b"" | b"\r")
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
