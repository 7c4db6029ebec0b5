//! The seller's side: networks, gas key, ledger under its lock, routes, and the gate in front.
//!
//! Everything that is missing is said at once, with the flag and the key that supply it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use farebox_core::clock::{Clock, SystemClock};
use farebox_core::ledger::LedgerError;
use farebox_core::rail::CollectRail;
use farebox_ledger::SellerLock;
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, GasLimits};
use farebox_rail_remote::FeePayers;
use farebox_seller::buckets::BucketLimits;
use farebox_seller::l402::{InvoiceLimits, L402, MasterKey};
use farebox_seller::{
    ClientLimits, Cors, Protocol, Route, Seller, SellerConfig, Unmatched as UnmatchedPath,
};
use farebox_server::{Admin, Gateway, GatewayOptions};
use farebox_wire::caip::ChainId;
use farebox_wire::money::Amount;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::collecting::{self, GasKeys, collector, gas_limits, rail_failure};
use super::descriptors;
use super::entrance::Entrance;
use super::forwarding::Forwarding;
use super::l402::TokenKey;
use super::lightning::Lightning;
use super::networks::{self, FACTORIES_KEY};
use super::overseeing::{Oversight, drain_ms};
use super::reloading::{Reload, Reloaded};
use super::remote::Facilitators;
use super::routes::routes;
use super::service::{self, Beside, Books, Lease, owners};
use super::solana_selling::SolanaSide;
use crate::config::{
    Config, DataDir, FacilitatorLimits, Listen, NetworkSection, Operation, RouteSection, Unmatched,
};
use crate::failure::Failure;

/// Where the gate listens when nobody says where.
const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8402);

/// What is sold, how and where: the file with the flags over it.
pub(crate) struct Sale {
    /// Where to listen.
    pub(crate) listen: Option<Listen>,
    /// TLS, and the proxies in front.
    pub(crate) entrance: Entrance,
    /// The origin that buyers see.
    pub(crate) public_url: Option<String>,
    /// Chains to collect on.
    pub(crate) networks: BTreeMap<ChainId, NetworkSection>,
    /// Who is paid.
    pub(crate) pay_to: Option<String>,
    /// Keys that pay for gas.
    pub(crate) gas_keys: GasKeys,
    /// Who is paid on Solana, and who pays the fees there.
    pub(crate) solana: SolanaSide,
    /// Who settles.
    pub(crate) facilitators: Facilitators,
    /// What may be spent on gas.
    pub(crate) gas: FacilitatorLimits,
    /// Contracts that may deploy a payer's wallet.
    pub(crate) factories: Vec<String>,
    /// What clients may make it do in vain, if that is configured; then on this machine too.
    pub(crate) in_vain: Option<BucketLimits>,
    /// How many invoices may be open.
    pub(crate) invoice_limits: InvoiceLimits,
    /// Who is paid by invoice.
    pub(crate) lightning: Lightning,
    /// The secret that tokens of L402 are signed with.
    pub(crate) l402: TokenKey,
    /// Which pages in browsers may pay.
    pub(crate) cors: Cors,
    /// What is sold.
    pub(crate) routes: Vec<RouteSection>,
    /// What happens to everything else.
    pub(crate) unmatched: Unmatched,
    /// How to reach what is behind the routes.
    pub(crate) forwarding: Forwarding,
    /// How it is looked after.
    pub(crate) operation: Operation,
    /// Where the books are.
    pub(crate) ledger: PathBuf,
    /// How messages call the configuration file.
    pub(crate) file: String,
    /// What of it needs a restart to change.
    pub(crate) fixed: toml::Table,
}

/// A gate that listens, and does not answer before [`Gate::serve`].
pub(crate) struct Gate {
    gateway: Gateway,
    seller: Seller,
    listener: TcpListener,
    books: Books,
    oversight: Oversight,
    fixed: toml::Table,
    is_priced: bool,
    public_url: String,
    /// Where it listens, as a URL; the port is the real one.
    pub(crate) origin: String,
    /// Who is told to pay fees where others settle: offers are made anew when that changes.
    fee_payers: Option<watch::Receiver<FeePayers>>,
    _lease: Lease,
}

