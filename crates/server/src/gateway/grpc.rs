//! What a client of gRPC is told besides, or instead.
//!
//! Called by the gateway. To a client of gRPC, a status of HTTP other than 200 is an unknown error. So a 402
//! gets a state of gRPC beside its challenge, where a client finds both: the state as that of the call, the
//! challenge in its metadata. A challenge of L402 becomes what its clients of gRPC look for: 200 and
//! INTERNAL, in a head that is all of the answer. Nothing else is changed, and answers of upstreams
//! pass as they come.

use axum::body::Body;
use farebox_wire::x402;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode, Version};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// FAILED_PRECONDITION: do not try again before something has changed. UNAVAILABLE would be tried again,
/// and UNAUTHENTICATED would have clients ask for a new token.
const FAILED_PRECONDITION: HeaderValue = HeaderValue::from_static("9");
/// INTERNAL, with these words: what aperture answers and its clients look for.
const INTERNAL: HeaderValue = HeaderValue::from_static("13");
const PAYMENT_REQUIRED: HeaderValue = HeaderValue::from_static("payment required");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
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

/// Says in gRPC what a challenge says in HTTP.
pub(super) fn explain(answer: &mut Response<Body>) {
    let is_refusal = matches!(
        answer.status(),
        StatusCode::PAYMENT_REQUIRED | StatusCode::UNAUTHORIZED
    );
    if is_refusal && asks_in_l402(answer) {
        *answer.status_mut() = StatusCode::OK;
        *answer.body_mut() = Body::empty();
        let headers = answer.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, GRPC);
        headers.insert(GRPC_STATUS, INTERNAL);
        headers.insert(GRPC_MESSAGE, PAYMENT_REQUIRED);
        return;
    }
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

/// Whether the answer has a challenge of L402. An upstream's never comes so far.
fn asks_in_l402(answer: &Response<Body>) -> bool {
    let mut lines = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    lines.any(|line| line.as_bytes().starts_with(b"L402 "))
}
