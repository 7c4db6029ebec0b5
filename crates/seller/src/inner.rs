//! What is behind the price: any service, called at most once per request.
//!
//! The only door through which a request leaves the seller and an answer comes in, so payment
//! headers are stripped here, in both directions, for paid and for free requests alike.

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

/// What is for sale, called at most once. The error is a sentence for the log.
pub(crate) type Inner =
    Box<dyn FnOnce(Request<Body>) -> BoxFuture<'static, Result<Response<Body>, String>> + Send>;

/// Forgets the type of what is wrapped, so that redeeming is compiled once.
pub(crate) fn into_inner<S, B>(mut service: S) -> Inner
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let sentence = |error: S::Error| error.into().to_string();
    Box::new(move |request| {
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(sentence)?;
            let answer = service.call(request).await.map_err(sentence)?;
            Ok(answer.map(Body::new))
        })
    })
}

/// Calls what is for sale. A panic there is a failure like any other.
pub(crate) async fn call(
    inner: Inner,
    mut request: Request<Body>,
) -> Result<Response<Body>, UpstreamFailed> {
    headers::strip(request.headers_mut());
    let answered = AssertUnwindSafe(async move { inner(request).await })
        .catch_unwind()
        .await;
    match answered {
        Ok(Ok(mut answer)) => {
            headers::strip(answer.headers_mut());
            Ok(answer)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "what is behind the price has failed");
            Err(UpstreamFailed::Error)
        }
        Err(_) => {
            tracing::error!("what is behind the price has panicked");
            Err(UpstreamFailed::Panic)
        }
    }
}
