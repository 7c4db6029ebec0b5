//! The facilitator: networks, gas keys under their lease, who may come, ledger under its lock,
//! and the server in front.
//!
//! Everything that is missing is said at once, with the flag and the key that supply it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use farebox_core::clock::SystemClock;
use farebox_core::payment::Role;
use farebox_core::rail::CollectRail;
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey};
use farebox_seller::buckets::BucketLimits;
use farebox_seller::till::{Till, TillConfig};
use farebox_server::{Access, AccessToken, Admin, Facilitator, FacilitatorOptions};
use farebox_wire::caip::ChainId;
use farebox_wire::money::UsdMicros;
use farebox_wire::svm::SvmAddress;
use serde::Serialize;

use super::collecting::{GasKeys, collector, gas_limits, missing, rail_failure};
use super::entrance::Entrance;
use super::gas_cover::{self, GasRate};
use super::overseeing::{Oversight, drain_ms};
use super::reloading::Changes;
use super::service::{self, Beside, Books, Lease, owners};
use super::solana_selling::SolanaSide;
use super::{descriptors, keys, networks};
use crate::config::{DataDir, FacilitatorLimits, Listen, NetworkSection, Operation};
use crate::failure::Failure;

/// Where a facilitator listens when nobody says where.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8404);
/// How long a caller waits for a settlement. Official clients give up after 90 seconds, and
/// gateways before them often after 30.
const SETTLE_WAIT_MS: u64 = 20_000;
/// How often the watch looks at what is not decided.
const WATCH_EVERY_MS: u64 = 1_000;

/// What is served, to whom and where: the file with the flags over it.
pub(crate) struct Service {
    /// Where to listen.
    pub(crate) listen: Option<Listen>,
    /// TLS, and the proxies in front.
    pub(crate) entrance: Entrance,
    /// Where callers find it, for those who come without TLS.
    pub(crate) public_url: Option<String>,
    /// Chains to settle on.
    pub(crate) networks: BTreeMap<ChainId, NetworkSection>,
    /// Keys that pay for gas.
    pub(crate) gas_keys: GasKeys,
    /// Who pays the fees on Solana.
    pub(crate) solana: SolanaSide,
    /// Whose payments are settled; empty is everybody's.
    pub(crate) payees: Vec<String>,
    /// References to the tokens of callers, each with what its path is relative to.
    pub(crate) tokens: Vec<(String, PathBuf)>,
    /// Whether everybody may come.
    pub(crate) open: bool,
    /// Contracts that may deploy a payer's wallet.
    pub(crate) factories: Vec<String>,
    /// What may be spent on gas, and for what.
    pub(crate) limits: FacilitatorLimits,
    /// What callers may make it do in vain.
    pub(crate) in_vain: Option<BucketLimits>,
    /// What one coin that pays for gas is worth.
    pub(crate) gas_rate: GasRate,
    /// How it is looked after.
    pub(crate) operation: Operation,
    /// Where the books are.
    pub(crate) ledger: PathBuf,
}

/// A facilitator that listens, and does not answer before [`OpenFacilitator::serve`].
pub(crate) struct OpenFacilitator {
    /// Where it listens, as a URL; the port is the real one.
    pub(crate) origin: String,
    server: Facilitator,
    till: Arc<Till>,
    books: Books,
    oversight: Oversight,
    _lease: Lease,
}

/// Opens a facilitator: locks the ledger and the keys, binds, asks the chains who they are, and
/// resolves what an earlier one has left.
///
/// # Errors
/// Exit 2: it cannot start, and the message says what is missing.
pub(crate) async fn facilitator(
    service: Service,
    data_dir: &DataDir,
) -> Result<OpenFacilitator, Failure> {
    let (mut access, wanted) = service.permitted()?;
    let front = service.entrance.front(data_dir)?;
    descriptors::ask_for_all();
    let signers = match service.networks.is_empty() {
        true => Vec::new(),
        false => service.gas_keys.load()?,
    };
    let fee_payers = service.solana.keys()?;
    let books = Books::open(service.ledger.clone()).await?;
    let listener = service::bind(wanted, "--listen").await?;
    let oversight = Oversight::open(&service.operation, front.tls.clone()).await?;
    let lease = Lease::take(data_dir, &owners(&signers, &fee_payers))?;
    let mut rails: Vec<Arc<dyn CollectRail>> = Vec::new();
    if !service.networks.is_empty() {
        let rail = service.evm_rail(signers).await?;
        access.gas_cover =
            gas_cover::check(rail.as_ref(), access.min_amount, &service.gas_rate, wanted).await?;
        rails.push(rail);
    }
    let solana = service.solana.collector(fee_payers).await?;
    rails.extend(solana.map(|solana| solana.rail));
    let config = TillConfig {
        role: Role::Facilitator,
        settle_wait_ms: SETTLE_WAIT_MS,
        watch_every_ms: WATCH_EVERY_MS,
    };
    let ledger = Arc::new(books.ledger.clone());
    let till = Till::new(config, rails, ledger, Arc::new(SystemClock));
    let usual = FacilitatorOptions::default();
    let connections = service.entrance.connections();
    let options = FacilitatorOptions {
        front,
        connections_max: connections.unwrap_or(usual.connections_max),
        in_vain: service.entrance.in_vain(service.in_vain),
        drain_ms: drain_ms(&service.operation, usual.drain_ms),
        log: oversight.files.log.clone().map(|log| log as _),
        ..usual
    };
    let mut server = Facilitator::new(Arc::clone(&till), access, &options, listener)
        .map_err(|why| Failure::config("config_missing", why.to_string()))?;
    let origin = service.entrance.origin(server.address());
    let public = service.public_url.as_ref().unwrap_or(&origin);
    if let Some(redirect) = service.entrance.redirect(public).await? {
        server = server.with_redirect(redirect);
    }
    let recovered = till.recover().await?;
    tracing::info!(?recovered, "resolved what an earlier facilitator has left");
    Ok(OpenFacilitator {
        origin,
        server,
        till,
        books,
        oversight,
        _lease: lease,
    })
}

