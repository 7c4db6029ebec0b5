//! What a client of gRPC is told besides.
//!
//! Called by the gateway. To a client of gRPC, a status of HTTP other than 200 is an unknown error. So a 402
//! gets a state of gRPC beside its challenge, where a client finds both: the state as that of the call, the
//! challenge in its metadata. Nothing else is changed, and answers of upstreams pass as they come.

use axum::body::Body;
use farebox_wire::x402;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Response, StatusCode, Version};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// FAILED_PRECONDITION: do not try again before something has changed. UNAVAILABLE would be tried again,
/// and UNAUTHENTICATED would have clients ask for a new token.
const FAILED_PRECONDITION: HeaderValue = HeaderValue::from_static("9");
const MESSAGE: HeaderValue =
    HeaderValue::from_static("payment required: the metadata has payment-required or -response");

/// Whether a request is a call of gRPC. That is of HTTP/2 alone.
pub(super) fn is_call<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Says in gRPC what a 402 says in HTTP.
pub(super) fn explain(answer: &mut Response<Body>) {
    // An upstream speaks of payments in none of its own.
    let is_ours = [x402::PAYMENT_REQUIRED, x402::PAYMENT_RESPONSE]
        .iter()
        .any(|name| answer.headers().contains_key(*name));
    if answer.status() == StatusCode::PAYMENT_REQUIRED && is_ours {
        let headers = answer.headers_mut();
        headers.insert(GRPC_STATUS, FAILED_PRECONDITION);
        headers.insert(GRPC_MESSAGE, MESSAGE);
    }
}
