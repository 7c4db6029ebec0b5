//! What all requests of a seller share: routes with their offers, and the till. Built once, never
//! changed: other prices make another shop over the same till, which still takes the credentials for
//! the offers that it has replaced.

use std::collections::HashSet;
use std::sync::Arc;

use farebox_core::clock::{Clock, SystemClock};
use farebox_core::ledger::Ledger;
use farebox_core::payment::Role;
use farebox_core::rail::{CollectRail, Price, SellerOffer};
use http::{Method, Uri};

use crate::client::Guard;
use crate::config::{Protocol, Route, SellerConfig, SellerError, SettleWhen, Unmatched};
use crate::cors::Cors;
use crate::counts::{Counts, NO_ROUTE, RouteCounts};
use crate::epoch::{Epoch, Epochs, MadeOffer};
use crate::l402::{self, Asking, L402, L402Error, Offering, Product, Sales};
use crate::layer::MatchedRoute;
use crate::quote::Quote;
use crate::spelling::Spelling;
use crate::till::{Till, TillConfig};

/// Added to a price of which nobody knows the worth: more than all dollars, in millionths.
const WORTH_UNKNOWN: u128 = u128::MAX / 2;

/// Everything that redeeming needs.
pub(crate) struct Shop {
    pub(crate) public_url: String,
    pub(crate) routes: Vec<Arc<OpenRoute>>,
    pub(crate) unmatched: Unmatched,
    pub(crate) cors: Cors,
    pub(crate) till: Arc<Till>,
    pub(crate) guard: Arc<Guard>,
    /// What is sold over L402; `None` where nothing can be.
    pub(crate) sales: Option<Arc<Sales>>,
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
    /// What buyers are asked for, to be compared: nothing in shadow mode; a price in bitcoin of which
    /// nobody knows the worth is more than any in dollars.
    fn asked(&self) -> u128 {
        match (self.route.is_shadow, self.route.price_msat) {
            (true, _) => 0,
            (false, Some(msat)) if self.route.price.0 == 0 && !msat.is_zero() => {
                msat.atomic().saturating_add(WORTH_UNKNOWN)
            }
            (false, _) => self.route.price.0,
        }
    }
}

/// A price and the ways to pay it.
pub(crate) struct Priced {
    pub(crate) quote: Quote,
    /// How it is paid over L402, if it may be.
    pub(crate) l402: Option<Offering>,
    /// What is offered now, and what was a moment ago.
    pub(crate) epochs: Epochs,
}

/// How routes may be paid.
#[derive(Clone, Copy)]
struct Ways<'a> {
    /// Over x402.
    rails: &'a [Arc<dyn CollectRail>],
    /// Over L402.
    sales: Option<&'a Arc<Sales>>,
}

/// See [`crate::Seller::check`].
pub(crate) fn check(
    config: SellerConfig,
    rails: &[Arc<dyn CollectRail>],
    l402: Option<L402>,
) -> Result<(), SellerError> {
    let counts = Counts::default();
    let sales = l402.map(|l402| {
        let clock = Arc::new(SystemClock);
        Sales::new(l402, config.invoice_limits, clock, &counts)
    });
    let ways = Ways {
        rails,
        sales: sales.as_ref(),
    };
    open_routes(&config.public_url, config.routes, ways, &counts, None).map(|_| ())
}

