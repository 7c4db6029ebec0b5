//! The proxy: sends one request to the upstream of its route and streams the answer back.
//!
//! The seller's layer stands in front, so whatever arrives here is free or paid for. Neither
//! body is ever buffered. It answers 502 and 504 itself, before any byte of an answer has left,
//! so that the seller can give the claim back; an upstream that dies later breaks the body off.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use farebox_core::span;
use farebox_seller::answer::problem;
use farebox_seller::layer::MatchedRoute;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;
use tower_service::Service;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::headers;
use super::pool::{self, Failed, Pool};
use super::switch;
use super::upstream::{Upstream, UpstreamError};
use crate::front::client::Client;
use crate::front::tunnel::Tunnel;
use crate::traced;

/// How long an upstream may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it accepts a connection.
    pub(crate) connect: Duration,
    /// Until the head of its answer, which includes reading the request's body.
    pub(crate) head: Duration,
    /// While nothing of a body comes, or nothing moves after a 101.
    pub(crate) idle: Duration,
}

impl Patience {
    /// The same, but for what is said of `upstream` alone.
    fn with(self, upstream: &Upstream) -> Self {
        let own = upstream.timeouts();
        let or = |own: Option<u64>, usual| own.map_or(usual, Duration::from_millis);
        Self {
            connect: or(own.connect_ms, self.connect),
            head: or(own.head_ms, self.head),
            idle: or(own.idle_ms, self.idle),
        }
    }
}

/// Sends requests to upstreams.
#[derive(Clone)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    /// In the order of the seller's routes.
    by_index: Vec<Target>,
    unmatched: Option<Target>,
    /// Every upstream once.
    known: Vec<(Upstream, Target)>,
}

/// An upstream and the connections to it, which all routes to it share.
#[derive(Clone)]
struct Target {
    host: HeaderValue,
    pool: Arc<Pool>,
}

impl Target {
    /// What asking it belongs to; none where nobody traces that.
    fn span(&self) -> Span {
        span!(
            "upstream",
            otel.kind = "client",
            server.address = self.host.to_str().unwrap_or_default(),
            http.response.status_code = Empty,
        )
    }
}

impl Proxy {
    /// Connections of `before` to upstreams that are still there are used on.
    pub(crate) fn new(
        by_index: &[Upstream],
        unmatched: Option<&Upstream>,
        patience: Patience,
        before: Option<&Self>,
    ) -> Result<Self, UpstreamError> {
        let find = |known: &[(Upstream, Target)], upstream: &Upstream| {
            let mut all = known.iter();
            let found = all.find(|(other, _)| other == upstream);
            found.map(|(_, target)| target.clone())
        };
        let mut known: Vec<(Upstream, Target)> = Vec::new();
        for upstream in by_index.iter().chain(unmatched) {
            if find(&known, upstream).is_none() {
                let kept = before.and_then(|before| find(&before.shared.known, upstream));
                let target = match kept {
                    Some(kept) => kept,
                    None => Target {
                        host: upstream.host(),
                        pool: Pool::new(upstream, patience.with(upstream))?,
                    },
                };
                known.push((upstream.clone(), target));
            }
        }
        let target = |upstream: &Upstream| find(&known, upstream);
        Ok(Self {
            shared: Arc::new(Shared {
                by_index: by_index.iter().filter_map(target).collect(),
                unmatched: unmatched.and_then(target),
                known,
            }),
        })
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
        match self.shared.errand(request) {
            Ok(errand) => Box::pin(errand.run()),
            Err(answer) => Box::pin(ready(Ok(*answer))),
        }
    }
}

/// A request that is fit for its upstream.
struct Errand {
    // A box: what waits for an answer would keep it several times over.
    request: Box<Request<Body>>,
    pool: Arc<Pool>,
    span: Span,
    /// For a request that asks to leave HTTP.
    leaving: Option<OnUpgrade>,
    takes_trailers: bool,
}

