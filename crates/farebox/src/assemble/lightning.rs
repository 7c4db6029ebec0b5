//! Lightning: nodes, rates and what pays and collects with them. The one place that names the rail.
//!
//! Called where a desk or a gate is assembled, and by the doctor. A node is built without being
//! asked; who needs it to be there asks it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::invoice::InvoiceRail;
use farebox_core::rail::{
    Authorised, Finding, Handle, Holding, NotPayable, Paid, PayRail, Quote, RailError,
};
use farebox_core::rates::{NoRate, Rates};
use farebox_rail_lightning::{
    FeeCap, LightningCollector, LightningPayer, LndNode, LndOptions, Macaroon, Network, Node, PAIR,
    PayPlace,
};
use farebox_wire::caip::ChainId;
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::money::UsdMicros;
use zeroize::Zeroizing;

use super::collecting::rail_failure;
use super::embedded;
use super::keys;
use super::lightning_facts::NodeFacts;
use super::own_node::OwnNode;
use super::rates::{self, Source};
use crate::config::{Config, DataDir, MaxFee, NetworkSection, NodeKind, NodeSection, RateSection};
use crate::failure::Failure;
use crate::rates::Board;

/// How long a quote waits for the first reading of a rate: a command that has just started.
const FIRST_RATE: Duration = Duration::from_secs(4);
/// Bytes of a macaroon or certificate.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What the file says about Lightning.
#[derive(Clone, Default)]
pub(crate) struct Lightning {
    sections: BTreeMap<ChainId, NetworkSection>,
    rates: BTreeMap<String, RateSection>,
    /// What paths are relative to.
    base: PathBuf,
    /// Where an embedded node lives if nobody says.
    data_dir: PathBuf,
    /// The nodes that were built: one in this process can only be there once.
    built: Arc<Mutex<BTreeMap<ChainId, Arc<dyn Node>>>>,
}

/// Whether a network is one of Lightning.
pub(crate) fn is_lightning(network: &ChainId) -> bool {
    Network::of(network).is_some() || network.namespace() == "lightning"
}