/// What collects, and the keys that it holds under lease.
struct Rails {
    lease: Lease,
    rails: Vec<Arc<dyn CollectRail>>,
    fee_payers: Option<watch::Receiver<FeePayers>>,
}

/// Opens a gate: binds, locks the ledger and the gas keys, asks the chains who they are, and resolves what an
/// earlier gate has left.
///
/// # Errors
/// Exit 2: it cannot start, and the message says what is missing.
pub(crate) async fn gate(sale: Sale, data_dir: &DataDir) -> Result<Gate, Failure> {
    sale.refuse_missing()?;
    let routes = sale.sold()?;
    let upstreams = sale.forwarding.upstreams(&sale.routes, sale.unmatched)?;
    let front = sale.entrance.front(data_dir)?;
    descriptors::ask_for_all();
    let books = Books::open(sale.ledger.clone()).await?;
    let listener = service::bind(sale.listen(), "--listen").await?;
    let oversight = Oversight::open(&sale.operation, front.tls.clone()).await?;
    let Rails {
        lease,
        rails,
        fee_payers,
    } = sale.rails(data_dir).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::internal("listen_failed", error.to_string()))?;
    let origin = sale.entrance.origin(address);
    let public_url = sale.public_url.clone().unwrap_or_else(|| origin.clone());
    let redirect = sale.entrance.redirect(&public_url).await?;
    let config = seller_config(&sale, public_url.clone(), routes);
    let l402 = sale.invoicing(data_dir, TokenKey::load).await?;
    let ledger = Arc::new(books.ledger.clone());
    let seller = Seller::with_l402(config, rails, l402, ledger, clock())
        .map_err(|why| invalid(why.to_string()))?;
    let usual = sale.forwarding.options();
    let options = GatewayOptions {
        front,
        connections_max: sale.entrance.connections().unwrap_or(usual.connections_max),
        drain_ms: drain_ms(&sale.operation, usual.drain_ms),
        ..usual
    };
    let mut gateway = Gateway::new(seller.clone(), upstreams, &options)
        .map_err(|why| invalid(why.to_string()))?;
    if let Some(redirect) = redirect {
        gateway = gateway.with_redirect(redirect);
    }
    if let Some(log) = &oversight.files.log {
        gateway = gateway.logging_to(Arc::clone(log) as _);
    }
    let recovered = seller.recover().await?;
    tracing::info!(?recovered, "resolved what an earlier gate has left");
    Ok(Gate {
        gateway,
        seller,
        listener,
        books,
        oversight,
        is_priced: sale.is_priced(),
        fixed: sale.fixed,
        public_url,
        origin,
        fee_payers,
        _lease: lease,
    })
}

/// What the seller is told.
pub(super) fn seller_config(sale: &Sale, public_url: String, routes: Vec<Route>) -> SellerConfig {
    let in_vain = sale.entrance.in_vain(sale.in_vain);
    SellerConfig {
        unmatched: match sale.unmatched {
            Unmatched::NotFound => UnmatchedPath::NotFound,
            Unmatched::Free => UnmatchedPath::Free,
        },
        client_limits: ClientLimits {
            buckets: in_vain.unwrap_or_default(),
            even_loopback: in_vain.is_some(),
        },
        cors: sale.cors.clone(),
        invoice_limits: sale.invoice_limits,
        ..SellerConfig::new(public_url, routes)
    }
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
    let rails = asking_rails(config)?;
    let ledger = super::open_ledger(path).await?;
    // Nothing is sold here, so no offer ever shows this origin.
    let nothing = SellerConfig::new("http://localhost", vec![]);
    let seller = Seller::new(nothing, rails, Arc::new(ledger), clock())
        .map_err(|why| invalid(why.to_string()))?;
    seller.recover().await?;
    Ok(true)
}

