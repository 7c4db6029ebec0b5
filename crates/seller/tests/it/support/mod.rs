//! A seller with a real ledger, a rail that does as it is told, and goods that can misbehave.

pub(crate) mod fake_rail;
pub(crate) mod frail_ledger;
pub(crate) mod l402;
pub(crate) mod scripted_node;

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use farebox_core::clock::Clock;
use farebox_core::ledger::{Filter, Ledger, Payment};
use farebox_core::payment::{Phase, Role};
use farebox_core::rail::CollectRail;
use farebox_ledger::SqliteLedger;
use farebox_seller::{PaymentService, Route, Seller, SellerConfig, SettleWhen};
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequired, SettleResponse};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Layer, Service};

pub(crate) use self::fake_rail::{FakeRail, Plan};
pub(crate) use self::frail_ledger::{FrailLedger, Step};

pub(crate) const ORIGIN: &str = "https://api.example.com";
/// Longer than any healthy machine needs; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Answer = Result<Response<Body>, String>;
type Behaviour = Arc<dyn Fn(Request<Body>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What is for sale.
#[derive(Clone)]
pub(crate) struct Goods {
    calls: Arc<AtomicUsize>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Goods {
    fn new() -> Self {
        let goods = Self {
            calls: Arc::default(),
            behaviour: Arc::new(Mutex::new(Arc::new(|_| Box::pin(async { unreachable!() })))),
        };
        goods.answer_with(|| Response::new(Body::from("sunny")));
        goods
    }

    /// How often anybody got through.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn behave<F>(&self, behaviour: impl Fn(Request<Body>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        *self.behaviour.lock().expect("lock") =
            Arc::new(move |request| Box::pin(behaviour(request)));
    }

    /// Reads the request's body, then answers.
    pub(crate) fn answer_with(&self, answer: impl Fn() -> Response<Body> + Send + Sync + 'static) {
        let answer = Arc::new(answer);
        self.behave(move |request| {
            let answer = Arc::clone(&answer);
            async move {
                request.into_body().collect().await.expect("a body");
                Ok(answer())
            }
        });
    }

    pub(crate) fn answer_status(&self, status: StatusCode) {
        self.answer_with(move || {
            let mut response = Response::new(Body::from("no luck"));
            *response.status_mut() = status;
            response
        });
    }
}

impl Service<Request<Body>> for Goods {
    type Response = Response<Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Response<Body>, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let behaviour = Arc::clone(&*self.behaviour.lock().expect("lock"));
        Box::pin(async move { behaviour(request).await.map_err(Into::into) })
    }
}

/// A clock that tests turn.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn at_s(seconds: u64) -> Self {
        Self(AtomicU64::new(seconds * 1000))
    }

    pub(crate) fn advance_s(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) const NOW_S: u64 = 1_800_000_000;

/// Everything that a test needs.
pub(crate) struct World {
    pub(crate) rail: Arc<FakeRail>,
    pub(crate) ledger: Arc<FrailLedger>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) goods: Goods,
    pub(crate) seller: Seller,
    _dir: tempfile::TempDir,
}

pub(crate) fn route(id: &str, matcher: &str, settle: SettleWhen) -> Route {
    Route {
        settle,
        ..Route::new(id, matcher.parse().expect("a route"), UsdMicros(1_000))
    }
}

impl World {
    /// `GET /weather/*` and `/other/*` settle after, `/dear/*` before, `/free/*` is free.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut SellerConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let ledger = SqliteLedger::open(&dir.path().join("seller.db")).expect("a ledger");
        let (ledger, rail) = (FrailLedger::new(Arc::new(ledger)), FakeRail::new());
        let clock = Arc::new(TestClock(AtomicU64::new(NOW_S * 1000)));
        let seller = sell(&rail, &ledger, &clock, change);
        Self {
            rail,
            ledger,
            clock,
            goods: Goods::new(),
            seller,
            _dir: dir,
        }
    }

    /// The same ledger and chain after a crash.
    pub(crate) fn restart(&mut self) {
        self.seller = sell(&self.rail, &self.ledger, &self.clock, |_| {});
    }

    pub(crate) fn service(&self) -> PaymentService<Goods> {
        self.seller.layer().layer(self.goods.clone())
    }

    /// Sends a request; the answer's body is not read yet.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response<Body> {
        let answered: Result<_, Infallible> = self.service().call(request).await;
        answered.expect("never fails")
    }

    /// Sends a request, reads the answer to its end, and waits until all is on record.
    pub(crate) async fn send(&self, request: Request<Body>) -> Seen {
        let seen = Seen::read(self.open(request).await).await;
        self.seller.finish().await;
        seen
    }

    /// Buys with the credential of `nonce`.
    pub(crate) async fn buy(&self, path: &str, nonce: &str) -> Seen {
        self.send(self.paid(path, nonce)).await
    }

    /// A request for `path` with the credential of `nonce`.
    pub(crate) fn paid(&self, path: &str, nonce: &str) -> Request<Body> {
        with_credential(get(path), &self.credential(path, nonce))
    }

    /// What a client signs after it has read the challenge of `path`.
    pub(crate) fn credential(&self, path: &str, nonce: &str) -> PaymentPayload {
        self.credential_over(path, nonce, 1_000)
    }

    /// The same over another price, in millionths of a dollar.
    pub(crate) fn credential_over(&self, path: &str, nonce: &str, usd: u128) -> PaymentPayload {
        let upfront = path.starts_with("/dear");
        let price = farebox_core::rail::Price {
            usd: UsdMicros(usd),
            max_timeout_s: 60,
            upfront,
        };
        let offers = self.rail.offers(&price).expect("offers");
        PaymentPayload {
            x402_version: 2,
            resource: None,
            accepted: offers[0].raw.clone(),
            payload: json!({
                "signature": "good",
                "nonce": nonce,
                "validBefore": NOW_S + 60,
            }),
            extensions: None,
        }
    }

    pub(crate) async fn payments(&self) -> Vec<Payment> {
        let filter = Filter {
            role: Some(Role::Seller),
            ..Filter::default()
        };
        self.ledger.list(filter).await.expect("a list")
    }

    /// The only payment there is.
    pub(crate) async fn payment(&self) -> Payment {
        let mut payments = self.payments().await;
        assert_eq!(payments.len(), 1);
        payments.remove(0)
    }

    pub(crate) async fn phase(&self) -> Phase {
        self.payment().await.state.phase
    }
}