impl Shared {
    /// Makes a request fit for its upstream, or answers it.
    fn errand(&self, mut request: Request<Body>) -> Result<Errand, Box<Response<Body>>> {
        let Some(target) = self.target_of(&request) else {
            return Err(Box::new(problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no server behind this path",
            )));
        };
        // An upstream sees the path and query alone, byte for byte as they came.
        if request.uri().authority().is_some() {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
        }
        let wants_trailers = headers::takes_trailers(request.headers());
        // In HTTP/2 they need no announcement, and nothing stands in their way.
        let takes_trailers = wants_trailers || request.version() == Version::HTTP_2;
        *request.version_mut() = Version::HTTP_11;
        let leaving = switch::asked(&mut request);
        if leaving.is_some() && !target.pool.may_leave() {
            return Err(Box::new(problem(
                StatusCode::NOT_IMPLEMENTED,
                "upgrade_not_supported",
                "the server behind this seller has no WebSockets",
            )));
        }
        let client = request.extensions().get::<Client>().copied();
        headers::for_upstream(request.headers_mut(), client.as_ref(), &target.host);
        let span = target.span();
        traced::carry_on(&span, request.headers_mut());
        if leaving.is_none() && wants_trailers {
            headers::say_trailers(request.headers_mut());
        }
        Ok(Errand {
            request: Box::new(request),
            pool: Arc::clone(&target.pool),
            span,
            leaving,
            takes_trailers,
        })
    }

    fn target_of(&self, request: &Request<Body>) -> Option<&Target> {
        match request.extensions().get::<MatchedRoute>() {
            Some(route) => self.by_index.get(route.index),
            None => self.unmatched.as_ref(),
        }
    }
}

impl Errand {
    async fn run(self) -> Result<Response<Body>, Infallible> {
        let Self {
            request,
            pool,
            span,
            leaving,
            takes_trailers,
        } = self;
        let now = Instant::now();
        let patience = pool.patience();
        let deadline = now.checked_add(patience.head).unwrap_or(now);
        let answer = match leaving {
            None => {
                let sending = pool.send(request, deadline);
                match span.is_disabled() {
                    true => sending.await,
                    false => Box::pin(sending.instrument(span.clone())).await,
                }
            }
            Some(client) => {
                // Apart from the rest: few requests need its room.
                let sending = switch::send(&pool, *request, deadline, client, patience.idle);
                Box::pin(sending).await
            }
        };
        if let Ok(answer) = &answer {
            span.record("http.response.status_code", answer.status().as_u16());
        }
        Ok(match answer {
            Ok(answer) => passed_on(answer, takes_trailers),
            Err(failed) => refusal_for(&failed),
        })
    }
}

/// An upstream's answer, fit for the client.
fn passed_on(mut answer: Response<Body>, takes_trailers: bool) -> Response<Body> {
    headers::for_client(answer.headers_mut(), takes_trailers);
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        if answer.extensions().get::<Tunnel>().is_none() {
            // Nobody asked for this, and what follows would not be HTTP.
            tracing::warn!("an upstream has switched to a protocol that nobody asked for");
            return broke_off();
        }
        headers::say_websocket(answer.headers_mut());
    }
    answer
}

fn refusal_for(failed: &Failed) -> Response<Body> {
    match failed {
        Failed::Late => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "the server behind this seller did not answer in time",
        ),
        Failed::Unreachable(error) => {
            tracing::warn!(%error, "an upstream cannot be reached");
            problem(
                StatusCode::BAD_GATEWAY,
                "upstream_unreachable",
                "the server behind this seller cannot be reached",
            )
        }
        Failed::Untrusted(why) => {
            tracing::error!(why, "an upstream could not prove who it is");
            problem(
                StatusCode::BAD_GATEWAY,
                "upstream_untrusted",
                "the server behind this seller could not prove who it is",
            )
        }
        Failed::Broken(error) => {
            tracing::warn!(
                error = pool::chain(error),
                "a request could not be forwarded"
            );
            // What the client sends is read through the same connection.
            if error.is_user() {
                return problem(
                    StatusCode::BAD_REQUEST,
                    "body_unreadable",
                    "the request's body broke off or is not well formed",
                );
            }
            broke_off()
        }
    }
}

fn broke_off() -> Response<Body> {
    problem(
        StatusCode::BAD_GATEWAY,
        "upstream_failed",
        "the server behind this seller broke off before it answered",
    )
}
