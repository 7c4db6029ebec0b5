//! The list of conformance over two real nodes, which the rail reaches as it reaches lnd.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::SystemClock;
use farebox_core::invoice::InvoiceRail;
use farebox_core::rail::PayRail;
use farebox_devnet_ln::{ANY_METHOD, Devnet, DevnetOptions, Fault};
use farebox_rail_lightning::{
    FeeCap, LightningCollector, LightningPayer, LndNode, LndOptions, Macaroon, PayPlace,
};

use crate::collector::Sixty;
use crate::conformance::{Fixture, rail_conformance};

/// Which node sells and which buys.
pub(crate) const SELLER: usize = 0;
const BUYER: usize = 1;

struct Lightning {
    devnet: Devnet,
    collector: Arc<LightningCollector>,
    payer: Arc<LightningPayer>,
}

impl Lightning {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let devnet = tokio::task::spawn_blocking(|| Devnet::start(DevnetOptions::default()));
        let devnet = devnet.await.unwrap().unwrap();
        let network = "lightning:regtest".parse().unwrap();
        let seller = Arc::new(node(&devnet, SELLER));
        let rates = Arc::new(Sixty);
        let collector =
            LightningCollector::start(&network, seller, rates, Arc::new(SystemClock)).await;
        let payer = payer(&devnet);
        Self {
            devnet,
            collector: Arc::new(collector.unwrap()),
            payer: Arc::new(payer),
        }
    }

    /// Faults of one rule end with it.
    fn clear(&self) {
        for node in [SELLER, BUYER] {
            self.devnet.faults(node).clear();
        }
    }
}

pub(crate) fn node(devnet: &Devnet, number: usize) -> LndNode {
    let about = &devnet.nodes()[number];
    let macaroon = Macaroon::read(about.macaroon.as_bytes()).unwrap();
    let options = LndOptions::new(&about.url, macaroon).unwrap();
    LndNode::new(options.pinned(about.cert.as_bytes()).unwrap()).unwrap()
}

fn payer(devnet: &Devnet) -> LightningPayer {
    let place = PayPlace {
        network: "lightning:regtest".parse().unwrap(),
        node: Arc::new(node(devnet, BUYER)),
        fee_cap: FeeCap::default(),
    };
    LightningPayer::new(vec![place], Arc::new(Sixty), Arc::new(SystemClock)).unwrap()
}

#[async_trait]
impl Fixture for Lightning {
    fn payer(&self) -> Arc<dyn PayRail> {
        self.payer.clone()
    }

    fn restarted(&self) -> Arc<dyn PayRail> {
        Arc::new(payer(&self.devnet))
    }

    fn collector(&self) -> Arc<dyn InvoiceRail> {
        self.collector.clone()
    }

    fn revenue(&self) -> u64 {
        self.devnet.balances(SELLER).unwrap().outbound_msat
    }

    fn cut_off(&self, is_cut: bool) {
        let faults = self.devnet.faults(BUYER);
        match is_cut {
            true => faults.set(ANY_METHOD, Fault::Disconnect),
            false => faults.clear(),
        }
    }

    fn lose_reply(&self) {
        let faults = self.devnet.faults(BUYER);
        faults.set_times("sendpayment", Fault::LoseReply, 1);
    }

    fn hold(&self, is_held: bool) {
        let faults = self.devnet.faults(SELLER);
        match is_held {
            true => faults.hold_payments(),
            false => faults.release_payments(),
        }
    }

    fn withhold_preimages(&self) {
        for method in ["sendpayment", "trackpayment"] {
            self.devnet.faults(BUYER).set(method, Fault::NoPreimage);
        }
    }
}

rail_conformance!(Lightning::start);
