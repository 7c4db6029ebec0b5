//! What a seller is told: routes, prices, its public origin. Plain data, checked by
//! [`crate::Seller::new`].

use farebox_core::rail::RailError;
use farebox_wire::money::{Amount, UsdMicros};

use crate::buckets::BucketLimits;
use crate::cors::Cors;
use crate::l402::{InvoiceLimits, L402Error, TokenTerms};
use crate::route::RouteMatcher;

/// How long a request waits for its settlement before it is answered `settlement_pending`: long
/// enough for a slow block, short enough for the patience of HTTP clients (30 s and more).
pub const SETTLE_WAIT_MS: u64 = 20_000;

/// How often the watch looks at what is open: once per block of a quick chain.
pub const WATCH_EVERY_MS: u64 = 2_000;

/// A protocol in which a route may be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// x402: version 2, and version 1 where that has words for the offer.
    X402,
    /// L402: an invoice, and a token that its payment makes good.
    L402,
}

/// When an x402 payment is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SettleWhen {
    /// Before the upstream is called: for work that is dear.
    Before,
    /// When the head of a good answer has come: a failing upstream charges nobody.
    #[default]
    After,
}

/// What happens to a request that no route covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// 404.
    #[default]
    NotFound,
    /// Passed on without payment.
    Free,
}

/// One thing for sale.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in the ledger and in [`layer::MatchedRoute`](crate::layer::MatchedRoute).
    pub id: String,
    /// Which requests it covers.
    pub matcher: RouteMatcher,
    /// What one request costs, or over L402 one token; zero is free.
    pub price: UsdMicros,
    /// The price where it is said in bitcoin, in millisatoshi: it counts instead of `price`, which
    /// then only says what that is about in dollars, for x402; zero where nobody knows.
    pub price_msat: Option<Amount>,
    /// What a token of it buys.
    pub token: TokenTerms,
    /// How it may be paid.
    pub accept: Vec<Protocol>,
    /// When the payment is settled.
    pub settle: SettleWhen,
    /// How long a credential may live, in seconds.
    pub max_timeout_s: u64,
    /// For people who read the challenge.
    pub description: Option<String>,
    /// Media type of the paid answer.
    pub mime_type: Option<String>,
    /// Whether the price is only counted and logged: then nobody is asked to pay.
    pub is_shadow: bool,
}

impl Route {
    /// A route with the defaults of the configuration file: x402, settled after the head of the
    /// answer, 60 seconds.
    #[must_use]
    pub fn new(id: impl Into<String>, matcher: RouteMatcher, price: UsdMicros) -> Self {
        Self {
            id: id.into(),
            matcher,
            price,
            price_msat: None,
            token: TokenTerms::default(),
            accept: vec![Protocol::X402],
            settle: SettleWhen::After,
            max_timeout_s: 60,
            description: None,
            mime_type: None,
            is_shadow: false,
        }
    }
}

/// What one client may make a seller do in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// How much of each.
    pub buckets: BucketLimits,
    /// Whether clients on this machine are limited as well: behind a proxy all of them are one.
    pub even_loopback: bool,
}

/// What a seller is told.
#[derive(Clone, Debug)]
pub struct SellerConfig {
    /// Origin in offers and receipts, for instance `https://api.example.com`: never taken from a
    /// request.
    pub public_url: String,
    /// The first that covers a request wins.
    pub routes: Vec<Route>,
    /// What to do where none does.
    pub unmatched: Unmatched,
    /// How long a request waits for its settlement, in milliseconds.
    pub settle_wait_ms: u64,
    /// How often [`Seller::watch`](crate::Seller::watch) looks, in milliseconds; positive.
    pub watch_every_ms: u64,
    /// How much in vain is free.
    pub client_limits: ClientLimits,
    /// Which pages may pay and read what they have paid for.
    pub cors: Cors,
    /// How many invoices may be open.
    pub invoice_limits: InvoiceLimits,
}

impl SellerConfig {
    /// The defaults: 404 for everything else, [`SETTLE_WAIT_MS`], [`WATCH_EVERY_MS`].
    #[must_use]
    pub fn new(public_url: impl Into<String>, routes: Vec<Route>) -> Self {
        Self {
            public_url: public_url.into(),
            routes,
            unmatched: Unmatched::NotFound,
            settle_wait_ms: SETTLE_WAIT_MS,
            watch_every_ms: WATCH_EVERY_MS,
            client_limits: ClientLimits::default(),
            cors: Cors::AnyOrigin,
            invoice_limits: InvoiceLimits::default(),
        }
    }
}

/// Why a seller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SellerError {
    /// Not an origin.
    #[error(
        "public_url {0:?} is not an origin; write it like \"https://api.example.com\", without a path"
    )]
    PublicUrl(String),
    /// Two routes with one name.
    #[error("two routes are called {0:?}; rename one")]
    DuplicateRoute(String),
    /// A priced route without a way to pay.
    #[error("route {0:?} has a price but accepts no protocol; set accept = [\"x402\"]")]
    NothingAccepted(String),
    /// No rail makes an offer.
    #[error(
        "route {0:?} has a price, but no network and asset to be paid in; configure [network] and [pay_to]"
    )]
    NoOffers(String),
    /// A rail refuses the price.
    #[error("route {route:?} cannot be offered: {why}")]
    Rail {
        /// The route.
        route: String,
        /// Why.
        why: RailError,
    },
    /// It cannot be sold over L402 as it says.
    #[error("route {route:?}: {why}")]
    L402 {
        /// The route.
        route: String,
        /// Why.
        why: L402Error,
    },
    /// An offer that does not fit into a header.
    #[error(
        "the challenge of route {0:?} has {1} bytes, more than proxies let pass; shorten its description"
    )]
    ChallengeTooLong(String, usize),
    /// A challenge that cannot be written.
    #[error("the challenge of route {0:?} cannot be written: {1}")]
    Challenge(String, String),
}
