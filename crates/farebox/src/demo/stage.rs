//! Sets the stage: chain, API, gate and buyer, with their files in a folder that is removed
//! afterwards; and runs the play on it.

use std::sync::Arc;

use farebox_buyer::{Buyer, BuyerOptions, Call};
use farebox_core::ledger::Ledger;
use farebox_core::policy::Limits;
use farebox_seller::l402::InvoiceLimits;
use farebox_wire::money::UsdMicros;
use http::Method;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::api::Api;
use super::files;
use super::net::{Net, Options};
#[cfg(feature = "all-rails")]
use super::others::{self, Others};
use super::report::Teller;
use super::steps;
use crate::assemble::{
    self, Entrance, Facilitators, Forwarding, GasKeys, Lightning, Sale, SolanaSide, TokenKey,
};
use crate::config::{
    Config, DataDir, Listen, Operation, Price, RouteSection, Settle, TimeoutsSection, TokenUses,
    Unmatched,
};
use crate::failure::Failure;

/// Who buys: somebody with limits of its own, and without private addresses but those allowed.
pub(super) const AGENT: &str = "demo";
/// What the agent may spend on one payment, and ever.
const AGENT_LIMITS: Limits = Limits {
    per_payment: Some(UsdMicros(50_000)),
    per_day: None,
    total: Some(UsdMicros(1_000_000)),
};
/// What is sold, and for how much.
const PRICES: [(&str, UsdMicros); 3] = [
    ("GET /", UsdMicros(0)),
    ("GET /weather/*", UsdMicros(1_000)),
    ("GET /report", UsdMicros(500_000)),
];

/// How many requests a token buys, where tokens are sold.
pub(super) const USES: u64 = 2;

/// Everything that runs.
pub(super) struct Stage {
    pub(super) net: Net,
    /// The rails beside that of `net`, if they are shown.
    #[cfg(feature = "all-rails")]
    pub(super) others: Option<Others>,
    pub(super) api: Api,
    pub(super) buyer: Buyer,
    /// The buyer's books.
    pub(super) buyer_ledger: Arc<dyn Ledger>,
    /// The seller's books, as a second reader sees them.
    pub(super) seller_ledger: Arc<dyn Ledger>,
    /// For requests that no buyer makes: a look at the 402, and a thief's replay.
    pub(super) http: reqwest::Client,
    /// Where the gate listens.
    pub(super) gate: String,
    close: oneshot::Sender<()>,
    closed: JoinHandle<Result<(), Failure>>,
    /// Last, so that it goes when everything that writes into it has gone.
    _dir: TempDir,
}

/// Shows the main job, over the other rails too where `all_rails` asks for them and this build has them. Returns whether
/// every step held.
///
/// # Errors
/// Where the stage cannot be set, or stdout cannot be written.
pub(crate) async fn run(json: bool, all_rails: bool) -> Result<bool, Failure> {
    let stage = Box::pin(Stage::set(all_rails)).await?;
    #[cfg(feature = "all-rails")]
    if stage.others.is_some() {
        Others::warm_up(&stage).await?;
    }
    let mut teller = Teller::new(json);
    let played = Box::pin(steps::play(&stage, &mut teller)).await;
    let steps = stage.steps();
    stage.clear().await?;
    played?;
    teller.close(steps)
}

