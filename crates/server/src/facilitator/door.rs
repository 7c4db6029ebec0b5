//! Finds the endpoint of a request, asks for the token, reads the body within its limits, and
//! writes the line in the log.
//!
//! Called by the accept loop for every request. Nothing of a body is ever logged.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use farebox_seller::answer::{json_answer, problem};
use farebox_seller::body::BodyDigest;
use farebox_seller::goes_on::GoesOn;
use futures_util::FutureExt as _;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use sha2::{Digest, Sha256};
use tracing::{Instrument as _, Span};

use super::access::AccessToken;
use super::answers::{Settled, Verified, malformed};
use super::desk::Desk;
use super::limits::{Allowance, Caller, Cost};
use super::question::{self, BODY_BYTES_MAX, Unread};
use super::settle::{Settling, deadline};
use super::verify::verify;
use crate::front;
use crate::front::client::Client;
use crate::request_log::{RequestLine, path_in_line};
use crate::traced::{Origin, Traced};

/// Names a retry of the same request; characters that a header may hold in the clear.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Bytes of an idempotency key: a UUID has 36.
const KEY_BYTES_MAX: usize = 255;

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Verify,
    Settle,
    Supported,
    Health,
}

impl Endpoint {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/verify" => Some(Self::Verify),
            "/settle" => Some(Self::Settle),
            "/supported" => Some(Self::Supported),
            "/health" => Some(Self::Health),
            _ => None,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Verify => "/verify",
            Self::Settle => "/settle",
            Self::Supported => "/supported",
            Self::Health => "/health",
        }
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Verify | Self::Settle => "POST",
            Self::Supported | Self::Health => "GET, HEAD",
        }
    }

    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Verify | Self::Settle => method == Method::POST,
            Self::Supported | Self::Health => method == Method::GET || method == Method::HEAD,
        }
    }
}

/// Answers one request, as a span where it is traced.
pub(super) async fn answer(
    desk: Arc<Desk>,
    request: Request<Incoming>,
    client: Client,
    patience: Duration,
) -> Response<Body> {
    let headers = request.headers();
    let endpoint = Endpoint::at(request.uri().path());
    let from = Origin {
        // Whoever has a token is known here.
        is_trusted: || client.is_peer_trusted || matches!(desk.access.caller(headers), Ok(Some(_))),
        is_paying: || matches!(endpoint, Some(Endpoint::Verify | Endpoint::Settle)),
    };
    let Some(traced) = Traced::begin(&request, || endpoint.map(|it| it.path().into()), from) else {
        return answer_it(desk, request, client, patience).await;
    };
    let answering = answer_it(desk, request, client, patience);
    // Apart from the rest: most requests need no room for it.
    let answer = Box::pin(answering.instrument(traced.span().clone())).await;
    traced.end(&answer);
    answer
}

/// Answers one request and writes its line in the log.
async fn answer_it(
    desk: Arc<Desk>,
    request: Request<Incoming>,
    client: Client,
    patience: Duration,
) -> Response<Body> {
    let peer = SocketAddr::new(client.address, client.peer.port());
    let began = Instant::now();
    let method = request.method().clone();
    // Queries mean nothing here and stay out of the log.
    let endpoint = Endpoint::at(request.uri().path());
    let counts = Arc::clone(desk.counts.of(endpoint));
    let path = path_in_line(request.uri().path());
    let log = desk.log.clone();
    let answer = match front::refusal(&request) {
        Some(refusal) => refusal,
        None => match route(desk, request, peer, patience).await {
            Ok(answer) | Err(answer) => answer,
        },
    };
    let took = began.elapsed();
    counts.answered(answer.status(), took);
    if let Some(log) = log {
        log.write(&RequestLine {
            method: &method,
            path: &path,
            route: None,
            status: answer.status().as_u16(),
            took,
            payment: None,
            credential: answer.extensions().get::<Asked>().map(|asked| asked.0),
        });
        return answer;
    }
    tracing::info!(
        %method,
        path,
        %peer,
        status = answer.status().as_u16(),
        ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "request"
    );
    answer
}

/// An error is an answer as well; it only ends the way there early.
type Answered = Result<Response<Body>, Response<Body>>;

async fn route(
    desk: Arc<Desk>,
    request: Request<Incoming>,
    peer: SocketAddr,
    patience: Duration,
) -> Answered {
    let endpoint = Endpoint::at(request.uri().path()).ok_or_else(|| {
        problem(
            StatusCode::NOT_FOUND,
            "not_found",
            "a facilitator has POST /verify, POST /settle, GET /supported and GET /health",
        )
    })?;
    if !endpoint.takes(request.method()) {
        return Err(wrong_method(endpoint));
    }
    match endpoint {
        Endpoint::Supported => {
            return Ok(json_answer(StatusCode::OK, desk.supported.clone()));
        }
        Endpoint::Health => return Ok(desk.health.answer(desk.till()).await),
        Endpoint::Verify | Endpoint::Settle => {}
    }
    let token = desk.access.caller(request.headers());
    let caller = Caller::new(token.map_err(|_| unauthorized())?, peer);
    let allowance = desk.limits.of(caller, peer);
    let key = idempotency_key(request.headers()).map_err(|BadKey| bad_key())?;
    let body = read(request.into_body(), patience).await?;
    let asked = desk
        .log
        .is_some()
        .then(|| Asked(Sha256::digest(&body).into()));
    let answered = ask(desk, endpoint, (caller, allowance, key), body).await;
    match asked {
        None => answered,
        Some(asked) => answered
            .map(|answer| with(answer, asked))
            .map_err(|answer| with(answer, asked)),
    }
}