/// Puts the settler on every chain; the first gas key pays.
///
/// # Errors
/// Exit 2: what is missing, or the chain's own words. Running it again is safe.
pub(crate) async fn deploy_settler(
    chains: &BTreeMap<ChainId, NetworkSection>,
    gas_keys: &GasKeys,
    data_dir: &DataDir,
) -> Result<Vec<DeployedSettler>, Failure> {
    let missing = missing(chains, gas_keys);
    if !missing.is_empty() {
        return Err(lacking("the settler cannot be deployed", &missing));
    }
    let signers = gas_keys.load()?;
    let _lease = Lease::take(data_dir, &owners(&signers, &[]))?;
    let mut deployed = Vec::with_capacity(chains.len());
    for network in networks::with_endpoints(chains)? {
        for key in signers.iter().take(1) {
            let one = farebox_rail_evm::deploy_settler(network.clone(), key).await;
            let one = one.map_err(rail_failure)?;
            deployed.push(DeployedSettler {
                network: one.network,
                settler: one.settler,
                transaction: one.transaction,
            });
        }
    }
    Ok(deployed)
}

/// Where a settler is, and which transaction put it there.
#[derive(Serialize)]
pub(crate) struct DeployedSettler {
    pub(crate) network: ChainId,
    pub(crate) settler: String,
    pub(crate) transaction: Option<String>,
}

fn lacking(what: &str, missing: &[String]) -> Failure {
    Failure::config(
        "config_missing",
        format!("{what} without {}", missing.join(", and without ")),
    )
}

impl OpenFacilitator {
    /// Where the admin server listens, if there is one.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.oversight.admin.as_ref().map(Admin::address)
    }

    /// Serves until `stop`, then lets what has begun come to its end. Its routes are its own, so
    /// `changes` only open the request log and the certificates anew.
    ///
    /// # Errors
    /// Exit 1 where a task of it broke off.
    pub(crate) async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
        mut changes: Box<dyn Changes>,
    ) -> Result<(), Failure> {
        let files = self.oversight.files.clone();
        let listening = tokio::spawn(async move {
            loop {
                changes.next().await;
                files.again().await;
                tracing::warn!(
                    "the configuration of a facilitator is read at its start; restart it to change it"
                );
            }
        });
        let (till, server) = (self.till, self.server);
        let beside = Beside {
            ledger: self.books.ledger.clone(),
            oversight: self.oversight,
            till,
            connections: server.connections().clone(),
            seller: None,
        };
        let served = service::run(stop, beside, |stopping| server.serve(stopping)).await;
        listening.abort();
        served
    }
}

impl Service {
    /// Who may come and where, if everything is there that a facilitator needs.
    pub(super) fn permitted(&self) -> Result<(Access, SocketAddr), Failure> {
        let mut missing = match self.networks.is_empty() && !self.solana.is_empty() {
            // Whoever settles on Solana alone needs nothing of any other chain.
            true => Vec::new(),
            false => missing(&self.networks, &self.gas_keys),
        };
        missing.extend(self.solana.missing());
        if !missing.is_empty() {
            return Err(lacking("the facilitator cannot start", &missing));
        }
        let access = self.access()?;
        let wanted = self.listen.map_or(LISTEN_DEFAULT, |listen| listen.0);
        access
            .permits(wanted)
            .map_err(|why| Failure::config("config_missing", why.to_string()))?;
        Ok((access, wanted))
    }

    /// What settles on EVM chains.
    async fn evm_rail(&self, signers: Vec<Arc<EvmKey>>) -> Result<Arc<EvmCollector>, Failure> {
        let options = CollectorOptions {
            pay_to: None,
            signers,
            gas: gas_limits(&self.limits),
            factories: networks::addresses(&self.factories, networks::FACTORIES_KEY)?,
        };
        collector(&self.networks, options).await
    }

    fn access(&self) -> Result<Access, Failure> {
        let key = "[facilitator] payees";
        let payees = self.payees.iter().map(|text| payee(text, key));
        let payees = payees.collect::<Result<_, _>>()?;
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for (reference, base) in &self.tokens {
            let token = keys::load_secret(reference, base, "[facilitator] tokens")?;
            // A line break at the end of a file is not part of the token.
            tokens.push(AccessToken::new(token.expose().trim_ascii()));
        }
        let min_amount = self.limits.min_amount;
        Ok(Access {
            payees,
            tokens,
            open: self.open,
            min_amount: min_amount.map_or(UsdMicros::default(), |usd| usd.0),
            gas_cover: None,
        })
    }
}

/// Reads an address of any rail, as payments name it.
fn payee(text: &str, key: &str) -> Result<String, Failure> {
    // An EVM address has a digit that base58 has not: no text is both.
    match text.parse::<SvmAddress>() {
        Ok(account) => Ok(account.to_string()),
        Err(_) => networks::address(text, key).map(|address| address.to_string()),
    }
}