/// What asks the chains of a seller, and can move nothing.
fn asking_rails(config: &Config) -> Result<Vec<Arc<dyn CollectRail>>, Failure> {
    let mut rails: Vec<Arc<dyn CollectRail>> = Vec::new();
    if let Some(pay_to) = config.file.pay_to.evm.as_deref() {
        let pay_to = networks::address(pay_to, "[pay_to] evm")?;
        let networks = networks::configured(config)?;
        let collector =
            EvmCollector::new(networks, asking_only(pay_to), clock()).map_err(rail_failure)?;
        rails.push(Arc::new(collector));
    }
    if config.file.pay_to.solana.is_some() {
        let solana = SolanaSide::facilitator(&config.file.network, GasKeys::default());
        rails.extend(solana.asking()?);
    }
    if rails.is_empty() {
        let message = format!(
            "this ledger has open payments of a seller; name the payee with evm or solana in [pay_to] of {}",
            config.name()
        );
        return Err(Failure::config("config_missing", message));
    }
    Ok(rails)
}

impl Gate {
    /// Where the admin server listens, if there is one.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.oversight.admin.as_ref().map(Admin::address)
    }

    /// Serves until `stop`, then lets what has begun come to its end. What is sold follows `reload`.
    ///
    /// # Errors
    /// Exit 1 where the listener fails.
    pub(crate) async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
        reload: Option<Reload>,
    ) -> Result<(), Failure> {
        let (seller, gateway, listener) = (self.seller, self.gateway, self.listener);
        let reloading = reload.map(|reload| {
            let shop = Reloaded {
                seller: seller.clone(),
                public_url: self.public_url,
                reloader: gateway.reloader(),
                course: Arc::clone(&self.oversight.course),
                fixed: self.fixed,
                is_priced: self.is_priced,
                files: self.oversight.files.clone(),
                fee_payers: self.fee_payers,
            };
            tokio::spawn(shop.follow(reload))
        });
        let beside = Beside {
            ledger: self.books.ledger.clone(),
            oversight: self.oversight,
            till: Arc::clone(seller.till()),
            seller: Some(seller.clone()),
            connections: gateway.connections().clone(),
        };
        let served = service::run(stop, beside, |stopping| gateway.serve(listener, stopping)).await;
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        served?.map_err(|error| {
            Failure::internal("gate_failed", format!("the gate broke off: {error}"))
        })
    }
}

impl Sale {
    pub(super) fn listen(&self) -> SocketAddr {
        self.listen.map_or(LISTEN_DEFAULT, |listen| listen.0)
    }

    pub(super) fn is_priced(&self) -> bool {
        let mut routes = self.routes.iter();
        routes.any(|route| !route.price.is_free() && !route.shadow)
    }

    /// Whether something may be paid in a protocol.
    pub(super) fn accepts(&self, protocol: Protocol) -> Result<bool, Failure> {
        let mut routes = self.sold()?.into_iter();
        let is_asked = |route: &Route| {
            let is_free = route.price.0 == 0 && route.price_msat.is_none_or(Amount::is_zero);
            !is_free && !route.is_shadow
        };
        Ok(routes.any(|route| is_asked(&route) && route.accept.contains(&protocol)))
    }

    /// What is sold, for the seller.
    pub(super) fn sold(&self) -> Result<Vec<Route>, Failure> {
        // A protocol is spoken where a network is configured for it.
        let mut usual = Vec::new();
        let has_chains = self.collects_on_evm() || !self.solana.is_empty();
        if has_chains || self.lightning.is_empty() {
            usual.push(Protocol::X402);
        }
        if !self.lightning.is_empty() {
            usual.push(Protocol::L402);
        }
        routes(&self.routes, &usual)
    }

