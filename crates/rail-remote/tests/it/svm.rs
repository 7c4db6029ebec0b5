//! The same on Solana: a chain, a buyer, a collector that holds no key, and facilitators that do.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use farebox_core::clock::SystemClock;
use farebox_core::rail::{CollectRail, Examined, PayRail, Price, SellerOffer};
use farebox_devnet_svm::{DevnetSvm, DevnetSvmOptions};
use farebox_rail_remote::{Place, RemoteCollector, RemoteOptions};
use farebox_rail_solana::{CollectorOptions, Network, SolanaCollector, SolanaKey, SolanaPayer};
use farebox_wire::challenge::Challenge;
use farebox_wire::money::UsdMicros;
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402::header;
use farebox_wire::x402::types::PaymentPayload;
use serde_json::{Value, json};
use solana_signer::Signer as _;

use crate::support::{Peer, examine};

/// Who buys, who is paid, and who pays fees in the gate's own process.
const BUYER: usize = 1;
const PAYEE: usize = 9;
pub(crate) const LOCAL: usize = 3;

/// A chain and everybody on it.
pub(crate) struct Town {
    pub(crate) net: DevnetSvm,
    network: Network,
    payer: SolanaPayer,
}

impl Town {
    /// Where a transaction is executed and final when it is sent.
    pub(crate) fn new() -> Self {
        let net = DevnetSvm::start(DevnetSvmOptions::quick()).expect("a devnet");
        let mut network = Network::new(net.network().parse().expect("a chain"));
        network.rpc = vec![net.rpc_url()];
        let key = Arc::new(SolanaKey::from_seed(&net.accounts()[BUYER].seed));
        let payer = SolanaPayer::new(vec![network.clone()], key, Arc::new(SystemClock));
        Self {
            payer: payer.expect("a payer"),
            network,
            net,
        }
    }

    /// The account of that number, as it stands in offers.
    pub(crate) fn account(&self, number: usize) -> String {
        self.net.accounts()[number].address.to_string()
    }

    /// What somebody says who pays fees from that account.
    pub(crate) fn supported(&self, number: usize) -> String {
        self.saying(&json!({"feePayer": self.account(number)}))
    }

    /// What somebody says who wants this in offers.
    pub(crate) fn saying(&self, extra: &Value) -> String {
        json!({"kinds": [{"x402Version": 2, "scheme": "exact", "network": self.net.network(), "extra": extra}]})
            .to_string()
    }

    /// An honest facilitator that pays fees from that account, which a test may make lie.
    pub(crate) async fn facilitator(&self, number: usize) -> Peer {
        let options = CollectorOptions {
            signers: vec![self.key(number)],
            ..CollectorOptions::default()
        };
        let rail = self.rail(self.network.clone(), options);
        rail.start().await.expect("the devnet answers");
        Peer::start(Some(Arc::new(rail)), self.supported(number)).await
    }

    /// One that knows nothing, and says that it pays fees from that account.
    pub(crate) async fn puppet(&self, number: usize) -> Peer {
        Peer::start(None, self.supported(number)).await
    }

    /// A collector that asks these, started.
    pub(crate) async fn collector(&self, has_rpc: bool, urls: &[&str]) -> RemoteCollector {
        let collector = self.collector_of(has_rpc, urls);
        collector.start().await.expect("it starts");
        collector
    }

    pub(crate) fn collector_of(&self, has_rpc: bool, urls: &[&str]) -> RemoteCollector {
        let places = urls.iter().map(|url| match *url {
            "local" => Place::Local,
            url => Place::remote(url, &[]).expect("a facilitator"),
        });
        let mut network = self.network.clone();
        let chains = has_rpc.then(|| network.chain.clone());
        let options = RemoteOptions {
            places: places.collect(),
            chains: chains.into_iter().collect(),
        };
        let mut local = CollectorOptions {
            pay_to: Some(SvmAddress(self.net.accounts()[PAYEE].address.to_bytes())),
            others_settle: true,
            ..CollectorOptions::default()
        };
        if urls.contains(&"local") {
            local.signers = vec![self.key(LOCAL)];
        }
        if !has_rpc {
            network.rpc.clear();
        }
        let inner = Arc::new(self.rail(network, local));
        RemoteCollector::new(inner, options, Arc::new(SystemClock)).expect("a collector")
    }

    fn rail(&self, network: Network, options: CollectorOptions) -> SolanaCollector {
        SolanaCollector::new(vec![network], options, Arc::new(SystemClock)).expect("a rail")
    }

    fn key(&self, number: usize) -> Arc<SolanaKey> {
        Arc::new(SolanaKey::from_seed(&self.net.accounts()[number].seed))
    }

    /// A credential for a tenth of a cent, and the offer that it answers.
    pub(crate) async fn credential(
        &self,
        collector: &RemoteCollector,
    ) -> (PaymentPayload, SellerOffer) {
        let offer = offer(collector);
        let quote = self.payer.quote(&offer.as_read()).await.expect("payable");
        let challenge = Challenge::default();
        let signed = self.payer.authorise(&quote, &challenge, 60).await;
        let credential = signed.expect("signed").credential;
        let credential = credential.expect("a signature").value;
        let payload = header::decode(credential.as_bytes()).expect("a payload");
        (payload, offer)
    }

    /// The same, examined.
    pub(crate) async fn signed(&self, collector: &RemoteCollector) -> Examined {
        let (payload, offer) = self.credential(collector).await;
        examine(collector, &payload, &offer)
    }

    /// What whoever pays fees from that account signs of a credential: its name on the chain.
    pub(crate) fn name_by(&self, number: usize, payload: &PaymentPayload) -> String {
        let bytes = payload.payload["transaction"].as_str().expect("a text");
        let bytes = BASE64_STANDARD.decode(bytes).expect("base64");
        // Behind the number of signatures and two of them.
        let key = self.net.accounts()[number].keypair();
        key.sign_message(&bytes[129..]).to_string()
    }

    /// A facilitator's word that it has settled so.
    pub(crate) fn success(&self, transaction: &str) -> String {
        json!({"success": true, "transaction": transaction, "network": self.net.network(), "payer": self.account(BUYER)})
            .to_string()
    }

    /// A facilitator's word that it has not.
    pub(crate) fn refusal(&self, reason: &str) -> String {
        json!({"success": false, "errorReason": reason, "transaction": "", "network": self.net.network()})
            .to_string()
    }

    /// What the payee has got since the start.
    pub(crate) fn revenue(&self) -> u128 {
        let payee = self.net.accounts()[PAYEE].address;
        self.net.token_balance(payee, self.net.usdc()).into()
    }
}

pub(crate) fn offer(collector: &RemoteCollector) -> SellerOffer {
    let price = Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 60,
        upfront: false,
    };
    collector.offers(&price).expect("offers").remove(0)
}

/// Who pays the fee by what is offered now.
pub(crate) fn fee_payer(collector: &RemoteCollector) -> String {
    let named = offer(collector).raw["extra"]["feePayer"].clone();
    named.as_str().expect("somebody").to_owned()
}
