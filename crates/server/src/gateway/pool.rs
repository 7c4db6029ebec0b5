//! The connections to one upstream: opened when they are needed, kept for the next request.
//!
//! Called by the proxy. Over HTTP/1.1 a connection carries one request at a time (`lane`), over
//! HTTP/2 many (`trunk`). A request that was not sent, because the connection that was kept for it
//! had just been closed, goes to another one. One of which a byte may have left is repeated once, if
//! the upstream says in HTTP/2 that it has done nothing with it, and if it is not paid for; nothing
//! else ever is.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::dial::{Dialer, Offer};
use super::lane::{Lane, Left, Unanswered};
use super::proxy::Patience;
use super::streamed;
use super::trunk::{Seat, Trunks};
use super::upstream::{Speech, Upstream, UpstreamError};

/// Idle connections are given up before common servers do (Node after 5 s): a request on one that
/// is just being closed would fail.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections to one upstream: as many as a busy gate uses at once.
const IDLE_MAX: usize = 512;
/// Connections that are being opened at once; a burst waits for these, or for one that is given
/// back meanwhile.
const OPENING_MAX: usize = 32;
/// Open connections from which on a request waits a moment for one that is given back before it has
/// another one opened: each has 35 KiB of buffers for as long as it is kept.
const MANY: usize = 64;
/// That moment: a quick upstream answers within it, and to a slow one it is nothing.
const MOMENT: Duration = Duration::from_millis(30);

/// How often a request goes to another connection of HTTP/2, where nothing of it was sent.
const ELSEWHERE_MAX: usize = 3;

/// The connections to one upstream.
pub(super) struct Pool {
    dialer: Dialer,
    patience: Patience,
    /// Where it may speak HTTP/2.
    trunks: Option<Trunks>,
    /// Whether it does without asking for it first.
    speech: Speech,
    idle: Mutex<Idle>,
    /// Every open connection of HTTP/1.1 has a copy.
    open: Arc<()>,
    /// [`MOMENT`], but in tests.
    moment: Duration,
    opening: Semaphore,
    /// Whether it is known to speak nothing else.
    speaks_http_1: AtomicBool,
    /// That a connection was given back.
    returned: Notify,
}

#[derive(Default)]
struct Idle {
    /// With the time since when each is idle; the last one is used next.
    lanes: VecDeque<(Instant, Box<Lane>)>,
    /// Whether somebody looks for those that have been idle for too long.
    is_swept: bool,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Nobody accepts the connection.
    #[error("{0}")]
    Unreachable(Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke off, or the body of the request did.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// Its certificate does not convince.
    #[error("{0}")]
    Untrusted(String),
    /// It took too long.
    #[error("no answer in time")]
    Late,
}

/// What a request is sent on.
enum Carrier {
    /// With whether it has carried another one before.
    Lane(Box<Lane>, bool),
    Seat(Seat),
}

impl Pool {
    pub(super) fn new(upstream: &Upstream, patience: Patience) -> Result<Arc<Self>, UpstreamError> {
        let speech = upstream.speech();
        let is_plain = speech == Speech::Http1;
        Ok(Arc::new(Self {
            dialer: Dialer::new(upstream, patience.connect)?,
            patience,
            trunks: (!is_plain).then(Trunks::default),
            speech,
            idle: Mutex::default(),
            open: Arc::default(),
            moment: MOMENT,
            // One at a time where the first may carry all: until it says that it speaks HTTP/1.1.
            opening: Semaphore::new(if is_plain { OPENING_MAX } else { 1 }),
            speaks_http_1: AtomicBool::new(is_plain),
            returned: Notify::new(),
        }))
    }

    /// Whether it may be asked for a WebSocket: HTTP/2 in the clear has no HTTP/1.1 beside it.
    pub(super) fn may_leave(&self) -> bool {
        self.speech != Speech::Http2
    }

    /// How long its upstream may take.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// Sends a request, whose target is in origin form and whose Host is set; gives the answer when
    /// its head has come.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Box<Request<Body>>,
        deadline: Instant,
    ) -> Result<Response<Body>, Failed> {
        let mut elsewhere = 0;
        let mut is_second = false;
        loop {
            let carrier = match self.kept() {
                Some(carrier) => carrier,
                // Apart from the rest: it is needed rarely, and has room for many addresses.
                None => tokio::time::timeout_at(deadline, Box::pin(self.wait_or_open()))
                    .await
                    .map_err(|_| Failed::Late)??,
            };
            let (answered, may_go_elsewhere) = match carrier {
                Carrier::Lane(mut lane, is_kept) => match lane.ask(*request, deadline).await {
                    Ok(answer) => return Ok(streamed::answer(answer, lane, self)),
                    Err(why) => (why, is_kept),
                },
                Carrier::Seat(seat) => {
                    elsewhere += 1;
                    let (scheme, idle) = (self.scheme(), self.patience.idle);
                    match Box::pin(seat.ask(*request, &scheme, deadline, idle)).await {
                        Ok(answer) => return Ok(answer),
                        Err(why) => (why, elsewhere < ELSEWHERE_MAX),
                    }
                }
            };
            request = match answered {
                Unanswered::Unsent(request, _) if may_go_elsewhere => request,
                Unanswered::NotBegun(request, _) if !is_second => {
                    is_second = true;
                    request
                }
                why => return Err(why.into()),
            }
        }
    }

    fn scheme(&self) -> Scheme {
        match self.speech {
            Speech::Tls => Scheme::HTTPS,
            Speech::Http1 | Speech::Http2 => Scheme::HTTP,
        }
    }