impl Lightning {
    /// The networks of Lightning in a configuration, and the rates.
    pub(crate) fn of(config: &Config, data_dir: &DataDir) -> Self {
        let networks = config.file.network.iter();
        let ours = networks.filter(|(network, _)| is_lightning(network));
        Self {
            sections: ours
                .map(|(network, section)| (network.clone(), section.clone()))
                .collect(),
            rates: config.file.rates.clone(),
            base: config.base.clone(),
            data_dir: data_dir.path().to_path_buf(),
            built: Arc::default(),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// References to what has to stay secret.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &String> {
        let nodes = self
            .sections
            .values()
            .filter_map(|section| section.node.as_ref());
        nodes.filter_map(|node| node.macaroon.as_ref())
    }

    /// What pays, where a network is configured. Asks nobody.
    ///
    /// # Errors
    /// Exit 2, naming the network and the key.
    pub(crate) fn payer(&self) -> Result<Option<Arc<dyn PayRail>>, Failure> {
        if self.is_empty() {
            return Ok(None);
        }
        let board = Arc::new(self.board()?);
        let mut places = Vec::with_capacity(self.sections.len());
        for (network, section) in &self.sections {
            places.push(PayPlace {
                network: network.clone(),
                node: self.node(network, section)?,
                fee_cap: fee_cap(network, section)?,
            });
        }
        let rates: Arc<dyn Rates> = board.clone();
        let inner = LightningPayer::new(places, rates, clock()).map_err(rail_failure)?;
        Ok(Some(Arc::new(RatedPayer { inner, board })))
    }

    /// The folder that references are relative to.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// What collects by invoice, where a network is configured. Asks the node who it is.
    ///
    /// # Errors
    /// Exit 2, naming the network and the key; also where the node does not answer.
    pub(crate) async fn collector(&self) -> Result<Option<Arc<dyn InvoiceRail>>, Failure> {
        let mut sections = self.sections.iter();
        let Some((network, section)) = sections.next() else {
            return Ok(None);
        };
        if let Some((other, _)) = sections.next() {
            return Err(invalid(format!(
                "a gate is paid on one network of Lightning, not on {network} and {other}; remove one of them"
            )));
        }
        let node = self.node(network, section)?;
        let board = Arc::new(self.board()?);
        board.first(PAIR, FIRST_RATE).await;
        let started = LightningCollector::start(network, node, board, clock()).await;
        let collector = started.map_err(rail_failure)?;
        Ok(Some(Arc::new(collector)))
    }

    /// The embedded node of a network, or of the only one that has one, for its operator.
    ///
    /// # Errors
    /// Exit 2, with what is missing.
    pub(crate) fn own_node(&self, wanted: Option<&ChainId>) -> Result<Arc<dyn OwnNode>, Failure> {
        #[cfg(not(feature = "embedded-node"))]
        embedded::refuse()?;
        let is_embedded = |section: &NetworkSection| {
            let node = section.node.as_ref();
            node.is_some_and(|node| node.kind == NodeKind::Embedded)
        };
        let mut own = self.sections.iter().filter(|(network, section)| {
            is_embedded(section) && wanted.is_none_or(|wanted| wanted == *network)
        });
        let (network, section) = match (own.next(), own.next(), wanted) {
            (Some(own), None, _) => own,
            (Some((one, _)), Some((other, _)), _) => {
                return Err(Failure::config(
                    "usage",
                    format!(
                        "there are several embedded nodes, {one} and {other}; name a network with --network"
                    ),
                ));
            }
            (None, _, Some(wanted)) if self.sections.contains_key(wanted) => {
                return Err(Failure::config(
                    "node_not_embedded",
                    format!(
                        "the node of {wanted} is a process of its own, with tools of its own (lncli); `farebox node` is for kind = \"embedded\""
                    ),
                ));
            }
            (None, ..) => {
                let network = wanted.map_or("lightning:mainnet", |wanted| wanted.as_str());
                return Err(Failure::config(
                    "config_missing",
                    format!(
                        "no embedded node is configured; name a file with --config that has [network.\"{network}\"] node = {{ kind = \"embedded\", chain = {{ esplora = \"https://…\" }} }}"
                    ),
                ));
            }
        };
        refuse_keys_of_chains(network, section)?;
        let key = format!("[network.\"{network}\"]");
        match &section.node {
            Some(node) => embedded::own(node, network, &self.base, &self.data_dir, &key),
            None => Err(invalid(format!("{key} has no node"))),
        }
    }

    /// What every node says of itself, for those who look why nothing works.
    pub(crate) async fn facts(&self) -> Vec<NodeFacts> {
        let mut facts = Vec::with_capacity(self.sections.len());
        for (network, section) in &self.sections {
            let node = self.node(network, section);
            let fee_cap = fee_cap(network, section).map(|_| ());
            facts.push(match fee_cap.and(node) {
                Ok(node) => NodeFacts::ask(network, &*node).await,
                Err(why) => NodeFacts::unbuilt(network, why),
            });
        }
        facts
    }

    /// What a bitcoin is worth, or why nobody knows; `None` where Lightning is not configured.
    ///
    /// # Errors
    /// Exit 2, naming the pair and the key.
    pub(crate) async fn bitcoin(&self) -> Result<Option<Result<UsdMicros, NoRate>>, Failure> {
        if self.is_empty() {
            return Ok(None);
        }
        let board = self.board()?;
        board.first(PAIR, FIRST_RATE).await;
        Ok(Some(board.rate(PAIR).map(|rate| rate.per_unit())))
    }

    /// The rates.
    ///
    /// # Errors
    /// Exit 2, naming the pair and the key.
    fn board(&self) -> Result<Board, Failure> {
        let mut board = Board::new(clock());
        for (pair, section) in &self.rates {
            let source = rates::source(pair, section)?;
            match source {
                Source::Fixed(_) => self.refuse_fixed(pair)?,
                // Gas is not Lightning's business; what is written of it is right, and not asked for.
                Source::Feed(_) if pair != PAIR => continue,
                Source::Feed(_) => {}
            }
            rates::put(&mut board, pair, source);
        }
        Ok(board)
    }

    /// Real bitcoin has no price by hand: it would be wrong the next minute.
    fn refuse_fixed(&self, pair: &str) -> Result<(), Failure> {
        let is_real = |network: &ChainId| Network::of(network).is_some_and(Network::is_mainnet);
        if pair == PAIR && self.sections.keys().any(is_real) {
            return Err(invalid(format!(
                "[rates] {pair:?} is fixed, and lightning:mainnet is real money; name a source: {{ url = \"https://…\", pointer = \"/price\", min = \"20000\", max = \"500000\" }}"
            )));
        }
        Ok(())
    }

    /// The node of a network, built once.
    fn node(&self, network: &ChainId, section: &NetworkSection) -> Result<Arc<dyn Node>, Failure> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = built.get(network) {
            return Ok(node.clone());
        }
        let node = self.build(network, section)?;
        built.insert(network.clone(), node.clone());
        Ok(node)
    }

    fn build(&self, network: &ChainId, section: &NetworkSection) -> Result<Arc<dyn Node>, Failure> {
        refuse_keys_of_chains(network, section)?;
        let key = format!("[network.\"{network}\"]");
        let node = section.node.as_ref().ok_or_else(|| {
            invalid(format!(
                "{key} has no node; write node = {{ kind = \"lnd\", url = \"https://127.0.0.1:8080\", macaroon = \"file:invoice.macaroon\", cert = \"file:tls.cert\" }}"
            ))
        })?;
        match node.kind {
            NodeKind::Lnd => Ok(Arc::new(self.lnd(node, &key)?)),
            NodeKind::Embedded => embedded::node(node, network, &self.base, &self.data_dir, &key),
        }
    }

