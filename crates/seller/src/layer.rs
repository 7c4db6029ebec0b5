//! The tower layer: every request to a seller passes here first.
//!
//! It refuses ambiguous requests, answers preflights and challenges itself, hands requests with
//! a credential to `redeem`, and lets only free and paid ones through to what it
//! wraps. It works in front of an axum `Router` and of the gateway's proxy alike. Put it on the
//! outermost router: a nested one sees only a part of the path.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use farebox_wire::l402::credential::CredentialError;
use farebox_wire::x402::{self, Version};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::header::{HeaderName, ORIGIN};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument as _, Span};

use crate::answer::{UpstreamFailed, problem};
use crate::body::HandedOver;
use crate::config::Unmatched;
use crate::counts::RouteCounts;
use crate::credential::Credential;
use crate::inner::{self, BoxError, Inner, into_inner};
use crate::l402::{Asker, Bearer, Denied, Token};
use crate::leftover::Leftover;
use crate::redeem::{self, Visit};
use crate::shop::{OpenRoute, Shop};
use crate::{cors, headers, l402, path};

pub use crate::redeem::PaidBy;

/// The headers that a request may be paid in, one for each version of x402.
const CREDENTIALS: [(Version, HeaderName); 2] = [
    (
        Version::V2,
        HeaderName::from_static(x402::PAYMENT_SIGNATURE),
    ),
    (Version::V1, HeaderName::from_static(x402::X_PAYMENT)),
];

const AMBIGUOUS_PATH: &str = "ambiguous_path";

/// The route that let a request through: an extension of the request that what is behind sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedRoute {
    /// Its place in the configuration.
    pub index: usize,
    /// Its name.
    pub id: Arc<str>,
    /// Whether the request is paid for, or is about to be: such a one is sent to nobody twice.
    pub is_paid: bool,
}

impl MatchedRoute {
    // Not an extension of its own: a fourth one would make room for eight.
    pub(crate) fn mark_paid(extensions: &mut Extensions) {
        if let Some(matched) = extensions.get_mut::<Self>() {
            matched.is_paid = true;
        }
    }
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

impl<S> PaymentService<S> {
    /// The name of the route that covers a request, for the log.
    #[must_use]
    pub fn route_of(&self, method: &Method, path: &str) -> Option<Arc<str>> {
        let open = self.shop.find(method, path)?;
        Some(Arc::clone(&open.matched.id))
    }
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
    /// Challenges are ready at once and cost no allocation.
    type Future = Either<Ready<Answered>, BoxFuture<'static, Answered>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // What is wrapped is asked for readiness only when a request goes through to it: an
        // anonymous request must get its challenge even from a busy seller.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.serve(request, |_| ())
    }
}

impl<S, B> PaymentService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// As [`Service::call`]. What `tell` puts into the request is for limits and for what is wrapped,
    /// so that it is not asked for what the layer answers by itself: challenges, for instance.
    pub fn serve(
        &mut self,
        request: Request<Body>,
        tell: impl FnOnce(&mut Extensions),
    ) -> <Self as Service<Request<Body>>>::Future {
        let began = Instant::now();
        let (mut request, leftover) = Leftover::of(request);
        let (counts, seen) = look(&self.shop, &mut request);
        let seen = match seen {
            Seen::Answered(answer) if leftover.is_nothing() => {
                counts.answered(answer.status(), began.elapsed());
                return Either::Left(ready(Ok(answer)));
            }
            seen => seen,
        };
        let timed = Timed::new(began, counts, leftover);
        tell(request.extensions_mut());
        if matches!(seen, Seen::Shown(..)) {
            headers::leave_buffer(&mut request);
        }
        Either::Right(match seen {
            Seen::Answered(answer) => {
                drop(request);
                Box::pin(timed.hand_over(ready(answer)))
            }
            Seen::Free => {
                let passing = let_through(self.inner.clone(), request);
                Box::pin(timed.hand_over(passing))
            }
            Seen::Shadowed(open) => {
                let passing = let_through(self.inner.clone(), request);
                Box::pin(timed.hand_over(passing.map(move |answer| shadowed(&open, answer))))
            }
            Seen::Shown(open, credential) => {
                let visit = Visit {
                    shop: Arc::clone(&self.shop),
                    open,
                    credential,
                    request,
                };
                let selling = sell(visit, into_inner(self.inner.clone()));
                Box::pin(timed.hand_over(selling))
            }
            Seen::Passed(payment) => {
                let page = request.headers().get(ORIGIN).cloned();
                MatchedRoute::mark_paid(request.extensions_mut());
                let answering = inner::call(self.inner.clone(), request);
                let shop = Arc::clone(&self.shop);
                let passed = move |answer| l402::passed(&shop, page.as_ref(), payment, answer);
                Box::pin(timed.hand_over(answering.map(passed)))
            }
            Seen::Borne(open, token) => {
                let bearer = Bearer {
                    shop: Arc::clone(&self.shop),
                    open,
                    token,
                    request,
                };
                let redeeming = l402::serve(bearer, into_inner(self.inner.clone()));
                Box::pin(timed.hand_over(redeeming))
            }
            Seen::Asked(open, denied) => {
                let asker = Asker::of(&self.shop, open, &request);
                drop(request);
                Box::pin(timed.hand_over(asker.challenge(denied)))
            }
        })
    }
}

