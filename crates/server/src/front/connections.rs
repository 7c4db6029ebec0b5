//! Accepts connections, serves HTTP/1.1 on them, and stops gracefully.
//!
//! Called by the gateway and the facilitator. After the stop no connection is accepted, idle ones are
//! closed, and answers that are on their way may end until the deadline, as may what came after a 101.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::framing::{self, Ambiguous};
use super::stall::Impatient;
use super::timer::OneTimer;
use super::tunnel::Tunnel;

/// Bytes of a request's head: twice the largest payment header that is read. More is answered
/// with 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 100;
/// How long accepting pauses when the system has no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the accept loop needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at the same time; more wait in the system's queue.
    pub(crate) connections: usize,
    /// How long a client may take to send a head, and how long it may stay idle.
    pub(crate) head: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub(crate) stall: Duration,
    /// How long answers may go on after the stop.
    pub(crate) drain: Duration,
}

/// Serves `answer` on every connection until `shutdown`.
pub(crate) async fn serve<A, F>(
    listener: TcpListener,
    limits: Limits,
    answer: A,
    shutdown: impl Future<Output = ()>,
) where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send,
{
    let tasks = TaskTracker::new();
    let stops = Stops::default();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else {
            continue;
        };
        // Of its own: waiting on one that all share would take its lock whenever anything happens.
        let stops = Stops {
            gently: stops.gently.child_token(),
            now: stops.now.clone(),
        };
        let answer = answer.clone();
        tasks.spawn(async move {
            connection(stream, peer, limits, answer, stops).await;
            drop(slot);
        });
    }
    drop(listener);
    stops.gently.cancel();
    tasks.close();
    if tokio::time::timeout(limits.drain, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(open = tasks.len(), "cutting off answers that did not end");
        stops.now.cancel();
        tasks.wait().await;
    }
}

#[derive(Default)]
struct Stops {
    /// Finish what you are answering.
    gently: CancellationToken,
    /// Break off.
    now: CancellationToken,
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    // Nobody closes the semaphore.
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            Some((stream, peer, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection<A, F>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    answer: A,
    stops: Stops,
) where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Send,
    F: Future<Output = Response<Body>> + Send,
{
    // HTTP is over, and its future gone, before a tunnel gets the stream.
    if let Some(tunnel) = http1(stream, peer, limits, answer, &stops).await {
        tokio::select! {
            () = tunnel.run() => {}
            () = stops.now.cancelled() => {}
        }
    }
}

/// Serves HTTP/1.1 until the connection ends, or leaves for a tunnel.
async fn http1<A, F>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    answer: A,
    stops: &Stops,
) -> Option<Tunnel>
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Send,
    F: Future<Output = Response<Body>> + Send,
{
    let (stream, framings) = framing::guard(stream);
    let left = OnceLock::new();
    let leaving = &left;
    let service = service_fn(move |mut request: Request<Incoming>| {
        if framings.next_is_ambiguous() {
            request.extensions_mut().insert(Ambiguous);
        }
        let answered = answer(request, peer);
        async move {
            let mut answer = answered.await;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS
                && let Some(tunnel) = answer.extensions_mut().remove::<Tunnel>()
            {
                // There is one at most: nothing of HTTP follows it.
                let _ = leaving.set(tunnel);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = http1::Builder::new()
        .timer(OneTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Impatient::new(stream, limits.stall)), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = stops.gently.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = stops.now.cancelled() => return None,
            }
        }
    };
    match ended {
        Ok(()) => left.get().cloned(),
        Err(error) => {
            // Clients that hang up are the ordinary case.
            tracing::debug!(%peer, %error, "a connection has ended early");
            None
        }
    }
}