    fn lnd(&self, node: &NodeSection, key: &str) -> Result<LndNode, Failure> {
        if node.dir.is_some() || node.chain.is_some() || !node.listen.is_empty() {
            return Err(invalid(format!(
                "{key} node: dir, chain and listen are for kind = \"embedded\"; remove them"
            )));
        }
        let missing = |what: &str, example: &str| {
            invalid(format!(
                "{key} node: kind = \"lnd\" needs {what}; write {what} = {example:?}"
            ))
        };
        let url = node.url.as_deref();
        let url = url.ok_or_else(|| missing("url", "https://127.0.0.1:8080"))?;
        let macaroon = node.macaroon.as_deref();
        let macaroon = macaroon.ok_or_else(|| missing("macaroon", "file:invoice.macaroon"))?;
        let at = |name: &str| format!("{key} node.{name}");
        let macaroon = Macaroon::read(&bytes_of(macaroon, &self.base, &at("macaroon"))?)
            .map_err(|why| invalid(format!("{}: {why}", at("macaroon"))))?;
        let mut options = LndOptions::new(url, macaroon)
            .map_err(|why| invalid(format!("{}: {why}", at("url"))))?
            .with_private_channels(node.private_channels);
        if let Some(cert) = &node.cert {
            options = options
                .pinned(&bytes_of(cert, &self.base, &at("cert"))?)
                .map_err(|why| invalid(format!("{}: {why}", at("cert"))))?;
        }
        LndNode::new(options).map_err(|why| invalid(format!("{key} node: {why}")))
    }
}

/// Refuses what is no network of Lightning, or has keys of another kind.
fn refuse_keys_of_chains(network: &ChainId, section: &NetworkSection) -> Result<(), Failure> {
    let key = format!("[network.\"{network}\"]");
    if Network::of(network).is_none() {
        return Err(invalid(format!(
            "{key} is no network of Lightning; write lightning:mainnet, lightning:testnet, lightning:signet or lightning:regtest"
        )));
    }
    let has_chain_keys = !section.rpc.is_empty()
        || !section.asset.is_empty()
        || !section.offered.is_empty()
        || section.confirmations.is_some()
        || section.settler.is_some();
    if has_chain_keys {
        return Err(invalid(format!(
            "{key} has keys of an EVM chain; Lightning needs node and, if you like, max_fee"
        )));
    }
    Ok(())
}

/// The bytes behind a reference, as they are: a macaroon may end in what looks like a blank.
fn bytes_of(reference: &str, base: &Path, key: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let Some(path) = reference.strip_prefix("file:") else {
        let secret = keys::load_secret(reference, base, key)?;
        return Ok(Zeroizing::new(secret.expose().to_vec()));
    };
    let path = base.join(path);
    let unreadable = |why: String| {
        Failure::config(
            "key_unreadable",
            format!("{key}: {} cannot be read: {why}", path.display()),
        )
    };
    let about = std::fs::metadata(&path).map_err(|why| unreadable(why.to_string()))?;
    if about.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "it is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    let bytes = std::fs::read(&path).map_err(|why| unreadable(why.to_string()))?;
    Ok(Zeroizing::new(bytes))
}

fn fee_cap(network: &ChainId, section: &NetworkSection) -> Result<FeeCap, Failure> {
    match section.max_fee {
        None => Ok(FeeCap::default()),
        Some(MaxFee::Msat(at_least_msat)) => Ok(FeeCap {
            at_least_msat,
            parts_per_million: 0,
        }),
        Some(MaxFee::Part(parts_per_million)) => Ok(FeeCap {
            at_least_msat: 0,
            parts_per_million,
        }),
        Some(MaxFee::Gas(_)) => Err(invalid(format!(
            "[network.\"{network}\"] max_fee is gas money; write it like \"10 sat\" or \"1%\" on Lightning"
        ))),
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn invalid(message: String) -> Failure {
    Failure::config("config_invalid", message)
}

/// Pays when the rate has been read once.
struct RatedPayer {
    inner: LightningPayer,
    board: Arc<Board>,
}

#[async_trait]
impl PayRail for RatedPayer {
    fn rail(&self) -> &'static str {
        self.inner.rail()
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        if matches!(offer, Offer::L402(_)) {
            self.board.first(PAIR, FIRST_RATE).await;
        }
        self.inner.quote(offer).await
    }

    async fn authorise(
        &self,
        quote: &Quote,
        challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        self.inner.authorise(quote, challenge, valid_for_s).await
    }

    async fn pay(&self, handle: &Handle, wait_ms: u64) -> Paid {
        self.inner.pay(handle, wait_ms).await
    }

    async fn check(&self, handle: &Handle) -> Finding {
        self.inner.check(handle).await
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        self.inner.balances().await
    }
}
