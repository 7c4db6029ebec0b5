//! HTTP/2 connections to an upstream, each shared by as many requests as the upstream allows.
//!
//! Called by the pool. A trunk has a task of its own that drives it, unlike [`super::lane`]. A request
//! goes elsewhere only where the upstream cannot have seen it, or says that it has done nothing with
//! it: a stream that it refuses, or one beyond the last of its orderly goodbye; and then only a
//! request without a body, because what was read of a body is gone, and none that is paid for: its
//! upstream is not believed where a lie would run it twice for one price.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use farebox_seller::layer::MatchedRoute;
use http::header::{CONNECTION, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::dial::Stream;
use super::headers;
use super::lane::Unanswered;
use super::silence::{BoxError, Patient};

/// How often an upstream is asked whether it is still there, while it works for us.
const PING: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const PONG: Duration = Duration::from_secs(15);
/// Requests on one trunk, whatever the upstream allows.
const STREAMS_MAX: usize = 256;
/// Bytes of one answer that may come before they are read.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of all answers on a trunk that may: as many as all of them together, so that an answer that
/// nobody reads, and one whose payment is being settled, leaves the others their room. What h2
/// bears of small unread frames before it closes a connection grows with it.
const TRUNK_WINDOW: u32 = 16 * 1024 * 1024;
/// Bytes of a head that an upstream may send, as in HTTP/1.1.
const HEAD_BYTES_MAX: u32 = 400 * 1024;

type Driven = Connection<TokioIo<Greeted>, Body, TokioExecutor>;

/// The trunks of one upstream.
#[derive(Default)]
pub(super) struct Trunks {
    all: Mutex<Vec<Arc<Trunk>>>,
}

struct Trunk {
    sender: SendRequest<Body>,
    busy: AtomicUsize,
    /// How many it may carry at once.
    room: AtomicUsize,
}

/// A place on a trunk, for as long as a request and its answer last.
pub(super) struct Seat(Arc<Trunk>);

impl Trunks {
    /// A place, where there is one.
    pub(super) fn seat(&self) -> Option<Seat> {
        let mut all = self.lock();
        all.retain(|trunk| !trunk.sender.is_closed());
        let free = all.iter().find(|trunk| {
            trunk.busy.load(Ordering::Relaxed) < trunk.room.load(Ordering::Relaxed)
        })?;
        // Counted under the lock; given back without it.
        free.busy.fetch_add(1, Ordering::Relaxed);
        Some(Seat(Arc::clone(free)))
    }

    /// Speaks HTTP/2 on `stream` from now on, and keeps it.
    pub(super) async fn add(&self, stream: Stream, patience: Duration) -> Result<Seat, BoxError> {
        let greeting = Arc::new(Notify::new());
        let stream = Greeted {
            stream,
            has_read: false,
            greeting: Arc::clone(&greeting),
        };
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .max_header_list_size(HEAD_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(TRUNK_WINDOW)
            .handshake(TokioIo::new(stream))
            .await?;
        // How many streams there may be stands in its first frame.
        tokio::time::timeout(patience, greeting.notified())
            .await
            .map_err(|_| "no HTTP/2 was spoken in time")?;
        let trunk = Arc::new(Trunk {
            sender,
            busy: AtomicUsize::new(1),
            room: AtomicUsize::new(room(&connection)),
        });
        tokio::spawn(drive(connection, Arc::downgrade(&trunk)));
        self.lock().push(Arc::clone(&trunk));
        Ok(Seat(trunk))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Trunk>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn room(connection: &Driven) -> usize {
    connection.current_max_send_streams().min(STREAMS_MAX)
}

async fn drive(mut connection: Driven, trunk: std::sync::Weak<Trunk>) {
    let ended = poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx);
        if let Some(trunk) = trunk.upgrade() {
            trunk.room.store(room(&connection), Ordering::Relaxed);
        }
        ended
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection to an upstream has ended");
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seat {
    /// Sends a request in origin form; gives the answer when its head has come, and the request
    /// where it may be sent again.
    pub(super) async fn ask(
        self,
        mut request: Request<Body>,
        scheme: &Scheme,
        deadline: Instant,
        idle: Duration,
    ) -> Result<Response<Body>, Unanswered> {
        let has_body = !request.body().is_end_stream();
        let matched = request.extensions().get::<MatchedRoute>();
        let is_paid = matched.is_some_and(|route| route.is_paid);
        let again = (!has_body && !is_paid).then(|| without_body(&request));
        dress(&mut request, scheme);
        if has_body {
            request = request.map(|body| Body::new(WithoutTrailers(body)));
        }
        let answering = self.0.sender.clone().try_send_request(request);
        match tokio::time::timeout_at(deadline, answering).await {
            Ok(Ok(answer)) => Ok(answer.map(|body| {
                let carried = Carried {
                    body: Patient::new(body, idle),
                    _seat: self,
                };
                Body::new(carried)
            })),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                if let Some(mut request) = unsent {
                    undress(&mut request);
                    return Err(Unanswered::Unsent(Box::new(request), error));
                }
                Err(match again.filter(|_| was_not_processed(&error)) {
                    Some(request) => Unanswered::NotBegun(Box::new(request), error),
                    None => Unanswered::Failed(error),
                })
            }
            Err(_) => Err(Unanswered::Late),
        }
    }
}

/// The same request; it has no body.
fn without_body(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

/// HTTP/2 has the host in the target. The path stays byte for byte.
fn dress(request: &mut Request<Body>, scheme: &Scheme) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(scheme.clone());
    parts.authority = authority;
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    // Trailers pass through here.
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.insert(TE, HeaderValue::from_static("trailers"));
}

fn undress(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    headers::say_trailers(request.headers_mut());
    let host = request.uri().authority().map(Authority::as_str);
    if let Some(Ok(host)) = host.map(HeaderValue::try_from) {
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
}

/// Whether the upstream says that it has not begun with the request (RFC 9113 §8.7).
fn was_not_processed(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            let goodbye = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            return error.is_remote() && (refused || goodbye);
        }
        source = cause.source();
    }
    false
}

/// The body of a request. Its trailers end at the gate, as they do on the way to an upstream with
/// HTTP/1.1: nobody has looked at what stands in them.
struct WithoutTrailers(Body);

impl HttpBody for WithoutTrailers {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(frame.filter(|frame| !frame.as_ref().is_ok_and(Frame::is_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The body of an answer, and its place on the trunk.
struct Carried {
    body: Patient<Incoming>,
    _seat: Seat,
}

impl HttpBody for Carried {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells when the first bytes of a stream have been dealt with: the reader comes back for more, or
/// for the end.
struct Greeted {
    stream: Stream,
    has_read: bool,
    greeting: Arc<Notify>,
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.has_read {
            self.greeting.notify_one();
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.has_read = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
