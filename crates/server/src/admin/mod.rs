//! The admin server: whether a gate or facilitator lives, whether it is ready, and what it counts.
//!
//! On an address of its own, because what it tells is for the owner: revenue, balances, routes. It
//! answers `GET /healthz`, `/readyz` and `/metrics`, changes nothing, and goes on through a drain,
//! so that whoever watches sees it. Nothing of a request becomes a part of an answer.

mod condition;
mod metrics;
mod text;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use farebox_seller::answer::{json_answer, problem};
use farebox_seller::counts::Counter;
use farebox_seller::till::Till;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use self::condition::Condition;
use crate::front::client::Client;
use crate::front::connections::{self, Connections, Entrance, Limits};
use crate::front::{self, FrontDoor};

/// Connections at the same time: some collectors and probes, and room for a curious person.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may stay idle between two requests: longer than the pause of collectors.
const IDLE: Duration = Duration::from_secs(90);
/// How long a client may take nothing of its answer.
const STALL: Duration = Duration::from_secs(10);
/// How long an answer may go on after the end.
const DRAIN: Duration = Duration::from_secs(1);
/// What Prometheus calls its text.
const METRICS_TEXT: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Where a server is in its life: whoever assembles it says so.
#[derive(Debug, Default)]
pub struct Course {
    is_draining: AtomicBool,
    /// Configurations that were taken while it ran.
    pub reloads: Counter,
    /// Configurations that were refused while it ran.
    pub failed_reloads: Counter,
}

impl Course {
    /// It takes no more connections and lets what has begun come to its end.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Whether it does.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }
}

/// What the admin server looks at.
pub struct Watched {
    /// The till of the gate or the facilitator, with its books, rails and counts.
    pub till: Arc<Till>,
    /// Its connections.
    pub connections: Connections,
    /// Where it is in its life.
    pub course: Arc<Course>,
}

/// Why an admin server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The listener.
    #[error("the admin listener has no address: {0}")]
    Listener(#[from] io::Error),
    /// Everybody could read what it earns.
    #[error(
        "an admin server at {0} can be reached by others and tells them revenue, balances and routes; \
         listen on 127.0.0.1, or set admin_open = true behind a firewall"
    )]
    OpenToEverybody(SocketAddr),
}

/// The admin server.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Takes a listener; beyond loopback only where `is_open` says that this is meant.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn new(listener: TcpListener, is_open: bool) -> Result<Self, AdminError> {
        let address = listener.local_addr()?;
        Self::permits(address, is_open)?;
        Ok(Self { listener, address })
    }

    /// Whether it may listen there.
    ///
    /// # Errors
    /// [`AdminError::OpenToEverybody`].
    pub fn permits(address: SocketAddr, is_open: bool) -> Result<(), AdminError> {
        match is_open || address.ip().to_canonical().is_loopback() {
            true => Ok(()),
            false => Err(AdminError::OpenToEverybody(address)),
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`.
    pub async fn serve(self, watched: Watched, shutdown: impl Future<Output = ()>) {
        let limits = Limits {
            head: IDLE,
            stall: STALL,
            drain: DRAIN,
        };
        let desk = Arc::new(Desk {
            watched,
            condition: Condition::default(),
        });
        let answer = move |request, _: Client| {
            let desk = Arc::clone(&desk);
            async move { desk.answer(&request).await }
        };
        let own = Connections::new(CONNECTIONS_MAX);
        let entrance = Entrance {
            listener: self.listener,
            redirect: None,
            front: FrontDoor::default(),
        };
        connections::serve(entrance, limits, &own, answer, shutdown).await;
    }
}

/// What every request shares.
struct Desk {
    watched: Watched,
    condition: Condition,
}

impl Desk {
    async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        if let Some(refusal) = front::refusal(request) {
            return refusal;
        }
        let path = request.uri().path();
        if !["/healthz", "/readyz", "/metrics"].contains(&path) {
            return problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "an admin server has GET /healthz, /readyz and /metrics",
            );
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer = problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path takes GET, HEAD only",
            );
            let methods = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, methods);
            return answer;
        }
        match path {
            "/healthz" => json_answer(StatusCode::OK, r#"{"status":"alive"}"#),
            "/readyz" => {
                let seen = self.condition.look(&self.watched.till).await;
                condition::answer(&seen, self.watched.course.is_draining())
            }
            _ => {
                let seen = self.condition.look(&self.watched.till).await;
                let mut answer = Response::new(Body::from(metrics::page(&self.watched, &seen)));
                let headers = answer.headers_mut();
                headers.insert(CONTENT_TYPE, METRICS_TEXT);
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                answer
            }
        }
    }
}
