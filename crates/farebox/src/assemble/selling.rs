//! The seller's side: networks, gas key, ledger under its lock, routes, and the gate in front.
//!
//! Everything that is missing is said at once, with the flag and the key that supply it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use farebox_core::clock::{Clock, SystemClock};
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::LedgerError;
use farebox_core::rail::{CollectRail, RailError};
use farebox_ledger::{SellerLock, SqliteLedger};
use farebox_rail_evm::{CollectorOptions, EvmCollector};
use farebox_seller::{
    Protocol, Route, RouteMatcher, Seller, SellerConfig, SettleWhen, Unmatched as UnmatchedPath,
};
use farebox_server::{Gateway, GatewayOptions, Upstream, Upstreams};
use farebox_wire::caip::ChainId;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{keys, networks};
use crate::config::{Config, DataDir, Listen, NetworkSection, RouteSection, Settle, Unmatched};
use crate::failure::{EXIT_USAGE, Failure};

/// Where the gate listens when nobody says where.
const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8402);
/// How often what is closed and expired is erased from the ledger.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// What is sold, how and where: the file with the flags over it.
pub(crate) struct Sale {
    /// Where to listen.
    pub(crate) listen: Option<Listen>,
    /// The origin that buyers see.
    pub(crate) public_url: Option<String>,
    /// Chains to collect on.
    pub(crate) networks: BTreeMap<ChainId, NetworkSection>,
    /// Who is paid.
    pub(crate) pay_to: Option<String>,
    /// Reference to the gas key, and what its path is relative to.
    pub(crate) gas_key: Option<(String, PathBuf)>,
    /// What is sold.
    pub(crate) routes: Vec<RouteSection>,
    /// What happens to everything else.
    pub(crate) unmatched: Unmatched,
    /// Where the books are.
    pub(crate) ledger: PathBuf,
    /// How messages call the configuration file.
    pub(crate) file: String,
}

/// A gate that listens, and does not answer before [`Gate::serve`].
pub(crate) struct Gate {
    gateway: Gateway,
    seller: Seller,
    listener: TcpListener,
    ledger: SqliteLedger,
    /// Where it listens; the port is the real one.
    pub(crate) address: SocketAddr,
    /// Held for as long as the gate lives: one gate per ledger.
    _lock: SellerLock,
}