    /// Sends a request that asks to leave HTTP, on a connection of its own, so that nothing has to
    /// be repeated. Gives the answer, and for one with 101 what the connection has become.
    pub(super) async fn send_leaving(
        self: &Arc<Self>,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<(Response<Body>, Option<Left>), Failed> {
        let opening = Box::pin(self.dialer.open(Offer::Http1));
        let opened = tokio::time::timeout_at(deadline, opening).await;
        let (stream, _) = opened.map_err(|_| Failed::Late)??;
        let mut lane = Lane::new(stream, &self.open).await?;
        lane.may_leave();
        match lane.ask(request, deadline).await {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let left = tokio::time::timeout_at(deadline, lane.leave()).await;
                let left = left.map_err(|_| Failed::Late)?;
                Ok((answer.map(|_| Body::empty()), left))
            }
            Ok(answer) => Ok((streamed::answer(answer, lane, self), None)),
            Err(why) => Err(why.into()),
        }
    }

    /// Keeps a connection whose answer has ended for the next request.
    pub(super) fn put_back(self: &Arc<Self>, mut lane: Box<Lane>) {
        if lane.is_free() {
            self.keep(lane);
        } else if !lane.has_ended() {
            // The upstream has answered, and still reads the request. A client that sends the rest of
            // it never would keep both connections for ever.
            let pool = Arc::clone(self);
            tokio::spawn(async move {
                let is_whole = tokio::time::timeout(pool.patience.idle, lane.finish()).await;
                if is_whole.is_ok() && lane.is_free() {
                    pool.keep(lane);
                }
            });
        }
    }

    fn keep(self: &Arc<Self>, lane: Box<Lane>) {
        lane.rest();
        let mut idle = self.idle();
        let too_many = match idle.lanes.len() < IDLE_MAX {
            true => None,
            false => idle.lanes.pop_front(),
        };
        idle.lanes.push_back((Instant::now(), lane));
        let begins = !std::mem::replace(&mut idle.is_swept, true);
        drop(idle);
        // Closing a connection takes its time, and others wait for the lock.
        drop(too_many);
        self.returned.notify_one();
        if begins {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// The connection that was used last.
    fn take(&self) -> Option<Box<Lane>> {
        let (since, lane) = self.idle().lanes.pop_back()?;
        // The others have been idle for even longer; the sweep closes them.
        (since.elapsed() < IDLE).then_some(lane)
    }

    /// A connection that is open already.
    fn kept(&self) -> Option<Carrier> {
        if let Some(trunks) = &self.trunks
            && let Some(seat) = trunks.seat()
        {
            return Some(Carrier::Seat(seat));
        }
        self.take().map(|lane| Carrier::Lane(lane, true))
    }

    /// A connection: opened, or given back while others are opened. Whoever waits for others to
    /// open theirs waits no longer than one of them may take: an upstream that is away would keep
    /// everybody.
    async fn wait_or_open(&self) -> Result<Carrier, Failed> {
        if Arc::strong_count(&self.open) > MANY
            && let Ok(carrier) = tokio::time::timeout(self.moment, self.given_back()).await
        {
            return Ok(carrier);
        }
        let mut turn = pin!(self.opening.acquire());
        let mut late = pin!(tokio::time::sleep(self.patience.connect));
        loop {
            tokio::select! {
                biased;
                permit = &mut turn => {
                    // Held until it is open; nobody closes the semaphore.
                    let _permit = permit;
                    return self.open().await;
                }
                () = &mut late => {
                    return Err(Failed::Unreachable("others wait for a connection too".into()));
                }
                () = self.returned.notified() => {
                    if let Some(carrier) = self.kept() {
                        return Ok(carrier);
                    }
                }
            }
        }
    }

    async fn given_back(&self) -> Carrier {
        loop {
            self.returned.notified().await;
            if let Some(carrier) = self.kept() {
                return carrier;
            }
        }
    }

    async fn open(&self) -> Result<Carrier, Failed> {
        let speaks_http_1 = self.speaks_http_1.load(Ordering::Relaxed);
        let Some(trunks) = self.trunks.as_ref().filter(|_| !speaks_http_1) else {
            let (stream, _) = self.dialer.open(Offer::Http1).await?;
            return Ok(Carrier::Lane(Lane::new(stream, &self.open).await?, false));
        };
        // Whoever was here before may have opened one for all.
        if let Some(carrier) = self.kept() {
            return Ok(carrier);
        }
        let (stream, is_agreed) = self.dialer.open(Offer::Either).await?;
        if is_agreed || self.speech == Speech::Http2 {
            let seat = trunks.add(stream, self.patience.connect).await;
            return seat.map(Carrier::Seat).map_err(Failed::Unreachable);
        }
        if !self.speaks_http_1.swap(true, Ordering::Relaxed) {
            self.opening.add_permits(OPENING_MAX);
        }
        Ok(Carrier::Lane(Lane::new(stream, &self.open).await?, false))
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Unanswered> for Failed {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Unsent(_, error)
            | Unanswered::NotBegun(_, error)
            | Unanswered::Failed(error) => Self::Broken(error),
            Unanswered::Late => Self::Late,
        }
    }
}

/// Closes what has been idle for too long, as long as anything is idle.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE / 4).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let mut idle = pool.idle();
        let fresh = idle
            .lanes
            .iter()
            .position(|(since, _)| since.elapsed() < IDLE)
            .unwrap_or(idle.lanes.len());
        let mut left: VecDeque<_> = idle.lanes.split_off(fresh);
        std::mem::swap(&mut idle.lanes, &mut left);
        let ends = idle.lanes.is_empty();
        if ends {
            idle.is_swept = false;
        }
        drop(idle);
        drop(left);
        if ends {
            return;
        }
    }
}

/// An error with all its causes: hyper's own text says only that something happened.
pub(super) fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
