//! Accepts connections, has them opened and served, and stops gracefully.
//!
//! Called by the gateway and the facilitator. After the stop no connection is accepted, idle ones are
//! closed, and answers that are on their way may end until the deadline, as may what came after a 101. Beyond the number of
//! connections that there may be, a client is told so and is not kept.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::redirect::{self, Redirect};
use super::tls::Tls;
use super::{FrontDoor, http1, http2, opening};

/// How long accepting pauses when the system has no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Clients that are told at the same time that there are too many; all others are cut off.
const TURNED_AWAY_MAX: usize = 64;
/// How long such a client has to take the answer.
const TURNING_AWAY: Duration = Duration::from_secs(1);
/// What it is told. It has sent nothing that would have been read.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    connection: close\r\n\
    content-type: application/json\r\n\
    cache-control: no-store\r\n\
    retry-after: 1\r\n\
    content-length: 99\r\n\r\n\
    {\"error\":\"too_many_connections\",\"message\":\"there are too many connections; come again in a moment\"}";

/// What the accept loop needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a client may take to open a connection, to send a head, and how long it may stay
    /// idle between two.
    pub(crate) head: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub(crate) stall: Duration,
    /// How long answers may go on after the stop.
    pub(crate) drain: Duration,
}

/// Where clients come in.
pub(crate) struct Entrance {
    pub(crate) listener: TcpListener,
    /// The listener in the clear beside one with TLS.
    pub(crate) redirect: Option<Redirect>,
    pub(crate) front: FrontDoor,
}

/// The connections of one server: how many there are, and how many there may be. More are
/// turned away.
#[derive(Clone, Debug)]
pub struct Connections {
    slots: Arc<Semaphore>,
    max: usize,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.max.saturating_sub(self.slots.available_permits())
    }
}

/// Serves `answer` on every connection until `shutdown`, and tells until when the rest of the drain
/// may take.
pub(crate) async fn serve<A, F>(
    entrance: Entrance,
    limits: Limits,
    connections: &Connections,
    answer: A,
    shutdown: impl Future<Output = ()>,
) -> Instant
where
    A: Fn(Request<Incoming>, Client) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let front = Arc::new(entrance.front);
    let stopping = async {
        shutdown.await;
        stop.cancel();
    };
    let serving = serve_on(
        (entrance.listener, connections),
        limits,
        Arc::clone(&front),
        answer,
        &stop,
    );
    let redirecting = async {
        if let Some(redirect) = entrance.redirect {
            serve_redirect(redirect, limits, connections.max, &front, &stop).await;
        }
    };
    let reloading = async {
        if let Some(tls) = &front.tls {
            stop.run_until_cancelled(tls.watch()).await;
        }
    };
    let ((), deadline, (), ()) = tokio::join!(stopping, serving, redirecting, reloading);
    deadline
}

/// Serves nothing but redirects: in the clear, behind the same proxies.
async fn serve_redirect(
    redirect: Redirect,
    limits: Limits,
    connections_max: usize,
    front: &FrontDoor,
    stop: &CancellationToken,
) {
    let challenges = front.tls.as_ref().and_then(Tls::challenges).cloned();
    let front = FrontDoor {
        tls: None,
        ..front.clone()
    };
    let to: Arc<str> = redirect.to.into();
    let answer = move |request: Request<Incoming>, _: Client| {
        let (to, challenges) = (Arc::clone(&to), challenges.clone());
        async move { redirect::answer(&to, challenges.as_ref(), request).await }
    };
    let own = Connections::new(connections_max);
    serve_on(
        (redirect.listener, &own),
        limits,
        Arc::new(front),
        answer,
        stop,
    )
    .await;
}

/// Tells until when the rest of the drain may take.
async fn serve_on<A, F>(
    (listener, connections): (TcpListener, &Connections),
    limits: Limits,
    front: Arc<FrontDoor>,
    answer: A,
    stop: &CancellationToken,
) -> Instant
where
    A: Fn(Request<Incoming>, Client) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let tasks = TaskTracker::new();
    let stops = Stops::default();
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener)).await {
        let Some((stream, peer)) = accepted else {
            continue;
        };
        let Ok(slot) = Arc::clone(&connections.slots).try_acquire_owned() else {
            turn_away(stream, &turned_away, &front, &tasks);
            continue;
        };
        // Of its own: waiting on one that all share would take its lock whenever anything happens.
        let stops = Stops {
            gently: stops.gently.child_token(),
            now: stops.now.clone(),
        };
        let (front, answer, streams) = (Arc::clone(&front), answer.clone(), tasks.clone());
        tasks.spawn(async move {
            connection((stream, peer), limits, front, answer, stops, streams).await;
            drop(slot);
        });
    }
    drop(listener);
    let now = Instant::now();
    let deadline = now.checked_add(limits.drain).unwrap_or(now);
    stops.gently.cancel();
    tasks.close();
    if tokio::time::timeout_at(deadline, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(open = tasks.len(), "cutting off answers that did not end");
        stops.now.cancel();
        tasks.wait().await;
    }
    deadline
}

/// How a connection ends before its time.
#[derive(Default)]
pub(super) struct Stops {
    /// Finish what you are answering.
    pub(super) gently: CancellationToken,
    /// Break off.
    pub(super) now: CancellationToken,
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            Some((stream, peer))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Opens a connection and serves what it speaks.
async fn connection<A, F>(
    (stream, peer): (TcpStream, SocketAddr),
    limits: Limits,
    front: Arc<FrontDoor>,
    answer: A,
    stops: Stops,
    tasks: TaskTracker,
) where
    A: Fn(Request<Incoming>, Client) -> F + Send,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Apart from the rest: it is soon over, and a connection's memory is kept for long.
    let opening = Box::pin(opening::open(stream, peer, &front));
    let opened = tokio::select! {
        opened = tokio::time::timeout(limits.head, opening) => opened,
        () = stops.gently.cancelled() => return,
    };
    let opened = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a connection did not open");
            return;
        }
        Err(_) => {
            tracing::debug!(%peer, "a connection was too slow to open");
            return;
        }
    };
    match opened.is_http_2 {
        true => Box::pin(http2::serve(opened, limits, front, answer, (stops, tasks))).await,
        false => http1::serve(opened, limits, front, answer, stops).await,
    }
}

/// Tells a client that there are too many, without waiting for what it wants. With TLS it would
/// cost a handshake to say so.
fn turn_away(
    mut stream: TcpStream,
    places: &Arc<Semaphore>,
    front: &FrontDoor,
    tasks: &TaskTracker,
) {
    tracing::debug!("there are too many connections");
    if front.tls.is_some() {
        return;
    }
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        return;
    };
    tasks.spawn(async move {
        let telling = async {
            stream.write_all(TOO_MANY).await?;
            stream.shutdown().await?;
            // Closed with something unread in it, the answer might never arrive.
            let mut unread = [0; 1024];
            while stream.read(&mut unread).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        // Who has gone needs no answer.
        let _ = tokio::time::timeout(TURNING_AWAY, telling).await;
        drop::<OwnedSemaphorePermit>(place);
    });
}
