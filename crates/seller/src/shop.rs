//! What all requests of a seller share: routes with their offers, and the till. Built once, never
//! changed: other prices make another shop over the same till, which still takes the credentials for
//! the offers that it has replaced.

use std::collections::HashSet;
use std::sync::Arc;

use farebox_core::clock::Clock;
use farebox_core::ledger::Ledger;
use farebox_core::payment::Role;
use farebox_core::rail::{CollectRail, Price, SellerOffer};
use farebox_wire::money::UsdMicros;
use http::{Method, Uri};

use crate::client::Guard;
use crate::config::{Route, SellerConfig, SellerError, SettleWhen, Unmatched};
use crate::cors::Cors;
use crate::counts::{Counts, NO_ROUTE, RouteCounts};
use crate::epoch::{Epoch, Epochs, MadeOffer};
use crate::layer::MatchedRoute;
use crate::quote::Quote;
use crate::spelling::Spelling;
use crate::till::{Till, TillConfig};

/// Everything that redeeming needs.
pub(crate) struct Shop {
    pub(crate) public_url: String,
    pub(crate) routes: Vec<Arc<OpenRoute>>,
    pub(crate) unmatched: Unmatched,
    pub(crate) cors: Cors,
    pub(crate) till: Arc<Till>,
    pub(crate) guard: Arc<Guard>,
    /// Of requests that no route covers.
    pub(crate) no_route: Arc<RouteCounts>,
}

/// A route that is open for business.
pub(crate) struct OpenRoute {
    pub(crate) route: Route,
    /// What a request that it lets through carries.
    pub(crate) matched: MatchedRoute,
    /// The way to pay; `None` is free, or in shadow mode.
    pub(crate) price: Option<Priced>,
    pub(crate) counts: Arc<RouteCounts>,
}

impl OpenRoute {
    /// What buyers are asked for: nothing in shadow mode.
    fn asked(&self) -> UsdMicros {
        match self.route.is_shadow {
            true => UsdMicros(0),
            false => self.route.price,
        }
    }
}

/// A price and the ways to pay it.
pub(crate) struct Priced {
    pub(crate) quote: Quote,
    /// What is offered now, and what was a moment ago.
    pub(crate) epochs: Epochs,
}

/// Turns routes and prices into offers; with them the origin that buyers see. What `before` has
/// offered until `now_ms` is taken for a while.
pub(crate) fn open_routes(
    public_url: &str,
    configured: Vec<Route>,
    rails: &[Arc<dyn CollectRail>],
    counts: &Counts,
    before: Option<Before<'_>>,
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
        let mut price = price(&route, &public_url, rails)?;
        if let (Some(priced), Some(before)) = (&mut price, &before) {
            priced
                .epochs
                .follow(before.epochs_of(&route.id), before.now_ms);
        }
        routes.push(Arc::new(OpenRoute {
            counts: counts.route(&route.id),
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
        let till = TillConfig {
            role: Role::Seller,
            settle_wait_ms: config.settle_wait_ms,
            watch_every_ms: config.watch_every_ms,
        };
        let till = Till::new(till, rails, ledger, clock);
        let (public_url, routes) = open_routes(
            &config.public_url,
            config.routes,
            till.rails(),
            till.counts(),
            None,
        )?;
        Ok(Self {
            public_url,
            routes,
            unmatched: config.unmatched,
            cors: config.cors,
            guard: Arc::new(Guard::new(config.client_limits)),
            no_route: till.counts().route(NO_ROUTE),
            till,
        })
    }

    /// Another shop over the same till, with other routes, prices and limits.
    pub(crate) fn succeeded_by(&self, config: SellerConfig) -> Result<Self, SellerError> {
        let till = &self.till;
        let before = Before {
            routes: &self.routes,
            now_ms: till.clock().now_ms(),
        };
        let (public_url, routes) = open_routes(
            &config.public_url,
            config.routes,
            till.rails(),
            till.counts(),
            Some(before),
        )?;
        till.counts().keep_routes(|name| {
            name == NO_ROUTE || routes.iter().any(|open| open.route.id == name)
        });
        let is_as_before = self.guard.limits() == config.client_limits;
        Ok(Self {
            public_url,
            routes,
            unmatched: config.unmatched,
            cors: config.cors,
            guard: match is_as_before {
                true => Arc::clone(&self.guard),
                false => Arc::new(Guard::new(config.client_limits)),
            },
            no_route: Arc::clone(&self.no_route),
            till: Arc::clone(till),
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
            Some(open) => (open.matched.index, open.asked()),
            None if self.unmatched == Unmatched::NotFound => return false,
            None => (self.routes.len(), UsdMicros(0)),
        };
        let before = self.routes.get(..before).unwrap_or_default();
        if before.iter().all(|open| open.asked() <= price) {
            return false;
        }
        let spelling = Spelling::of(path);
        let mut before = before.iter();
        let read_as = before.find(|open| open.route.matcher.may_be_read_as(method, &spelling));
        read_as.is_some_and(|open| open.asked() > price)
    }
}

/// The routes that are about to be replaced.
pub(crate) struct Before<'a> {
    routes: &'a [Arc<OpenRoute>],
    now_ms: u64,
}

impl Before<'_> {
    fn epochs_of(&self, route: &str) -> Option<&Epochs> {
        let open = self.routes.iter().find(|open| open.route.id == route)?;
        open.price.as_ref().map(|priced| &priced.epochs)
    }
}

/// The price of a route and the ways to pay it; `None` where nobody is asked to.
fn price(
    route: &Route,
    public_url: &str,
    rails: &[Arc<dyn CollectRail>],
) -> Result<Option<Priced>, SellerError> {
    if route.price.0 == 0 || route.is_shadow {
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
        offers.extend(made.into_iter().map(|offer| MadeOffer {
            rail: Arc::clone(rail),
            offer,
        }));
    }
    if offers.is_empty() {
        return Err(SellerError::NoOffers(route.id.clone()));
    }
    let shown: Vec<SellerOffer> = offers.iter().map(|made| made.offer.clone()).collect();
    let quote = Quote::new(public_url, route, &shown)?;
    let epochs = Epochs::new(Epoch {
        offers,
        settle: route.settle,
        max_timeout_s: route.max_timeout_s,
    });
    Ok(Some(Priced { quote, epochs }))
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
