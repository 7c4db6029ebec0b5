//! A seller over L402: a real ledger, a scripted node, goods that can misbehave.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use farebox_core::ledger::{Filter, Ledger, Payment};
use farebox_core::payment::Role;
use farebox_core::rail::CollectRail;
use farebox_ledger::SqliteLedger;
use farebox_seller::l402::{L402, MasterKey, TokenTerms};
use farebox_seller::{ClientAddress, PaymentService, Protocol, Route, Seller, SellerConfig};
use farebox_wire::l402::challenge::{self, L402Challenge};
use farebox_wire::l402::macaroon::Macaroon;
use farebox_wire::money::UsdMicros;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response};
use tower::{Layer, Service};
use zeroize::Zeroizing;

use super::scripted_node::ScriptedNode;
use super::{FakeRail, FrailLedger, Goods, NOW_S, ORIGIN, Seen, TestClock, get};

/// Everything that a test needs.
pub(crate) struct Stand {
    pub(crate) node: Arc<ScriptedNode>,
    pub(crate) ledger: Arc<FrailLedger>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) goods: Goods,
    pub(crate) seller: Seller,
    rails: Vec<Arc<dyn CollectRail>>,
    _dir: tempfile::TempDir,
}

/// A token as its owner has it.
#[derive(Clone)]
pub(crate) struct Bought {
    pub(crate) token: String,
    pub(crate) preimage: String,
}

impl Bought {
    pub(crate) fn header(&self) -> String {
        format!("L402 {}:{}", self.token, self.preimage)
    }

    /// The same token with more conditions.
    pub(crate) fn narrowed(&self, caveats: &[&str]) -> Self {
        let token = Macaroon::from_base64(&self.token).expect("a macaroon");
        let narrow = |token: Macaroon, caveat: &&str| {
            let narrowed = token.add_first_party_caveat(caveat.as_bytes());
            narrowed.expect("a short caveat")
        };
        Self {
            token: caveats.iter().fold(token, narrow).to_base64(),
            preimage: self.preimage.clone(),
        }
    }
}

/// `GET /weather/*`, once for a token.
pub(crate) fn sold(id: &str, matcher: &str, accept: &[Protocol]) -> Route {
    Route {
        accept: accept.to_vec(),
        ..Route::new(id, matcher.parse().expect("a route"), UsdMicros(1_000))
    }
}

/// The same for these tokens.
pub(crate) fn sold_for(id: &str, matcher: &str, token: TokenTerms) -> Route {
    Route {
        token,
        ..sold(id, matcher, &[Protocol::L402])
    }
}

pub(crate) fn config(routes: Vec<Route>) -> SellerConfig {
    SellerConfig {
        watch_every_ms: 1,
        ..SellerConfig::new(ORIGIN, routes)
    }
}

impl Stand {
    /// One route that takes L402 alone, once for a token.
    pub(crate) fn new() -> Self {
        Self::selling(vec![sold("weather", "/weather/*", &[Protocol::L402])])
    }

    pub(crate) fn selling(routes: Vec<Route>) -> Self {
        Self::with(config(routes))
    }

    pub(crate) fn with(config: SellerConfig) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let ledger = SqliteLedger::open(&dir.path().join("seller.db")).expect("a ledger");
        let ledger = FrailLedger::new(Arc::new(ledger));
        let clock = Arc::new(TestClock::at_s(NOW_S));
        let node = ScriptedNode::new(Arc::clone(&clock) as _);
        let rails: Vec<Arc<dyn CollectRail>> = vec![FakeRail::new() as _];
        let seller = open(&config, &rails, &node, &ledger, &clock).expect("a seller");
        Self {
            node,
            ledger,
            clock,
            goods: Goods::new(),
            seller,
            rails,
            _dir: dir,
        }
    }

    /// The same books and node after a crash.
    pub(crate) fn restart(&mut self, config: &SellerConfig) {
        let Self {
            rails,
            node,
            ledger,
            clock,
            ..
        } = &*self;
        self.seller = open(config, rails, node, ledger, clock).expect("a seller");
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

    /// Asks for a challenge and pays it.
    pub(crate) async fn buy(&self, path: &str) -> Bought {
        let seen = self.send(get(path)).await;
        let challenge = challenge_of(&seen).expect("a challenge");
        self.paid(&challenge)
    }

    /// What a buyer has after paying.
    pub(crate) fn paid(&self, challenge: &L402Challenge) -> Bought {
        Bought {
            token: challenge.token.clone(),
            preimage: hex::encode(self.node.preimage_of(&challenge.invoice)),
        }
    }

    /// Shows a token.
    pub(crate) async fn show(&self, path: &str, bought: &Bought) -> Seen {
        self.send(with_token(get(path), &bought.header())).await
    }

    pub(crate) async fn payments(&self) -> Vec<Payment> {
        let filter = Filter {
            role: Some(Role::Seller),
            ..Filter::default()
        };
        self.ledger.list(filter).await.expect("a list")
    }

    /// What was earned, in millisatoshi.
    pub(crate) async fn revenue(&self) -> i128 {
        let books = self.ledger.books().await.expect("books");
        let lines = books.iter();
        let earned = lines.filter(|line| line.account.starts_with("seller/revenue/"));
        earned.map(|line| line.balance).sum()
    }
}

fn open(
    config: &SellerConfig,
    rails: &[Arc<dyn CollectRail>],
    node: &Arc<ScriptedNode>,
    ledger: &Arc<FrailLedger>,
    clock: &Arc<TestClock>,
) -> Result<Seller, farebox_seller::SellerError> {
    let l402 = L402 {
        rail: Arc::clone(node) as _,
        master_key: MasterKey::new(Zeroizing::new([42; 32])),
    };
    Seller::with_l402(
        config.clone(),
        rails.to_vec(),
        Some(l402),
        Arc::clone(ledger) as _,
        Arc::clone(clock) as _,
    )
}

/// Whether such routes could be opened, and why not.
pub(crate) fn refusal(routes: Vec<Route>, node: &Arc<ScriptedNode>) -> Option<String> {
    let l402 = L402 {
        rail: Arc::clone(node) as _,
        master_key: MasterKey::new(Zeroizing::new([42; 32])),
    };
    let rails: Vec<Arc<dyn CollectRail>> = vec![FakeRail::new() as _];
    let checked = Seller::check(config(routes), &rails, Some(l402));
    checked.err().map(|why| why.to_string())
}

pub(crate) fn with_token(mut request: Request<Body>, value: &str) -> Request<Body> {
    let value = value.parse().expect("a header value");
    request.headers_mut().append(AUTHORIZATION, value);
    request
}

/// A request that comes from there, as the server in front has found out.
pub(crate) fn from_client(mut request: Request<Body>, address: IpAddr) -> Request<Body> {
    request.extensions_mut().insert(ClientAddress(address));
    request
}

/// What an answer asks for over L402.
pub(crate) fn challenge_of(seen: &Seen) -> Option<L402Challenge> {
    let values = seen.headers.get_all(WWW_AUTHENTICATE).iter();
    let read = challenge::read(values.map(http::HeaderValue::as_bytes));
    assert!(read.unreadable.is_empty(), "{:?}", read.unreadable);
    read.challenges.into_iter().next()
}
