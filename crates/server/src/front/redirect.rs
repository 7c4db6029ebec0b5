//! The listener in the clear beside one with TLS: it sends everybody there.
//!
//! Served by [`super::connections`]. The target is our own origin, never what a request calls its
//! host. Whoever sends a payment in the clear is told so and not sent on: a client that does it once
//! would do it again, and along the redirect the mistake would go unseen. A question of a certificate
//! authority is answered where somebody in here has asked for it ([`super::challenges`]).

use axum::body::Body;
use farebox_seller::answer::problem;
use farebox_wire::x402;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use super::challenges::Challenges;

/// Redirects everybody on a listener to an origin.
#[derive(Debug)]
pub struct Redirect {
    /// In the clear.
    pub listener: TcpListener,
    /// Scheme, host and port, without a slash at the end: `https://api.example.com`.
    pub to: String,
}

/// The answer to a request in the clear.
pub(super) async fn answer<B>(
    to: &str,
    challenges: Option<&Challenges>,
    request: Request<B>,
) -> Response<Body> {
    // What is sent along is not read.
    let request = request.map(drop);
    if let Some(refused) = refused(&request) {
        return refused;
    }
    if let Some(challenges) = challenges.filter(|_| request.method() == Method::GET)
        && let Some(answer) = challenges.answer(request.uri().path()).await
    {
        let mut answer = Response::new(Body::from(answer));
        let kind = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        return answer;
    }
    moved(to, &request)
}

fn refused(request: &Request<()>) -> Option<Response<Body>> {
    if let Some(refusal) = super::refusal(request) {
        return Some(refusal);
    }
    let headers = request.headers();
    let pays =
        headers.contains_key(x402::PAYMENT_SIGNATURE) || headers.contains_key(x402::X_PAYMENT);
    pays.then(|| {
        super::and_close(problem(
            StatusCode::BAD_REQUEST,
            "payment_in_the_clear",
            "this payment came without TLS, and anybody on the way may have read it; send it over https",
        ))
    })
}

fn moved(to: &str, request: &Request<()>) -> Response<Body> {
    let path = request.uri().path_and_query();
    let target = path.map(|path| format!("{to}{path}"));
    // Only what begins with a slash stays on the origin when it is appended.
    let target = target.filter(|_| request.uri().path().starts_with('/'));
    let Some(Ok(target)) = target.map(HeaderValue::try_from) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "ambiguous_path",
            "the path must start with a slash",
        );
    };
    // 308 keeps the method and the body; the oldest clients know 301 alone.
    let status = match *request.method() {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    let mut answer = problem(status, "moved", "this server speaks HTTP over TLS only");
    answer.headers_mut().insert(LOCATION, target);
    answer
}