impl Stage {
    #[cfg_attr(
        not(feature = "all-rails"),
        allow(unused_variables, unused_mut, reason = "there is one rail")
    )]
    async fn set(all_rails: bool) -> Result<Self, Failure> {
        let broken = |error: std::io::Error| Failure::internal("demo_failed", error.to_string());
        let dir = tempfile::Builder::new()
            .prefix("farebox-demo-")
            .tempdir()
            .map_err(broken)?;
        let net = Net::start(Options {
            port: 0,
            block_time: None,
            gas_limit: None,
        })?;
        let mut parts = vec![net.part()];
        #[cfg(feature = "all-rails")]
        let others = all_rails.then(others::Nets::start).transpose()?;
        #[cfg(feature = "all-rails")]
        if let Some(nets) = &others {
            parts.extend(nets.parts()?);
        }
        files::write(dir.path(), &parts)?;
        let api = Api::start().await.map_err(broken)?;
        let data_dir = DataDir::new(Some(dir.path()))?;
        let seller = Config::load(Some(&dir.path().join("seller.toml")))?;
        let seller_ledger = assemble::ledger(&seller, &data_dir).await?;
        #[cfg(feature = "all-rails")]
        let others = match others {
            Some(nets) => Some(Others::new(nets, &Lightning::of(&seller, &data_dir)).await?),
            None => None,
        };
        let gate = assemble::gate(sale(seller, &data_dir, &api.url())?, &data_dir).await?;
        let address = gate.origin.clone();
        let (close, closing) = oneshot::channel();
        let stop = async {
            // An error means that the stage is gone, which closes the gate too.
            let _ = closing.await;
        };
        let closed = tokio::spawn(gate.serve(stop, None));
        let config = Config::load(Some(&dir.path().join("buyer.toml")))?;
        let buyer_ledger = assemble::ledger(&config, &data_dir).await?;
        buyer_ledger.set_budget(Some(AGENT), AGENT_LIMITS).await?;
        let desk = assemble::desk(&config, &data_dir, None, Arc::clone(&buyer_ledger))?;
        let options = BuyerOptions {
            allow_private: config.allow_private()?,
        };
        Ok(Self {
            net,
            #[cfg(feature = "all-rails")]
            others,
            api,
            buyer: Buyer::new(desk, options)?,
            buyer_ledger,
            seller_ledger,
            http: reqwest::Client::new(),
            gate: address,
            close,
            closed,
            _dir: dir,
        })
    }

    /// A call of the agent's.
    pub(super) fn call(&self, path: &str) -> Result<Call, Failure> {
        let mut call = Call::new(Method::GET, &format!("{}{path}", self.gate))?;
        call.agent = Some(AGENT.to_owned());
        Ok(call)
    }

    /// How many steps are played.
    fn steps(&self) -> usize {
        #[cfg(feature = "all-rails")]
        if self.others.is_some() {
            return steps::COUNT + others::COUNT;
        }
        steps::COUNT
    }

    async fn clear(self) -> Result<(), Failure> {
        // An error means that the gate has ended by itself; what it said comes next.
        let _ = self.close.send(());
        let closed = self.closed.await;
        self.net.stop().await;
        #[cfg(feature = "all-rails")]
        if let Some(others) = self.others {
            others.stop().await;
        }
        closed.map_err(|why| Failure::internal("demo_failed", why.to_string()))?
    }
}

fn sale(config: Config, data_dir: &DataDir, upstream: &str) -> Result<Sale, Failure> {
    let lightning = Lightning::of(&config, data_dir);
    let uses = (!lightning.is_empty()).then_some(TokenUses::Times(USES));
    let routes = PRICES.map(|(matcher, price)| RouteSection {
        matcher: matcher.to_owned(),
        upstream: upstream.to_owned(),
        upstream_ca: None,
        timeouts: TimeoutsSection::default(),
        price: Price::Usd(price),
        accept: None,
        settle: Settle::After,
        max_timeout: None,
        uses: uses.filter(|_| price != UsdMicros(0)),
        valid_for: None,
        tier: 0,
        capabilities: Vec::new(),
        description: None,
        mime_type: Some("application/json".to_owned()),
        shadow: false,
    });
    let listen: Listen = "127.0.0.1:0"
        .parse()
        .map_err(|why: String| Failure::internal("demo_failed", why))?;
    let (ledger, file) = (config.ledger_path(data_dir)?, config.name());
    let networks = config.file.network;
    let fee_payers = GasKeys {
        references: config.file.facilitator.signer.solana.0,
        base: config.base.clone(),
    };
    let solana = SolanaSide::seller(
        &networks,
        config.file.pay_to.solana,
        fee_payers,
        Facilitators::default(),
    );
    Ok(Sale {
        ledger,
        file,
        listen: Some(listen),
        entrance: Entrance::default(),
        public_url: None,
        networks,
        pay_to: config.file.pay_to.evm,
        gas_keys: GasKeys {
            references: config.file.facilitator.signer.evm.0,
            base: config.base.clone(),
        },
        solana,
        facilitators: Facilitators::default(),
        factories: Vec::new(),
        gas: config.file.facilitator.limits,
        in_vain: None,
        invoice_limits: InvoiceLimits::default(),
        lightning,
        l402: TokenKey {
            reference: config.file.l402.and_then(|section| section.master_key),
            base: config.base,
        },
        cors: farebox_seller::Cors::default(),
        routes: routes.into(),
        unmatched: Unmatched::NotFound,
        forwarding: Forwarding::default(),
        operation: Operation::default(),
        fixed: toml::Table::new(),
    })
}
