//! The tower layer: every request to a seller passes here first.
//!
//! It refuses ambiguous requests, answers preflights and challenges itself, hands requests with
//! a credential to `redeem`, and lets only free and paid ones through to what it
//! wraps. It works in front of an axum `Router` and of the gateway's proxy alike. Put it on the
//! outermost router: a nested one sees only a part of the path.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use farebox_wire::x402::Version;
use futures_util::future::BoxFuture;
use http::header::ORIGIN;
use http::{HeaderMap, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::{UpstreamFailed, problem};
use crate::body::HandedOver;
use crate::config::Unmatched;
use crate::credential::Credential;
use crate::inner::{self, BoxError, Inner, into_inner};
use crate::leftover::Leftover;
use crate::redeem::{self, Visit};
use crate::shop::{OpenRoute, Priced, Shop};
use crate::{cors, path};

pub use crate::redeem::PaidBy;

/// The versions of x402 in which a request may be paid.
const VERSIONS: [Version; 2] = [Version::V2, Version::V1];

/// The route that let a request through: an extension of the request that what is behind sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedRoute {
    /// Its place in the configuration.
    pub index: usize,
    /// Its name.
    pub id: String,
}

/// Puts a price on the service that it wraps.
#[derive(Clone)]
pub struct PaymentLayer {
    shop: Arc<Shop>,
}

impl PaymentLayer {
    pub(crate) fn new(shop: Arc<Shop>) -> Self {
        Self { shop }
    }
}

impl<S> Layer<S> for PaymentLayer {
    type Service = PaymentService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PaymentService {
            shop: Arc::clone(&self.shop),
            inner,
        }
    }
}

/// A service with a price.
#[derive(Clone)]
pub struct PaymentService<S> {
    shop: Arc<Shop>,
    inner: S,
}

impl<S, B> Service<Request<Body>> for PaymentService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // What is wrapped is asked for readiness only when a request goes through to it: an
        // anonymous request must get its challenge even from a busy seller.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shop = Arc::clone(&self.shop);
        let inner = into_inner(self.inner.clone());
        Box::pin(async move {
            let (request, leftover) = Leftover::of(request);
            let mut answer = answer(shop, request, inner).await;
            leftover.drain().await;
            // Nothing is awaited between this and the connection.
            if let Some(handed_over) = answer.extensions_mut().remove::<HandedOver>() {
                handed_over.confirm();
            }
            Ok(answer)
        })
    }
}

async fn answer(shop: Arc<Shop>, mut request: Request<Body>, inner: Inner) -> Response<Body> {
    if let Some((code, message)) = malformed(&request) {
        return problem(StatusCode::BAD_REQUEST, code, &message);
    }
    let preflight = cors::preflight_for(&request);
    let method = preflight.as_ref().unwrap_or(request.method());
    let Some((index, open)) = shop.find(method, request.uri().path()) else {
        return match shop.unmatched {
            Unmatched::Free => pass(request, inner).await,
            Unmatched::NotFound => problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "nothing is for sale under this method and path",
            ),
        };
    };
    let open = Arc::clone(open);
    request.extensions_mut().insert(MatchedRoute {
        index,
        id: open.route.id.clone(),
    });
    let Some(priced) = &open.price else {
        return pass(request, inner).await;
    };
    if let Some(method) = preflight {
        return cors::preflight_answer(&method, request.headers());
    }
    let is_from_page = request.headers().contains_key(ORIGIN);
    let mut answer = sell(&shop, &open, priced, request, inner).await;
    if is_from_page {
        cors::expose(answer.headers_mut());
    }
    answer
}

/// A request for something that has a price.
async fn sell(
    shop: &Arc<Shop>,
    open: &Arc<OpenRoute>,
    priced: &Priced,
    request: Request<Body>,
    inner: Inner,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let Some(credential) = credential_of(request.headers()) else {
        return priced.quote.first(&path);
    };
    let version = credential.version;
    let visit = Visit {
        shop: Arc::clone(shop),
        open: Arc::clone(open),
        credential,
        request,
    };
    // A task of its own: if the buyer hangs up, this future is dropped, and that one is not.
    let collecting = shop.till.tasks().spawn(redeem::collect(visit, inner));
    match collecting.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(refused)) => {
            tracing::info!(path, code = refused.code(), "a payment was refused");
            refused.into_response(&priced.quote, &path, version)
        }
        Err(error) => {
            tracing::error!(%error, "collecting has failed");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "the seller has failed; send the same credential again",
            )
        }
    }
}

/// The credential of a request that has at most one.
fn credential_of(headers: &HeaderMap) -> Option<Credential> {
    VERSIONS.into_iter().find_map(|version| {
        let value = headers.get(version.credential_header())?;
        Some(Credential {
            version,
            bytes: value.as_bytes().to_vec(),
        })
    })
}

/// Lets a request through that has nothing to pay.
async fn pass(request: Request<Body>, inner: Inner) -> Response<Body> {
    inner::call(inner, request)
        .await
        .unwrap_or_else(UpstreamFailed::into_response)
}

/// What is wrong with a request, whatever it is for: code and sentence.
fn malformed(request: &Request<Body>) -> Option<(&'static str, String)> {
    // An HTTP/1 request line with an authority is for proxies; its host and the Host header may
    // differ.
    if request.version() <= http::Version::HTTP_11 && request.uri().authority().is_some() {
        let message = "send the path alone in the request line, without scheme and host";
        return Some(("absolute_form", message.to_owned()));
    }
    if let Err(why) = path::check(request.uri().path()) {
        return Some(("ambiguous_path", why.to_string()));
    }
    if payment_headers(request.headers()) > 1 {
        let message = "send exactly one payment header";
        return Some(("several_payment_headers", message.to_owned()));
    }
    None
}

fn payment_headers(headers: &HeaderMap) -> usize {
    VERSIONS
        .iter()
        .map(|version| headers.get_all(version.credential_header()).iter().count())
        .sum()
}