/// What the layer answers with.
type Answered = Result<Response<Body>, Infallible>;

/// A request that somebody has to wait for.
struct Timed {
    began: Instant,
    counts: Arc<RouteCounts>,
    leftover: Leftover,
}

impl Timed {
    fn new(began: Instant, counts: &Arc<RouteCounts>, leftover: Leftover) -> Self {
        Self {
            began,
            counts: Arc::clone(counts),
            leftover,
        }
    }

    /// Gives an answer to the connection.
    // No `async fn`: it would keep what answers twice, and every request has one of these.
    fn hand_over<F>(self, answering: F) -> impl Future<Output = Answered> + use<F>
    where
        F: Future<Output = Response<Body>>,
    {
        answering.then(|answer| self.close(answer))
    }

    async fn close(self, mut answer: Response<Body>) -> Answered {
        self.counts.answered(answer.status(), self.began.elapsed());
        if !self.leftover.is_nothing() {
            self.leftover.drain().await;
        }
        // Nothing is awaited between this and the connection.
        if let Some(handed_over) = answer.extensions_mut().remove::<HandedOver>() {
            handed_over.confirm();
        }
        Ok(answer)
    }
}

/// What is behind the layer answers; where it fails, so does the answer.
fn let_through<S, B>(
    inner: S,
    request: Request<Body>,
) -> impl Future<Output = Response<Body>> + Send + 'static
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    inner::call(inner, request).map(|answer| answer.unwrap_or_else(UpstreamFailed::into_response))
}

/// What a request is, at first sight.
enum Seen {
    /// Nothing that anybody has to wait for.
    Answered(Response<Body>),
    /// Something that costs nothing.
    Free,
    /// Something with a price that is only counted.
    Shadowed(Arc<OpenRoute>),
    /// Something with a price, and this credential.
    Shown(Arc<OpenRoute>, Credential),
    /// Something with a price, and a token of this payment that is good without asking the books.
    Passed(PaidBy),
    /// Something with a price, and this token.
    Borne(Arc<OpenRoute>, Token),
    /// Something that an invoice has to be had for, and what was wrong with the token that came.
    Asked(Arc<OpenRoute>, Option<Denied>),
}

/// What a request is, and where it is counted.
fn look<'s>(shop: &'s Arc<Shop>, request: &mut Request<Body>) -> (&'s Arc<RouteCounts>, Seen) {
    let path = request.uri().path();
    if let Some((code, message)) = malformed(request) {
        let refused = problem(StatusCode::BAD_REQUEST, code, &message);
        let refused = readable(shop, request, refused);
        return (&shop.no_route, Seen::Answered(refused));
    }
    let preflight = cors::preflight_for(request);
    let method = preflight.as_ref().unwrap_or(request.method());
    let found = shop.find(method, path);
    let counts = found.map_or(&shop.no_route, |open| &open.counts);
    if shop.is_misspelt(method, path, found) {
        let message = "the path is another spelling of one that costs more; write it as the \
                       seller does";
        let refused = problem(StatusCode::BAD_REQUEST, AMBIGUOUS_PATH, message);
        return (counts, Seen::Answered(readable(shop, request, refused)));
    }
    let is_preflight = preflight.is_some();
    if let Some(wanted) = preflight
        && (found.is_some_and(is_priced)
            || shop.find(request.method(), path).is_some_and(is_priced))
    {
        // Also where OPTIONS itself has a price and the method that it asks for has none.
        let answer = cors::preflight_answer(&shop.cors, &wanted, request.headers());
        return (counts, Seen::Answered(answer));
    }
    let Some(open) = found else {
        if shop.unmatched == Unmatched::Free {
            return (counts, Seen::Free);
        }
        let message = "nothing is for sale under this method and path";
        let refused = problem(StatusCode::NOT_FOUND, "not_found", message);
        return (counts, Seen::Answered(readable(shop, request, refused)));
    };
    (counts, look_at(shop, open, is_preflight, request))
}

/// What a request is to the route that covers it.
fn look_at(
    shop: &Arc<Shop>,
    open: &Arc<OpenRoute>,
    is_preflight: bool,
    request: &mut Request<Body>,
) -> Seen {
    let Some(priced) = &open.price else {
        request.extensions_mut().insert(open.matched.clone());
        return match open.route.is_shadow && !is_preflight {
            true => Seen::Shadowed(Arc::clone(open)),
            false => Seen::Free,
        };
    };
    if let Some(credential) = credential_of(request.headers()) {
        request.extensions_mut().insert(open.matched.clone());
        return Seen::Shown(Arc::clone(open), credential);
    }
    if let Some(offering) = &priced.l402 {
        return match l402::token_of(&offering.sales, request.headers()) {
            None => Seen::Asked(Arc::clone(open), None),
            Some(Ok(token)) => {
                request.extensions_mut().insert(open.matched.clone());
                match l402::pass(shop, offering, request, &token) {
                    Some(payment) => Seen::Passed(payment),
                    None => Seen::Borne(Arc::clone(open), token),
                }
            }
            Some(Err(why)) => refused_token(shop, open, request, why),
        };
    }
    open.counts.challenges.up();
    let answer = priced.quote.first(request.uri().path());
    Seen::Answered(readable(shop, request, answer))
}

