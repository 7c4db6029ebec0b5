//! What is behind the price: any service, called at most once per request.
//!
//! The only door through which a request leaves the seller and an answer comes in, so payment
//! headers are stripped here, in both directions, for paid and for free requests alike.

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tower_service::Service;

use crate::answer::UpstreamFailed;
use crate::headers;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is for sale, called at most once.
pub(crate) type Inner = Box<
    dyn FnOnce(Request<Body>) -> BoxFuture<'static, Result<Response<Body>, UpstreamFailed>> + Send,
>;

/// Forgets the type of what is wrapped, so that redeeming is compiled once.
pub(crate) fn into_inner<S, B>(service: S) -> Inner
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Box::new(move |request| Box::pin(call(service, request)))
}

/// Calls what is for sale. A panic there is a failure like any other.
// No `async fn`: it would keep the request twice, and every request has one of these.
pub(crate) fn call<S, B>(
    mut service: S,
    mut request: Request<Body>,
) -> impl Future<Output = Result<Response<Body>, UpstreamFailed>>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    headers::strip_request(request.headers_mut());
    let calling = async move {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    };
    AssertUnwindSafe(calling).catch_unwind().map(answered)
}

fn answered<B, E>(
    answer: Result<Result<Response<B>, E>, Box<dyn Any + Send>>,
) -> Result<Response<Body>, UpstreamFailed>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    match answer {
        Ok(Ok(answer)) => {
            let mut answer = answer.map(Body::new);
            headers::strip(answer.headers_mut());
            Ok(answer)
        }
        Ok(Err(error)) => {
            let error: BoxError = error.into();
            tracing::warn!(%error, "what is behind the price has failed");
            Err(UpstreamFailed::Error)
        }
        Err(_) => {
            tracing::error!("what is behind the price has panicked");
            Err(UpstreamFailed::Panic)
        }
    }
}
