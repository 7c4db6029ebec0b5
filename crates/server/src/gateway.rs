//! HTTP in, the seller's layer, HTTP/1.1 or HTTP/2 out, and WebSockets.
//!
//! The front door accepts, this file turns away what no seller should see and writes the line in
//! the log, the seller's layer collects, `proxy` forwards.

mod bell;
mod current;
mod dial;
mod grpc;
mod headers;
mod lane;
mod pool;
mod proxy;
mod relay;
mod silence;
mod streamed;
mod switch;
mod trunk;
pub mod upstream;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use farebox_seller::answer::problem;
use farebox_seller::layer::{PaidBy, payment_header};
use farebox_seller::{ClientAddress, Seller};
use futures_util::future::{Either, ready};
use http::{Extensions, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::net::TcpListener;
use tracing::Instrument as _;

use self::current::Current;
pub use self::current::Reloader;
use self::proxy::Patience;
use self::upstream::Upstreams;
use crate::front::client::Client;
use crate::front::connections::{self, Connections, Entrance, Limits};
use crate::front::redirect::Redirect;
use crate::front::{self, FrontDoor};
use crate::request_log::{self, RequestLine, RequestLog};
use crate::traced::{Origin, Traced};

/// What a gateway may be told besides; the defaults suit most.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// TLS, and the proxies in front.
    pub front: FrontDoor,
    /// Connections at the same time; more are turned away.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request, and stay idle between two.
    pub client_head_ms: u64,
    /// How long a client may take nothing of an answer that waits for it.
    pub client_stall_ms: u64,
    /// How long an upstream may take to accept a connection.
    pub upstream_connect_ms: u64,
    /// How long an upstream may take until the head of its answer, uploads included.
    pub upstream_head_ms: u64,
    /// How long an upstream may send nothing of a body, and a WebSocket carry nothing in either
    /// direction.
    pub upstream_idle_ms: u64,
    /// How long answers may go on after the stop.
    pub drain_ms: u64,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            front: FrontDoor::default(),
            connections_max: 10_000,
            client_head_ms: 30_000,
            client_stall_ms: 60_000,
            upstream_connect_ms: 5_000,
            upstream_head_ms: 120_000,
            upstream_idle_ms: 300_000,
            drain_ms: 30_000,
        }
    }
}

/// Why a gateway cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// A route that leads nowhere.
    #[error("route {0:?} has no upstream; set upstream = \"http://127.0.0.1:3000\"")]
    NoUpstream(String),
    /// Free requests that lead nowhere.
    #[error("unmatched = \"free\" needs an upstream for what no route covers")]
    NoUpstreamForUnmatched,
    /// An upstream that cannot be spoken to.
    #[error(transparent)]
    Upstream(#[from] upstream::UpstreamError),
}

/// The reverse proxy. Before it serves, call [`Seller::recover`] once; while it serves, run
/// [`Seller::watch`].
pub struct Gateway {
    seller: Seller,
    current: Current,
    limits: Limits,
    front: FrontDoor,
    redirect: Option<Redirect>,
    connections: Connections,
    log: Option<Arc<dyn RequestLog>>,
}

impl Gateway {
    /// Puts a seller in front of upstreams.
    ///
    /// # Errors
    /// [`GatewayError`] where a request could come through that leads nowhere.
    pub fn new(
        seller: Seller,
        upstreams: Upstreams,
        options: &GatewayOptions,
    ) -> Result<Self, GatewayError> {
        let patience = Patience {
            connect: Duration::from_millis(options.upstream_connect_ms),
            head: Duration::from_millis(options.upstream_head_ms),
            idle: Duration::from_millis(options.upstream_idle_ms),
        };
        let limits = Limits {
            head: Duration::from_millis(options.client_head_ms),
            stall: Duration::from_millis(options.client_stall_ms),
            drain: Duration::from_millis(options.drain_ms),
        };
        Ok(Self {
            current: Current::new(&seller, upstreams, patience)?,
            seller,
            limits,
            front: options.front.clone(),
            redirect: None,
            connections: Connections::new(options.connections_max),
            log: None,
        })
    }

    /// The same, and those who come to another listener in the clear are sent here.
    #[must_use]
    pub fn with_redirect(mut self, redirect: Redirect) -> Self {
        self.redirect = Some(redirect);
        self
    }

    /// Writes a line for each request.
    #[must_use]
    pub fn logging_to(mut self, log: Arc<dyn RequestLog>) -> Self {
        self.log = Some(log);
        self
    }

