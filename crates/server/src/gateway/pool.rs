//! The connections to one upstream: opened when they are needed, kept for the next request.
//!
//! Called by the proxy. A request that was not sent, because the connection that was kept for it
//! had just been closed, goes to another one; a request of which a byte may have left is never
//! repeated.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tower_service::Service;

use super::lane::{Lane, Left, Unanswered};
use super::streamed;
use super::upstream::Upstream;

/// Idle connections are given up before common servers do (Node after 5 s): a request on one that
/// is just being closed would fail.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections to one upstream: as many as a busy gate uses at once.
const IDLE_MAX: usize = 512;
/// Connections that are being opened at once; a burst waits for these, or for one that is given
/// back meanwhile, which with a quick upstream is most of them. Each has 30 KiB of buffers.
const OPENING_MAX: usize = 32;

/// The connections to one upstream.
pub(super) struct Pool {
    connector: HttpConnector,
    address: Uri,
    idle: Mutex<Idle>,
    opening: Semaphore,
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
    /// It took too long.
    #[error("no answer in time")]
    Late,
}

impl Pool {
    pub(super) fn new(upstream: &Upstream, connect: Duration) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect));
        connector.set_nodelay(true);
        Arc::new(Self {
            connector,
            address: upstream.address(),
            idle: Mutex::default(),
            opening: Semaphore::new(OPENING_MAX),
            returned: Notify::new(),
        })
    }

    /// Sends a request, whose target is in origin form and whose Host is set; gives the answer when
    /// its head has come.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
        deadline: Instant,
    ) -> Result<Response<Body>, Failed> {
        loop {
            let (mut lane, is_kept) = match self.take() {
                Some(lane) => (lane, true),
                // Apart from the rest: it is needed rarely, and has room for many addresses.
                None => tokio::time::timeout_at(deadline, Box::pin(self.wait_or_open()))
                    .await
                    .map_err(|_| Failed::Late)??,
            };
            request = match lane.ask(request, deadline).await {
                Ok(answer) => return Ok(streamed::answer(answer, lane, self)),
                Err(Unanswered::Unsent(request, _)) if is_kept => *request,
                Err(Unanswered::Unsent(_, error) | Unanswered::Failed(error)) => {
                    return Err(Failed::Broken(error));
                }
                Err(Unanswered::Late) => return Err(Failed::Late),
            }
        }
    }

    /// Sends a request that asks to leave HTTP, on a connection of its own, so that nothing has to
    /// be repeated. Gives the answer, and for one with 101 what the connection has become.
    pub(super) async fn send_leaving(
        self: &Arc<Self>,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<(Response<Body>, Option<Left>), Failed> {
        let mut lane = tokio::time::timeout_at(deadline, self.open())
            .await
            .map_err(|_| Failed::Late)??;
        lane.may_leave();
        match lane.ask(request, deadline).await {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let left = tokio::time::timeout_at(deadline, lane.leave()).await;
                let left = left.map_err(|_| Failed::Late)?;
                Ok((answer.map(|_| Body::empty()), left))
            }
            Ok(answer) => Ok((streamed::answer(answer, lane, self), None)),
            Err(Unanswered::Unsent(_, error) | Unanswered::Failed(error)) => {
                Err(Failed::Broken(error))
            }
            Err(Unanswered::Late) => Err(Failed::Late),
        }
    }

    /// Keeps a connection whose answer has ended for the next request.
    pub(super) fn put_back(self: &Arc<Self>, mut lane: Box<Lane>) {
        if lane.is_free() {
            self.keep(lane);
        } else if !lane.has_ended() {
            // The upstream has answered, and still reads the request.
            let pool = Arc::clone(self);
            tokio::spawn(async move {
                lane.finish().await;
                if lane.is_free() {
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

    /// A connection, and whether it was kept: opened, or given back while others are opened.
    async fn wait_or_open(&self) -> Result<(Box<Lane>, bool), Failed> {
        loop {
            tokio::select! {
                biased;
                permit = self.opening.acquire() => {
                    // Held until it is open; nobody closes the semaphore.
                    let _permit = permit;
                    return Ok((self.open().await?, false));
                }
                () = self.returned.notified() => {
                    if let Some(lane) = self.take() {
                        return Ok((lane, true));
                    }
                }
            }
        }
    }

    async fn open(&self) -> Result<Box<Lane>, Failed> {
        let mut connector = self.connector.clone();
        let stream = connector.call(self.address.clone()).await;
        let stream = stream.map_err(|error| Failed::Unreachable(chain(error).into()))?;
        Ok(Lane::new(stream).await?)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