/// What is sold where a test says nothing else.
pub(crate) fn usual() -> SellerConfig {
    let mut free = route("free", "/free/*", SettleWhen::After);
    free.price = UsdMicros(0);
    SellerConfig::new(
        ORIGIN,
        vec![
            route("weather", "GET /weather/*", SettleWhen::After),
            route("post", "POST /weather/*", SettleWhen::After),
            route("other", "/other/*", SettleWhen::After),
            route("dear", "/dear/*", SettleWhen::Before),
            free,
        ],
    )
}

fn sell(
    rail: &Arc<FakeRail>,
    ledger: &Arc<FrailLedger>,
    clock: &Arc<TestClock>,
    change: impl FnOnce(&mut SellerConfig),
) -> Seller {
    let mut config = usual();
    config.watch_every_ms = 1;
    change(&mut config);
    let rails: Vec<Arc<dyn CollectRail>> = vec![Arc::clone(rail) as _];
    Seller::new(
        config,
        rails,
        Arc::clone(ledger) as _,
        Arc::clone(clock) as _,
    )
    .expect("a seller")
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

pub(crate) fn post(path: &str, body: &'static str) -> Request<Body> {
    Request::post(path)
        .body(Body::from(body))
        .expect("a request")
}

pub(crate) fn with_credential(
    mut request: Request<Body>,
    credential: &PaymentPayload,
) -> Request<Body> {
    let value = header::encode(credential).expect("a header");
    let value = value.parse().expect("a header value");
    request.headers_mut().insert("payment-signature", value);
    request
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.expect("a whole body").to_bytes(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The machine code in the body.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(json["message"].as_str().is_some_and(|m| m.len() > 10));
        json["error"].as_str().expect("a code").to_owned()
    }

    pub(crate) fn receipt(&self) -> Option<SettleResponse> {
        let value = self.headers.get("payment-response")?;
        Some(header::decode(value.as_bytes()).expect("a receipt"))
    }

    pub(crate) fn challenge(&self) -> Option<PaymentRequired> {
        let value = self.headers.get("payment-required")?;
        Some(header::decode(value.as_bytes()).expect("a challenge"))
    }

    pub(crate) fn assert_served(&self) -> SettleResponse {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert!(self.challenge().is_none());
        let receipt = self.receipt().expect("a receipt");
        assert!(receipt.success);
        receipt
    }

    /// 402 with a new challenge that says why.
    pub(crate) fn assert_challenged(&self, reason: &str) {
        assert_eq!(self.status, StatusCode::PAYMENT_REQUIRED, "{self:?}");
        let challenge = self.challenge().expect("a challenge");
        assert_eq!(challenge.error.as_deref(), Some(reason));
        assert_eq!(challenge.accepts.len(), 1);
        assert!(self.receipt().is_none());
        assert_eq!(self.headers["cache-control"], "no-store");
    }

    /// 402 with a receipt that says why, and no challenge.
    pub(crate) fn assert_unsettled(&self, reason: &str) -> SettleResponse {
        assert_eq!(self.status, StatusCode::PAYMENT_REQUIRED, "{self:?}");
        assert!(self.challenge().is_none());
        assert_eq!(self.code(), reason);
        let receipt = self.receipt().expect("a receipt");
        assert!(!receipt.success);
        assert_eq!(receipt.error_reason.as_deref(), Some(reason));
        receipt
    }
}

/// Waits until `happened`, for as long as it takes.
pub(crate) async fn eventually<F>(mut happened: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let wait = async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it never happened");
}