    /// Its connections, for whoever watches them.
    #[must_use]
    pub const fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Changes what is sold while it is sold.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.current.reloader()
    }

    /// Serves until `shutdown`, then lets answers that are on their way end, and returns when
    /// every payment that was begun is on record.
    ///
    /// # Errors
    /// Where the listener has no address.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        tracing::info!(%address, "the gate is open");
        let (current, log) = (self.current, self.log);
        let glance = current.glance();
        let answer = move |request, client| {
            glance.serve(|selling| answer(selling, log.clone(), request, client))
        };
        let entrance = Entrance {
            listener,
            redirect: self.redirect,
            front: self.front,
        };
        let connections = &self.connections;
        let deadline =
            connections::serve(entrance, self.limits, connections, answer, shutdown).await;
        if tokio::time::timeout_at(deadline, self.seller.finish())
            .await
            .is_err()
        {
            tracing::warn!("payments are still being settled; the next start resolves them");
        }
        tracing::info!(%address, "the gate is closed");
        Ok(())
    }
}

/// Answers one request, as a span where it is traced.
fn answer(
    service: &mut current::Selling,
    log: Option<Arc<dyn RequestLog>>,
    request: Request<Incoming>,
    client: Client,
) -> impl Future<Output = Response<Body>> + Send + use<> {
    let from = Origin {
        is_trusted: || client.is_peer_trusted,
        is_paying: || payment_header(request.headers()).is_some(),
    };
    let route = || service.route_of(request.method(), request.uri().path());
    let Some(traced) = Traced::begin(&request, route, from) else {
        return Either::Left(answer_it(service, log, request, client));
    };
    let span = traced.span().clone();
    let answering = span.in_scope(|| answer_it(service, log, request, client));
    // Apart from the rest: most requests need no room for it.
    Either::Right(Box::pin(async move {
        let answer = answering.instrument(span).await;
        traced.end(&answer);
        answer
    }))
}

/// Answers one request and writes its line in the log.
fn answer_it(
    service: &mut current::Selling,
    log: Option<Arc<dyn RequestLog>>,
    request: Request<Incoming>,
    client: Client,
) -> impl Future<Output = Response<Body>> + Send + use<> {
    let line = Line::begin(service, log, &request);
    // An empty body needs no box.
    let request = request.map(|body| match body.is_end_stream() {
        true => Body::empty(),
        false => Body::new(body),
    });
    let tell = |extensions: &mut Extensions| {
        extensions.insert(ClientAddress(client.address));
        // For the proxy, which tells upstreams.
        extensions.insert(client);
    };
    let is_grpc = grpc::is_call(&request);
    let answering = match refusal(&request) {
        Some(refusal) => Either::Left(ready(Ok(refusal))),
        None => Either::Right(service.serve(request, tell)),
    };
    async move {
        let mut answer = match answering.await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        if let Some(line) = line {
            line.end(&answer);
        }
        if is_grpc {
            grpc::explain(&mut answer);
        }
        answer
    }
}

/// A request's line in the log.
struct Line {
    log: Option<Arc<dyn RequestLog>>,
    began: Instant,
    method: Method,
    path: String,
    route: Option<Arc<str>>,
    credential: Option<[u8; 32]>,
}

impl Line {
    /// `None` where nobody reads such lines.
    fn begin<B>(
        service: &current::Selling,
        log: Option<Arc<dyn RequestLog>>,
        request: &Request<B>,
    ) -> Option<Self> {
        if log.is_none() && !tracing::enabled!(tracing::Level::INFO) {
            return None;
        }
        // Queries may hold secrets and stay out of the log.
        let path = request.uri().path();
        Some(Self {
            began: Instant::now(),
            route: service.route_of(request.method(), path),
            method: request.method().clone(),
            path: request_log::path_in_line(path),
            credential: match log {
                Some(_) => request_log::credential_in(request.headers()),
                None => None,
            },
            log,
        })
    }

    fn end(self, answer: &Response<Body>) {
        let payment = answer.extensions().get::<PaidBy>().map(|paid| &paid.0);
        let took = self.began.elapsed();
        if let Some(log) = self.log {
            log.write(&RequestLine {
                method: &self.method,
                path: &self.path,
                route: self.route.as_deref(),
                status: answer.status().as_u16(),
                took,
                payment,
                credential: self.credential,
            });
            return;
        }
        tracing::info!(
            method = %self.method,
            path = self.path,
            route = self.route.as_deref(),
            status = answer.status().as_u16(),
            payment = payment.map(tracing::field::display),
            head_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

/// What no seller should see.
fn refusal(request: &Request<Body>) -> Option<Response<Body>> {
    if let Some(refusal) = front::refusal(request) {
        return Some(refusal);
    }
    if headers::names_what_is_for_all(request.headers()) {
        return Some(problem(
            StatusCode::BAD_REQUEST,
            "bad_connection_header",
            "`Connection` names a header that is not for one connection alone",
        ));
    }
    switch::refusal(request)
}