/// Turns routes and prices into offers; with them the origin that buyers see. What `before` has
/// offered until `now_ms` is taken for a while.
fn open_routes(
    public_url: &str,
    configured: Vec<Route>,
    ways: Ways<'_>,
    counts: &Counts,
    before: Option<Before<'_>>,
) -> Result<(String, Vec<Arc<OpenRoute>>), SellerError> {
    let public_url = origin(public_url)?;
    let mut names = HashSet::new();
    let mut routes = Vec::with_capacity(configured.len());
    for (index, mut route) in configured.into_iter().enumerate() {
        if !names.insert(route.id.clone()) {
            return Err(SellerError::DuplicateRoute(route.id));
        }
        let matched = MatchedRoute {
            index,
            id: route.id.as_str().into(),
            is_paid: false,
        };
        in_dollars(&mut route, ways)?;
        let mut price = price(&route, &public_url, ways)?;
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
        l402: Option<L402>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SellerError> {
        let till = TillConfig {
            role: Role::Seller,
            settle_wait_ms: config.settle_wait_ms,
            watch_every_ms: config.watch_every_ms,
        };
        let till = Till::new(till, rails, ledger, clock);
        let sales = l402.map(|l402| {
            let clock = Arc::clone(till.clock());
            Sales::new(l402, config.invoice_limits, clock, till.counts())
        });
        let ways = Ways {
            rails: till.rails(),
            sales: sales.as_ref(),
        };
        let (public_url, routes) =
            open_routes(&config.public_url, config.routes, ways, till.counts(), None)?;
        Ok(Self {
            public_url,
            routes,
            sales,
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
        let ways = Ways {
            rails: till.rails(),
            sales: self.sales.as_ref(),
        };
        let (public_url, routes) = open_routes(
            &config.public_url,
            config.routes,
            ways,
            till.counts(),
            Some(before),
        )?;
        if let Some(sales) = &self.sales {
            sales.invoices.set_limits(config.invoice_limits);
        }
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
            sales: self.sales.clone(),
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
            None => (self.routes.len(), 0),
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

/// A price that is said in bitcoin, in dollars as well: for x402 and for comparisons.
fn in_dollars(route: &mut Route, ways: Ways<'_>) -> Result<(), SellerError> {
    let Some(msat) = route.price_msat else {
        return Ok(());
    };
    let usd = ways
        .sales
        .and_then(|sales| l402::worth(sales.rail.as_ref(), msat));
    let asks_in_dollars = route.accept.contains(&Protocol::X402) && !msat.is_zero();
    if usd.is_none() && asks_in_dollars && !route.is_shadow {
        return Err(cannot_be_sold(route, L402Error::NoRate));
    }
    route.price = usd.unwrap_or_default();
    Ok(())
}

/// The price of a route and the ways to pay it; `None` where nobody is asked to.
fn price(route: &Route, public_url: &str, ways: Ways<'_>) -> Result<Option<Priced>, SellerError> {
    let is_free = match route.price_msat {
        Some(msat) => msat.is_zero(),
        None => route.price.0 == 0,
    };
    if is_free || route.is_shadow {
        return Ok(None);
    }
    if route.accept.is_empty() {
        return Err(SellerError::NothingAccepted(route.id.clone()));
    }
    let offers = match route.accept.contains(&Protocol::X402) {
        true => x402_offers(route, ways.rails)?,
        false => Vec::new(),
    };
    let l402 = match route.accept.contains(&Protocol::L402) {
        true => Some(l402_offer(route, public_url, ways.sales)?),
        false => None,
    };
    let shown: Vec<SellerOffer> = offers.iter().map(|made| made.offer.clone()).collect();
    let quote = Quote::new(public_url, route, &shown)?;
    let epochs = Epochs::new(Epoch {
        offers,
        settle: route.settle,
        max_timeout_s: route.max_timeout_s,
    });
    Ok(Some(Priced {
        quote,
        l402,
        epochs,
    }))
}

fn x402_offers(
    route: &Route,
    rails: &[Arc<dyn CollectRail>],
) -> Result<Vec<MadeOffer>, SellerError> {
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
    match offers.is_empty() {
        true => Err(SellerError::NoOffers(route.id.clone())),
        false => Ok(offers),
    }
}

fn l402_offer(
    route: &Route,
    public_url: &str,
    sales: Option<&Arc<Sales>>,
) -> Result<Offering, SellerError> {
    let asking = match route.price_msat {
        Some(msat) => Asking::Native(msat),
        None => Asking::Usd(route.price),
    };
    let sales = sales.ok_or_else(|| cannot_be_sold(route, L402Error::NoRail))?;
    Product::new(&route.id, asking, route.token.clone())
        .and_then(|product| Offering::new(product, sales, public_url))
        .map_err(|why| cannot_be_sold(route, why))
}

fn cannot_be_sold(route: &Route, why: L402Error) -> SellerError {
    SellerError::L402 {
        route: route.id.clone(),
        why,
    }
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
