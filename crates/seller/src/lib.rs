//! Charges for HTTP requests: a tower layer that quotes, redeems, settles, and then lets through.
//!
//! The gateway puts it in front of its proxy, an axum application in front of its own routes;
//! both run the same code. It knows rails and the ledger only by the traits of core, and no
//! upstreams at all. `redeem` holds the one function that collects; nothing is ever served on
//! a paid route without it.
//!
//! ```no_run
//! # use std::{error::Error, future::pending, sync::Arc};
//! # use farebox_core::{clock::SystemClock, ledger::Ledger, rail::CollectRail};
//! # async fn example(rail: Arc<dyn CollectRail>, ledger: Arc<dyn Ledger>) -> Result<(), Box<dyn Error>> {
//! use axum::{Router, routing::get};
//! use farebox_seller::{Route, Seller, SellerConfig};
//! use farebox_wire::money::UsdMicros;
//!
//! // `rail` is for instance an `EvmCollector`, `ledger` a `SqliteLedger` of this process alone.
//! let price = UsdMicros::parse("0.001 USD")?;
//! let route = Route::new("weather", "GET /weather".parse()?, price);
//! let config = SellerConfig::new("https://api.example.com", vec![route]);
//! let seller = Seller::new(config, vec![rail], ledger, Arc::new(SystemClock))?;
//! seller.recover().await?; // what an earlier process has left behind
//! tokio::spawn(seller.clone().watch(pending())); // until settlements are final
//! let app: Router = Router::new().route("/weather", get(|| async { "sunny" }));
//! let app = app.layer(seller.layer());
//! # drop(app);
//! # Ok(()) }
//! ```
//!
//! `examples/paid_axum.rs` is the whole program, with a chain to try it on.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod answer;
pub mod body;
pub mod buckets;
mod client;
pub mod config;
mod cors;
pub mod counts;
mod credential;
mod epoch;
pub mod goes_on;
mod headers;
mod inner;
pub mod l402;
pub mod layer;
mod leftover;
pub mod path;
mod quote;
mod redeem;
pub mod route;
mod shop;
mod spelling;
pub mod till;

use std::future::Future;
use std::sync::Arc;

use farebox_core::clock::Clock;
use farebox_core::ledger::{Ledger, LedgerError};
use farebox_core::rail::CollectRail;
use tokio_util::sync::CancellationToken;

pub use crate::client::ClientAddress;
pub use crate::config::{
    ClientLimits, Protocol, Route, SellerConfig, SellerError, SettleWhen, Unmatched,
};
pub use crate::cors::{Cors, NoOrigin};
pub use crate::headers::is_payment_header;
use crate::l402::L402;
pub use crate::layer::{PaymentLayer, PaymentService};
pub use crate::route::RouteMatcher;
use crate::shop::Shop;
use crate::till::Till;
use crate::till::recover::Recovered;

/// Sells. Cheap to clone; all clones share the same claims in flight.
///
/// One ledger has one seller: hold the ledger's seller lock for as long as this lives, or one
/// credential may be served twice.
#[derive(Clone)]
pub struct Seller {
    shop: Arc<Shop>,
}

impl Seller {
    /// Turns routes and prices into offers.
    ///
    /// # Errors
    /// [`SellerError`] where a route cannot be sold as configured: nothing is left to be found
    /// out by the first buyer (law 14).
    pub fn new(
        config: SellerConfig,
        rails: Vec<Arc<dyn CollectRail>>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SellerError> {
        Self::with_l402(config, rails, None, ledger, clock)
    }

    /// The same, where routes may be paid over L402 besides.
    ///
    /// # Errors
    /// As [`Seller::new`].
    pub fn with_l402(
        config: SellerConfig,
        rails: Vec<Arc<dyn CollectRail>>,
        l402: Option<L402>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SellerError> {
        Ok(Self {
            shop: Arc::new(Shop::new(config, rails, l402, ledger, clock)?),
        })
    }

    /// The same seller with other routes, prices, limits and rule for the rest. Both share books,
    /// claims and counts, so requests that this one has begun go on with it, and the new one takes
    /// credentials for what this one has offered, for as long as its offers said.
    ///
    /// The origin has to be the same; the times of settling and watching stay as they are.
    ///
    /// # Errors
    /// As [`Seller::new`]; then nothing has changed.
    pub fn succeeded_by(&self, config: SellerConfig) -> Result<Self, SellerError> {
        Ok(Self {
            shop: Arc::new(self.shop.succeeded_by(config)?),
        })
    }

    /// The till behind it.
    #[must_use]
    pub fn till(&self) -> &Arc<Till> {
        &self.shop.till
    }

    /// Makes sure that routes can be sold as configured, without selling anything.
    ///
    /// # Errors
    /// As [`Seller::new`].
    pub fn check(
        config: SellerConfig,
        rails: &[Arc<dyn CollectRail>],
        l402: Option<L402>,
    ) -> Result<(), SellerError> {
        shop::check(config, rails, l402)
    }

    /// The layer to put in front of what is for sale.
    #[must_use]
    pub fn layer(&self) -> PaymentLayer {
        PaymentLayer::new(Arc::clone(&self.shop))
    }

    /// The names of the routes, in their order: the place of a name here is
    /// [`layer::MatchedRoute::index`].
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.shop.routes.iter().map(|open| open.route.id.as_str())
    }

    /// What happens to requests that no route covers.
    #[must_use]
    pub fn unmatched(&self) -> Unmatched {
        self.shop.unmatched
    }

    /// Resolves what an earlier process has left: see [`till::Till::recover`]. Call it before the
    /// first request.
    ///
    /// # Errors
    /// Where the ledger cannot be used: nothing may be sold then.
    pub async fn recover(&self) -> Result<Recovered, LedgerError> {
        self.shop.till.recover().await
    }

    /// Watches until `shutdown`: see [`till::Till::watch`].
    ///
    /// It also follows what a node of L402 was paid, see [`l402`].
    pub async fn watch(self, shutdown: impl Future<Output = ()>) {
        let Shop { till, sales, .. } = &*self.shop;
        let Some(sales) = sales else {
            return till.watch(shutdown).await;
        };
        let stop = CancellationToken::new();
        let watching = async {
            till.watch(shutdown).await;
            stop.cancel();
        };
        tokio::join!(watching, l402::follow(sales, till, &stop));
    }

    /// Invoices that can be paid at this moment; `None` where nothing is sold over L402.
    #[must_use]
    pub fn open_invoices(&self) -> Option<u32> {
        Some(self.shop.sales.as_ref()?.invoices.count())
    }

    /// Waits until everything that was begun is on record: see [`till::Till::finish`].
    pub async fn finish(&self) {
        self.shop.till.finish().await;
    }
}