/// Opens a gate: binds, locks the ledger, asks the chains who they are, and resolves what an
/// earlier gate has left.
///
/// # Errors
/// Exit 2: it cannot start, and the message says what is missing.
pub(crate) async fn gate(sale: Sale) -> Result<Gate, Failure> {
    let missing = sale.missing();
    if !missing.is_empty() {
        return Err(Failure::config(
            "config_missing",
            format!(
                "the gate cannot start without {}",
                missing.join(", and without ")
            ),
        ));
    }
    let routes = routes(&sale.routes)?;
    let upstreams = upstreams(&sale)?;
    let rails = match sale.is_priced() {
        true => vec![sale.collector().await?],
        false => vec![],
    };
    let lock = SellerLock::acquire(&sale.ledger)?;
    let ledger = super::open_ledger(sale.ledger.clone()).await?;
    let wanted = sale.listen();
    let listener = TcpListener::bind(wanted).await.map_err(|error| {
        Failure::config(
            "listen_failed",
            format!("cannot listen on {wanted}: {error}; choose another with --listen"),
        )
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::internal("listen_failed", error.to_string()))?;
    let public_url = sale
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    let config = SellerConfig {
        unmatched: match sale.unmatched {
            Unmatched::NotFound => UnmatchedPath::NotFound,
            Unmatched::Free => UnmatchedPath::Free,
        },
        ..SellerConfig::new(public_url, routes)
    };
    let seller = Seller::new(config, rails, Arc::new(ledger.clone()), clock())
        .map_err(|why| invalid(why.to_string()))?;
    let gateway = Gateway::new(seller.clone(), upstreams, &GatewayOptions::default())
        .map_err(|why| invalid(why.to_string()))?;
    let recovered = seller.recover().await?;
    tracing::info!(?recovered, "resolved what an earlier gate has left");
    Ok(Gate {
        gateway,
        seller,
        listener,
        ledger,
        address,
        _lock: lock,
    })
}

/// Asks the chains what became of payments that an earlier gate has left open. Returns `false`
/// where a gate is running on the ledger: it does that by itself.
///
/// # Errors
/// Exit 2 where the configuration names no chain or payee to ask about.
pub(crate) async fn recover(config: &Config, data_dir: &DataDir) -> Result<bool, Failure> {
    let path = config.ledger_path(data_dir)?;
    let _lock = match SellerLock::acquire(&path) {
        Ok(lock) => lock,
        Err(LedgerError::Busy(_)) => return Ok(false),
        Err(other) => return Err(other.into()),
    };
    let pay_to = config.file.pay_to.evm.as_deref().ok_or_else(|| {
        let message = format!(
            "this ledger has open payments of a seller; name the payee with evm in [pay_to] of {}",
            config.name()
        );
        Failure::config("config_missing", message)
    })?;
    let pay_to = networks::address(pay_to, "[pay_to] evm")?;
    let networks = networks::configured(config)?;
    let collector =
        EvmCollector::new(networks, asking_only(pay_to), clock()).map_err(rail_failure)?;
    let ledger = super::open_ledger(path).await?;
    // Nothing is sold here, so no offer ever shows this origin.
    let nothing = SellerConfig::new("http://localhost", vec![]);
    let seller = Seller::new(
        nothing,
        vec![Arc::new(collector)],
        Arc::new(ledger),
        clock(),
    )
    .map_err(|why| invalid(why.to_string()))?;
    seller.recover().await?;
    Ok(true)
}

impl Gate {
    /// Serves until `stop`, then lets what has begun come to its end.
    ///
    /// # Errors
    /// Exit 1 where the listener fails.
    pub(crate) async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Failure> {
        let (stopped, stopping) = watch::channel(false);
        let stopped_of = |mut stopping: watch::Receiver<bool>| async move {
            // An error means that the sender is gone, which is a stop too.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let signal = tokio::spawn(async move {
            stop.await;
            // Nobody may be left to hear it.
            let _ = stopped.send(true);
        });
        let seller = self.seller;
        let watching = stopped_of(stopping.clone());
        let watcher = tokio::spawn(async move { seller.watch(watching).await });
        let pruner = tokio::spawn(prune(self.ledger, stopped_of(stopping.clone())));
        let served = self
            .gateway
            .serve(self.listener, stopped_of(stopping))
            .await;
        signal.abort();
        for task in [watcher, pruner] {
            task.await
                .map_err(|why| Failure::internal("gate_failed", why.to_string()))?;
        }
        served.map_err(|error| {
            Failure::internal("gate_failed", format!("the gate broke off: {error}"))
        })
    }
}

impl Sale {
    fn listen(&self) -> SocketAddr {
        self.listen.map_or(LISTEN_DEFAULT, |listen| listen.0)
    }

    fn is_priced(&self) -> bool {
        self.routes.iter().any(|route| route.price.0.0 > 0)
    }

    /// Everything that has to be said and was not, each with what supplies it.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.routes.is_empty() {
            missing.push(format!(
                "anything to sell (--upstream URL and --price \"0.001 USD\", or [[route]] in {})",
                self.file
            ));
        }
        if !self.listen().ip().is_loopback() && self.public_url.is_none() {
            missing.push(
                "the address that buyers see (--public-url URL, or public_url), because it listens beyond loopback"
                    .to_owned(),
            );
        }
        if !self.is_priced() && !self.routes.is_empty() {
            return missing;
        }
        if self.networks.is_empty() {
            missing.push(
                "a network (--network eip155:84532 and --rpc eip155:84532=URL, or [network.\"eip155:84532\"])"
                    .to_owned(),
            );
        }
        for (chain, _) in self
            .networks
            .iter()
            .filter(|(_, section)| section.rpc.is_empty())
        {
            missing.push(format!(
                "an RPC address of {chain} (--rpc {chain}=URL, or rpc in [network.\"{chain}\"])"
            ));
        }
        if self.pay_to.is_none() {
            missing.push("somebody to pay (--pay-to ADDRESS, or evm in [pay_to])".to_owned());
        }
        if self.gas_key.is_none() {
            missing.push(
                "a key that pays for gas (--gas-key env:NAME, or signer = { evm = \"env:NAME\" } in [facilitator])"
                    .to_owned(),
            );
        }
        missing
    }

    /// The EVM rail, with its chains asked.
    async fn collector(&self) -> Result<Arc<dyn CollectRail>, Failure> {
        let (reference, base) = self.gas_key.clone().unwrap_or_default();
        let gas_key = keys::gas_key(&reference, &base, "the gas key")?;
        let pay_to = networks::address(self.pay_to.as_deref().unwrap_or_default(), "pay_to")?;
        let networks = networks::with_endpoints(&self.networks)?;
        let collector =
            EvmCollector::new(networks, CollectorOptions::seller(pay_to, gas_key), clock())
                .map_err(rail_failure)?;
        collector.start().await.map_err(|why| {
            let message = format!("{}; check --rpc, or rpc in [network]", why.message);
            rail_failure(RailError { message, ..why })
        })?;
        Ok(Arc::new(collector))
    }
}

