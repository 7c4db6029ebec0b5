//! The proxy: sends one request to the upstream of its route and streams the answer back.
//!
//! The seller's layer stands in front, so whatever arrives here is free or paid for. Neither
//! body is ever buffered. It answers 502 and 504 itself, before any byte of an answer has left,
//! so that the seller can give the claim back; an upstream that dies later breaks the body off.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use farebox_seller::ClientAddress;
use farebox_seller::answer::problem;
use farebox_seller::layer::MatchedRoute;
use http::{Request, Response, StatusCode, Version};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::headers;
use super::upstream::Upstream;

/// Idle connections are given up before common servers do (Node after 5 s): a request on one that
/// is just being closed would fail.
const POOL_IDLE: Duration = Duration::from_secs(4);
/// Idle connections to one upstream: as many as a busy gate uses at once.
const POOL_IDLE_MAX: usize = 512;

/// How long an upstream may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it accepts a connection.
    pub(crate) connect: Duration,
    /// Until the head of its answer, which includes reading the request's body.
    pub(crate) head: Duration,
}

/// Sends requests to upstreams.
#[derive(Clone)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client<HttpConnector, Body>,
    /// In the order of the seller's routes.
    by_index: Vec<Upstream>,
    unmatched: Option<Upstream>,
    head: Duration,
}

impl Proxy {
    pub(crate) fn new(
        by_index: Vec<Upstream>,
        unmatched: Option<Upstream>,
        patience: Patience,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(patience.connect));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_MAX)
            .build(connector);
        Self {
            shared: Arc::new(Shared {
                client,
                by_index,
                unmatched,
                head: patience.head,
            }),
        }
    }
}

impl Service<Request<Body>> for Proxy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(shared.forward(request).await) })
    }
}

impl Shared {
    async fn forward(&self, mut request: Request<Body>) -> Response<Body> {
        let Some(upstream) = self.upstream_of(&request) else {
            return problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no server behind this path",
            );
        };
        match upstream.locate(request.uri().path_and_query()) {
            Ok(uri) => *request.uri_mut() = uri,
            Err(error) => {
                tracing::warn!(%error, "a request cannot be addressed");
                let message = "the path cannot be forwarded";
                return problem(StatusCode::BAD_REQUEST, "ambiguous_path", message);
            }
        }
        *request.version_mut() = Version::HTTP_11;
        let peer = request.extensions().get().map(|ClientAddress(ip)| *ip);
        headers::for_upstream(request.headers_mut(), peer);
        match tokio::time::timeout(self.head, self.client.request(request)).await {
            // Nobody asked for another protocol, and what follows would not be HTTP.
            Ok(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                tracing::warn!("an upstream has switched protocols unasked");
                broke_off()
            }
            Ok(Ok(mut answer)) => {
                headers::strip_hop_by_hop(answer.headers_mut());
                answer.map(Body::new)
            }
            Ok(Err(error)) => failed(&error),
            Err(_) => problem(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "the server behind this seller did not answer in time",
            ),
        }
    }

    fn upstream_of(&self, request: &Request<Body>) -> Option<&Upstream> {
        match request.extensions().get::<MatchedRoute>() {
            Some(route) => self.by_index.get(route.index),
            None => self.unmatched.as_ref(),
        }
    }
}

fn failed(error: &Error) -> Response<Body> {
    // The whole chain: hyper's own text says only that something happened.
    let mut text = error.to_string();
    let mut is_clients = false;
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        is_clients |= cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_user);
        source = cause.source();
    }
    tracing::warn!(error = text, "a request could not be forwarded");
    if is_clients {
        return problem(
            StatusCode::BAD_REQUEST,
            "body_unreadable",
            "the request's body broke off or is not well formed",
        );
    }
    if error.is_connect() {
        return problem(
            StatusCode::BAD_GATEWAY,
            "upstream_unreachable",
            "the server behind this seller cannot be reached",
        );
    }
    broke_off()
}

fn broke_off() -> Response<Body> {
    problem(
        StatusCode::BAD_GATEWAY,
        "upstream_failed",
        "the server behind this seller broke off before it answered",
    )
}
