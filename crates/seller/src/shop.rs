//! What all requests of a seller share: routes with their offers, and the till. Built once, never
//! changed.

use std::collections::HashSet;
use std::sync::Arc;

use farebox_core::clock::Clock;
use farebox_core::ledger::Ledger;
use farebox_core::payment::Role;
use farebox_core::rail::{CollectRail, Price, SellerOffer};
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::matching;
use farebox_wire::x402::v1::PaymentPayloadV1;
use http::{Method, Uri};
use serde_json::Value;

use crate::client::Guard;
use crate::config::{Route, SellerConfig, SellerError, SettleWhen, Unmatched};
use crate::cors::Cors;
use crate::layer::MatchedRoute;
use crate::quote::{self, Quote};
use crate::spelling::Spelling;
use crate::till::{Till, TillConfig};

/// Everything that redeeming needs.
pub(crate) struct Shop {
    pub(crate) public_url: String,
    pub(crate) routes: Vec<Arc<OpenRoute>>,
    pub(crate) unmatched: Unmatched,
    pub(crate) cors: Cors,
    pub(crate) till: Arc<Till>,
    pub(crate) guard: Guard,
}

/// A route that is open for business.
pub(crate) struct OpenRoute {
    pub(crate) route: Route,
    /// What a request that it lets through carries.
    pub(crate) matched: MatchedRoute,
    /// The way to pay; `None` is free.
    pub(crate) price: Option<Priced>,
}

/// A price and the ways to pay it.
pub(crate) struct Priced {
    pub(crate) quote: Quote,
    offers: Vec<(Arc<dyn CollectRail>, SellerOffer)>,
}

/// Turns routes and prices into offers; with them the origin that buyers see.
pub(crate) fn open_routes(
    public_url: &str,
    configured: Vec<Route>,
    rails: &[Arc<dyn CollectRail>],
) -> Result<(String, Vec<Arc<OpenRoute>>), SellerError> {
    let public_url = origin(public_url)?;
    let mut names = HashSet::new();
    let mut routes = Vec::with_capacity(configured.len());
    for (index, route) in configured.into_iter().enumerate() {
        if !names.insert(route.id.clone()) {
            return Err(SellerError::DuplicateRoute(route.id));
        }
        let matched = MatchedRoute {
            index,
            id: route.id.as_str().into(),
        };
        let price = price(&route, &public_url, rails)?;
        routes.push(Arc::new(OpenRoute {
            route,
            matched,
            price,
        }));
    }
    Ok((public_url, routes))
}

impl Shop {
    pub(crate) fn new(
        config: SellerConfig,
        rails: Vec<Arc<dyn CollectRail>>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SellerError> {
        let (public_url, routes) = open_routes(&config.public_url, config.routes, &rails)?;
        let till = TillConfig {
            role: Role::Seller,
            settle_wait_ms: config.settle_wait_ms,
            watch_every_ms: config.watch_every_ms,
        };
        Ok(Self {
            public_url,
            routes,
            unmatched: config.unmatched,
            cors: config.cors,
            till: Till::new(till, rails, ledger, clock),
            guard: Guard::new(config.client_limits),
        })
    }

    /// The first route that covers a request.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Arc<OpenRoute>> {
        self.routes
            .iter()
            .find(|open| open.route.matcher.matches(method, path))
    }

    /// Whether a request would cost more if it were spelled as a route before the one that was
    /// found: a server behind the gate may read both as one. A route without a star was written for
    /// exactly this spelling.
    pub(crate) fn is_misspelt(
        &self,
        method: &Method,
        path: &str,
        found: Option<&Arc<OpenRoute>>,
    ) -> bool {
        let (before, price) = match found {
            Some(open) if open.route.matcher.exact_path().is_some() => return false,
            Some(open) => (open.matched.index, open.route.price),
            None if self.unmatched == Unmatched::NotFound => return false,
            None => (self.routes.len(), UsdMicros(0)),
        };
        let before = self.routes.get(..before).unwrap_or_default();
        if before.iter().all(|open| open.route.price <= price) {
            return false;
        }
        let spelling = Spelling::of(path);
        let mut before = before.iter();
        let read_as = before.find(|open| open.route.matcher.may_be_read_as(method, &spelling));
        read_as.is_some_and(|open| open.route.price > price)
    }
}

impl Priced {
    /// The offer that `accepted` answers, and its rail.
    pub(crate) fn offer_for(
        &self,
        accepted: &Value,
    ) -> Option<&(Arc<dyn CollectRail>, SellerOffer)> {
        self.offers
            .iter()
            .find(|(_, offer)| matching::accepts(&offer.raw, accepted))
    }

    /// The offers that a credential of version 1 may answer, with their rails.
    pub(crate) fn offers_in_version_1<'a>(
        &'a self,
        payload: &'a PaymentPayloadV1,
    ) -> impl Iterator<Item = &'a (Arc<dyn CollectRail>, SellerOffer)> {
        self.offers.iter().filter(|(_, offer)| {
            quote::has_words_in_version_1(offer) && payload.answers(&offer.requirements)
        })
    }
}

/// The price of a route and the ways to pay it; `None` where it is free.
fn price(
    route: &Route,
    public_url: &str,
    rails: &[Arc<dyn CollectRail>],
) -> Result<Option<Priced>, SellerError> {
    if route.price.0 == 0 {
        return Ok(None);
    }
    if route.accept.is_empty() {
        return Err(SellerError::NothingAccepted(route.id.clone()));
    }
    let price = Price {
        usd: route.price,
        max_timeout_s: route.max_timeout_s,
        upfront: route.settle == SettleWhen::Before,
    };
    let mut offers = Vec::new();
    for rail in rails {
        let made = rail.offers(&price).map_err(|why| SellerError::Rail {
            route: route.id.clone(),
            why,
        })?;
        offers.extend(made.into_iter().map(|offer| (Arc::clone(rail), offer)));
    }
    if offers.is_empty() {
        return Err(SellerError::NoOffers(route.id.clone()));
    }
    let shown: Vec<SellerOffer> = offers.iter().map(|(_, offer)| offer.clone()).collect();
    let quote = Quote::new(public_url, route, &shown)?;
    Ok(Some(Priced { quote, offers }))
}

/// `https://api.example.com` as it will be written: no path, no trailing slash.
fn origin(text: &str) -> Result<String, SellerError> {
    let wrong = || SellerError::PublicUrl(text.to_owned());
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().filter(|s| *s == "http" || *s == "https");
    let authority = uri.authority().filter(|a| !a.as_str().contains('@'));
    let (Some(scheme), Some(authority), "/" | "", None) =
        (scheme, authority, uri.path(), uri.query())
    else {
        return Err(wrong());
    };
    Ok(format!("{scheme}://{authority}"))
}