    /// What collects by invoice, where something may be paid so.
    pub(super) async fn invoicing(
        &self,
        data_dir: &DataDir,
        key: fn(&TokenKey, &DataDir) -> Result<MasterKey, Failure>,
    ) -> Result<Option<L402>, Failure> {
        if !self.accepts(Protocol::L402)? {
            return Ok(None);
        }
        let Some(rail) = self.lightning.collector().await? else {
            return Ok(None);
        };
        Ok(Some(L402 {
            rail,
            master_key: key(&self.l402, data_dir)?,
        }))
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
        // A route that cannot be read is told of by who reads it.
        if !self.routes.is_empty() && !self.accepts(Protocol::X402).unwrap_or(true) {
            return missing;
        }
        missing.extend(self.solana.missing());
        // Whoever sells on Solana alone needs nothing of any other chain.
        if !self.collects_on_evm() && !self.solana.is_empty() {
            return missing;
        }
        if self.pay_to.is_none() {
            missing.push("somebody to pay (--pay-to ADDRESS, or evm in [pay_to])".to_owned());
        }
        missing.extend(match self.facilitators.is_local() {
            true => collecting::missing(&networks::chains(&self.networks), &self.gas_keys),
            false => collecting::missing_network(&networks::chains(&self.networks)),
        });
        missing
    }

    /// Whether it is paid on EVM chains.
    pub(super) fn collects_on_evm(&self) -> bool {
        !networks::chains(&self.networks).is_empty()
    }

    /// Says all of it at once.
    pub(super) fn refuse_missing(&self) -> Result<(), Failure> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", and without ");
        let message = format!("the gate cannot start without {missing}");
        Err(Failure::config("config_missing", message))
    }

    /// The rails, with their keys under lease: none where nothing has a price.
    async fn rails(&self, data_dir: &DataDir) -> Result<Rails, Failure> {
        if !self.accepts(Protocol::X402)? {
            return Ok(Rails {
                lease: Lease::take(data_dir, &[])?,
                rails: Vec::new(),
                fee_payers: None,
            });
        }
        let signers = match self.facilitators.is_local() && self.collects_on_evm() {
            true => self.gas_keys.load()?,
            // Somebody else pays for gas; a key that is not needed is not read.
            false => Vec::new(),
        };
        let fee_payers = self.solana.keys()?;
        let lease = Lease::take(data_dir, &owners(&signers, &fee_payers))?;
        let mut rails: Vec<Arc<dyn CollectRail>> = Vec::new();
        if self.collects_on_evm() {
            rails.push(self.evm_rail(signers).await?);
        }
        let mut named = None;
        if let Some(solana) = self.solana.collector(fee_payers).await? {
            rails.push(solana.rail);
            named = solana.fee_payers;
        }
        Ok(Rails {
            lease,
            rails,
            fee_payers: named,
        })
    }

    /// What collects on EVM chains.
    async fn evm_rail(&self, signers: Vec<Arc<EvmKey>>) -> Result<Arc<dyn CollectRail>, Failure> {
        let pay_to = networks::address(self.pay_to.as_deref().unwrap_or_default(), "pay_to")?;
        let options = CollectorOptions {
            pay_to: Some(pay_to),
            signers,
            // One's own routes pay for their gas, whoever pays for them.
            gas: GasLimits {
                per_day_wei: gas_limits(&self.gas).per_day_wei,
                ..GasLimits::default()
            },
            factories: networks::addresses(&self.factories, FACTORIES_KEY)?,
        };
        let chains = networks::chains(&self.networks);
        let rail: Arc<dyn CollectRail> = collector(&chains, options).await?;
        match self.facilitators.is_remote() {
            true => Ok(Arc::new(
                self.facilitators.in_front_of(rail, &chains).await?,
            )),
            false => Ok(rail),
        }
    }
}

/// Asking moves nothing, so it needs no gas key.
pub(super) fn asking_only(pay_to: farebox_wire::evm::EvmAddress) -> CollectorOptions {
    CollectorOptions {
        pay_to: Some(pay_to),
        ..CollectorOptions::default()
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

pub(super) fn invalid(message: String) -> Failure {
    Failure::config("config_invalid", message)
}