/// Asking moves nothing, so it needs no gas key.
fn asking_only(pay_to: farebox_wire::evm::EvmAddress) -> CollectorOptions {
    CollectorOptions {
        pay_to: Some(pay_to),
        ..CollectorOptions::default()
    }
}

fn routes(sections: &[RouteSection]) -> Result<Vec<Route>, Failure> {
    let mut names = HashSet::new();
    let mut routes = Vec::with_capacity(sections.len());
    for section in sections {
        let matcher: RouteMatcher = section
            .matcher
            .parse()
            .map_err(|why| invalid(format!("[[route]] match: {why}")))?;
        let name = matcher.to_string();
        if !names.insert(name.clone()) {
            return Err(invalid(format!(
                "two routes match {name:?}: the first always wins; remove one of them"
            )));
        }
        let mut route = Route::new(name, matcher, section.price.0);
        route.accept = accepted(section)?;
        route.settle = match section.settle {
            Settle::Before => SettleWhen::Before,
            Settle::After => SettleWhen::After,
        };
        if let Some(span) = section.max_timeout {
            route.max_timeout_s = span.whole_seconds().ok_or_else(|| {
                invalid(format!(
                    "route {:?}: max_timeout is not in whole seconds; write it like \"60s\"",
                    route.id
                ))
            })?;
        }
        route.description.clone_from(&section.description);
        route.mime_type.clone_from(&section.mime_type);
        routes.push(route);
    }
    Ok(routes)
}

fn accepted(section: &RouteSection) -> Result<Vec<Protocol>, Failure> {
    let Some(names) = &section.accept else {
        return Ok(vec![Protocol::X402]);
    };
    let protocols = names.iter().map(|name| match name.as_str() {
        "x402" => Ok(Protocol::X402),
        other => Err(invalid(format!(
            "accept = [{other:?}] is no protocol; write accept = [\"x402\"]"
        ))),
    });
    protocols.collect()
}

fn upstreams(sale: &Sale) -> Result<Upstreams, Failure> {
    let mut by_route = HashMap::new();
    for section in &sale.routes {
        let upstream: Upstream = section
            .upstream
            .parse()
            .map_err(|why| invalid(format!("{why}")))?;
        let matcher: RouteMatcher = section
            .matcher
            .parse()
            .map_err(|why| invalid(format!("{why}")))?;
        by_route.insert(matcher.to_string(), upstream);
    }
    let unmatched = match sale.unmatched {
        Unmatched::NotFound => None,
        Unmatched::Free => Some(only_upstream(&by_route)?),
    };
    Ok(Upstreams {
        by_route,
        unmatched,
    })
}

/// Where free requests go: there has to be one answer.
fn only_upstream(by_route: &HashMap<String, Upstream>) -> Result<Upstream, Failure> {
    let mut all = by_route.values();
    let first = all.next();
    first.filter(|first| all.all(|other| other == *first)).cloned().ok_or_else(|| {
        invalid(
            "unmatched = \"free\" needs one upstream, and the routes have several; add a last [[route]] with match = \"/*\" and price = \"0 USD\"".to_owned(),
        )
    })
}

async fn prune(ledger: SqliteLedger, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut ticks = tokio::time::interval(PRUNE_EVERY);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = ticks.tick() => {}
        }
        match ledger.prune(SystemClock.now_ms()).await {
            Ok(pruned) => tracing::debug!(?pruned, "pruned the ledger"),
            Err(error) => tracing::warn!(%error, "the ledger could not be pruned"),
        }
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn rail_failure(why: RailError) -> Failure {
    Failure::new(
        EXIT_USAGE,
        Fault::harmless(why.code, Kind::Config, Blame::Rail, why.message),
    )
}

fn invalid(message: String) -> Failure {
    Failure::config("config_invalid", message)
}