/// The digest of a question, which holds the credential: an extension of its answer, for the log.
#[derive(Clone, Copy)]
struct Asked([u8; 32]);

fn with(mut answer: Response<Body>, asked: Asked) -> Response<Body> {
    answer.extensions_mut().insert(asked);
    answer
}

/// Answers what was asked.
async fn ask(
    desk: Arc<Desk>,
    endpoint: Endpoint,
    (caller, allowance, key): (Caller, Allowance, Option<Vec<u8>>),
    body: Bytes,
) -> Answered {
    match endpoint {
        Endpoint::Settle => settle(desk, caller, allowance, key, body).await,
        _ => {
            let read = question::read(&body);
            drop(body);
            let (speech, verified) = match read {
                Ok((speech, question)) => (speech, verify(&desk, &question, &allowance).await),
                Err(Unread::Malformed(why)) => return Err(malformed(&why)),
                Err(Unread::Refused(speech, why)) => (speech, Verified::refused(why, None)),
            };
            Ok(verified.into_response(&speech))
        }
    }
}

/// Settles, to the end: a caller that hangs up must not lose what becomes of the money.
async fn settle(
    desk: Arc<Desk>,
    caller: Caller,
    allowance: Allowance,
    key: Option<Vec<u8>>,
    body: Bytes,
) -> Answered {
    let (speech, question) = match question::read(&body) {
        Ok(read) => read,
        Err(Unread::Malformed(why)) => return Err(malformed(&why)),
        Err(Unread::Refused(speech, why)) => {
            return Ok(Settled::refused(why).into_response(&speech, None));
        }
    };
    if let Err(after) = allowance.may(Cost::BadSignature) {
        return Ok(Settled::TooMuch(after).into_response(&speech, None));
    }
    let case = match desk.examine(&question).await {
        Ok(case) => case,
        Err(refusal) => {
            allowance.charge_for(&refusal);
            return Ok(Settled::refused(refusal).into_response(&speech, None));
        }
    };
    let payer = case.examined.terms.payer.clone();
    let payee = &case.examined.terms.payee;
    let settling = Settling {
        key: key.map(|key| key_digest(caller, payee, &key)),
        body: BodyDigest::of(&body),
        allowance,
        deadline: deadline(desk.till().settle_wait_ms()),
        desk: Arc::clone(&desk),
        case,
    };
    // While somebody has a part of it, the connection cannot read into its memory again.
    drop(body);
    let settled = async move {
        let (settled, seat) = settling.run().await;
        // Where the caller has gone the two are dropped in this order, so that an answer that is
        // owed is remembered before the seat is free for the next one.
        (settled.into_response(&speech, payer), seat)
    };
    let settled = AssertUnwindSafe(settled).catch_unwind();
    // Also where it goes on in a task of its own.
    let settled = settled.instrument(Span::current());
    match GoesOn::new(settled, desk.till().tasks()).await {
        Ok((answer, seat)) => {
            drop(seat);
            Ok(answer)
        }
        Err(_) => {
            tracing::error!("a settlement broke off");
            Err(problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the settlement broke off; send the same body again",
            ))
        }
    }
}

/// The name of a request among all that one caller sends for one payee.
fn key_digest(caller: Caller, payee: &str, key: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let token = caller.token().map(AccessToken::digest);
    hash.update(token.copied().unwrap_or_default());
    // The payee has no zero byte, so the two cannot run together.
    hash.update(payee);
    hash.update([0]);
    hash.update(key);
    hash.finalize().into()
}

/// A key that cannot be one.
struct BadKey;

fn idempotency_key(headers: &HeaderMap) -> Result<Option<Vec<u8>>, BadKey> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next().map(HeaderValue::as_bytes) else {
        return Ok(None);
    };
    let is_plain = key.iter().all(|byte| (b' '..=b'~').contains(byte));
    if keys.next().is_some() || key.is_empty() || key.len() > KEY_BYTES_MAX || !is_plain {
        return Err(BadKey);
    }
    Ok(Some(key.to_vec()))
}

/// Reads a body to its end, within its limits of size and time.
async fn read(body: Incoming, patience: Duration) -> Result<Bytes, Response<Body>> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > BODY_BYTES_MAX {
        return Err(too_large());
    }
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(patience, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(front::and_close(problem(
            StatusCode::BAD_REQUEST,
            "body_unreadable",
            "the request's body broke off",
        ))),
        Err(_) => Err(front::and_close(problem(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the request's body did not come in time",
        ))),
    }
}

fn too_large() -> Response<Body> {
    front::and_close(problem(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "a question has 128 KiB at most",
    ))
}

fn wrong_method(endpoint: Endpoint) -> Response<Body> {
    let methods = endpoint.methods();
    let mut answer = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        &format!("this path takes {methods} only"),
    );
    let allow = HeaderValue::from_static(methods);
    answer.headers_mut().insert(ALLOW, allow);
    answer
}

fn bad_key() -> Response<Body> {
    problem(
        StatusCode::BAD_REQUEST,
        "invalid_idempotency_key",
        "Idempotency-Key is one header of 1 to 255 plain characters",
    )
}

fn unauthorized() -> Response<Body> {
    let mut answer = problem(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "this facilitator asks for a token; send Authorization: Bearer TOKEN",
    );
    let bearer = HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    answer
}