/// A token that cannot be read gets a challenge, unless nobody knows which one was meant.
fn refused_token(
    shop: &Shop,
    open: &Arc<OpenRoute>,
    request: &Request<Body>,
    why: CredentialError,
) -> Seen {
    let denied = Denied::unreadable(why);
    match denied.is_challenge() {
        true => Seen::Asked(Arc::clone(open), Some(denied)),
        false => Seen::Answered(readable(shop, request, denied.into_problem())),
    }
}

fn is_priced(open: &Arc<OpenRoute>) -> bool {
    open.price.is_some()
}

/// An answer of our own, which nobody keeps, made readable for the page that asked, if one did.
fn readable(shop: &Shop, request: &Request<Body>, mut answer: Response<Body>) -> Response<Body> {
    if let Some(page) = request.headers().get(ORIGIN) {
        cors::expose(&shop.cors, Some(page), answer.headers_mut());
    }
    answer
}

/// Says what a good answer would have cost.
fn shadowed(open: &OpenRoute, answer: Response<Body>) -> Response<Body> {
    let price = open.route.price;
    // A bad answer costs nobody anything, here as on a route that charges.
    if answer.status().as_u16() < 400 && price.0 > 0 {
        open.counts.shadow(price);
        tracing::info!(route = open.route.id, %price, "would have been charged");
    }
    answer
}

/// A request with a credential for something that has a price.
async fn sell(visit: Visit, inner: Inner) -> Response<Body> {
    let (shop, open) = (Arc::clone(&visit.shop), Arc::clone(&visit.open));
    let version = visit.credential.version;
    let path = visit.request.uri().path().to_owned();
    let page = visit.request.headers().get(ORIGIN).cloned();
    let prefix = shop.guard.prefix(visit.request.extensions().get().copied());
    // A task of its own: if the buyer hangs up, this future is dropped, and that one is not.
    let collecting = redeem::collect(visit, inner).instrument(Span::current());
    let collecting = shop.till.tasks().spawn(collecting);
    let mut answer = match (collecting.await, &open.price) {
        (Ok(Ok(answer)), _) => answer,
        (Ok(Err(refused)), Some(priced)) => {
            tracing::info!(path, code = refused.code(), "a payment was refused");
            let is_challenge = refused.is_challenge();
            let answer = refused.into_response(&priced.quote, &path, version);
            let status = answer.status();
            match is_challenge {
                true => l402::with_lines(&shop, &open, prefix, answer, status).await,
                false => answer,
            }
        }
        (failed, _) => {
            if let Err(error) = failed {
                tracing::error!(%error, "collecting has failed");
            }
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "the seller has failed; send the same credential again",
            )
        }
    };
    cors::expose(&shop.cors, page.as_ref(), answer.headers_mut());
    answer
}

/// The credential of a request that has at most one.
fn credential_of(headers: &HeaderMap) -> Option<Credential> {
    CREDENTIALS.iter().find_map(|(version, name)| {
        let value = headers.get(name)?;
        Some(Credential {
            version: *version,
            bytes: value.as_bytes().to_vec(),
        })
    })
}

/// The first payment header of a request, whichever dialect it speaks.
#[must_use]
pub fn payment_header(headers: &HeaderMap) -> Option<&HeaderValue> {
    let of_x402 = CREDENTIALS.iter().find_map(|(_, name)| headers.get(name));
    of_x402.or_else(|| headers::token_in(headers))
}

/// What is wrong with a request, whatever it is for: code and sentence.
fn malformed(request: &Request<Body>) -> Option<(&'static str, String)> {
    if request.method() == Method::CONNECT {
        let message = "CONNECT is for proxies; send the path with another method";
        return Some(("absolute_form", message.to_owned()));
    }
    // An HTTP/1 request line with an authority is for proxies; its host and the Host header may
    // differ.
    if request.version() <= http::Version::HTTP_11 && request.uri().authority().is_some() {
        let message = "send the path alone in the request line, without scheme and host";
        return Some(("absolute_form", message.to_owned()));
    }
    if let Err(why) = path::check(request.uri().path()) {
        return Some((AMBIGUOUS_PATH, why.to_string()));
    }
    if headers::overrides_method(request.headers()) {
        let message = "send the method itself: a header that replaces it would change the price";
        return Some(("method_override", message.to_owned()));
    }
    let headers = request.headers();
    let count = payment_headers(headers);
    if count > 1 || (count == 1 && l402::bears_token(headers)) {
        let message = "send exactly one payment header";
        return Some(("several_payment_headers", message.to_owned()));
    }
    None
}

fn payment_headers(headers: &HeaderMap) -> usize {
    CREDENTIALS
        .iter()
        .map(|(_, name)| headers.get_all(name).iter().count())
        .sum()
}
