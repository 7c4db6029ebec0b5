//! The list of conformance over two real nodes, which the rail reaches as it reaches lnd.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use farebox_core::clock::{Clock, SystemClock};
use farebox_core::conformance::{LocalNet, PrepaidNet};
use farebox_core::invoice::InvoiceRail;
use farebox_core::rail::PayRail;
use farebox_devnet_ln::{ANY_METHOD, Devnet, DevnetOptions, Fault};
use farebox_rail_lightning::{
    FeeCap, LightningCollector, LightningPayer, LndNode, LndOptions, Macaroon, PayPlace,
};

use crate::collector::Sixty;

/// Which node sells and which buys.
pub(crate) const SELLER: usize = 0;
const BUYER: usize = 1;

struct Lightning {
    devnet: Devnet,
    collector: Arc<LightningCollector>,
    payer: Arc<LightningPayer>,
    /// The buyer's.
    clock: Arc<Ahead>,
}

/// The computer's clock, which a rule may put forward.
#[derive(Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
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
        let clock = Arc::new(Ahead::default());
        let payer = payer(&devnet, &clock);
        Self {
            clock,
            devnet,
            collector: Arc::new(collector.unwrap()),
            payer: Arc::new(payer),
        }
    }

    /// Puts the buyer's clock and the seller's node so far ahead.
    fn turn(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap();
        self.clock.0.store(by_ms, Ordering::SeqCst);
        self.devnet.set_time_ahead(SELLER, by).unwrap();
    }
}

pub(crate) fn node(devnet: &Devnet, number: usize) -> LndNode {
    let about = &devnet.nodes()[number];
    let macaroon = Macaroon::read(about.macaroon.as_bytes()).unwrap();
    let options = LndOptions::new(&about.url, macaroon).unwrap();
    LndNode::new(options.pinned(about.cert.as_bytes()).unwrap()).unwrap()
}

fn payer(devnet: &Devnet, clock: &Arc<Ahead>) -> LightningPayer {
    let place = PayPlace {
        network: "lightning:regtest".parse().unwrap(),
        node: Arc::new(node(devnet, BUYER)),
        fee_cap: FeeCap::default(),
    };
    LightningPayer::new(vec![place], Arc::new(Sixty), clock.clone()).unwrap()
}

impl LocalNet for Lightning {
    fn revenue(&self) -> u128 {
        self.devnet.balances(SELLER).unwrap().outbound_msat.into()
    }

    fn expire(&self) {
        self.turn(Duration::from_secs(3_600));
    }

    fn cut_off(&self, is_cut: bool) {
        for node in [SELLER, BUYER] {
            let faults = self.devnet.faults(node);
            match is_cut {
                true => faults.set(ANY_METHOD, Fault::Disconnect),
                false => faults.clear(),
            }
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

    fn clear(&self) {
        for node in [SELLER, BUYER] {
            self.devnet.faults(node).clear();
        }
        self.turn(Duration::ZERO);
    }

    /// A channel of these nodes carries fifty at once.
    fn many(&self) -> usize {
        30
    }
}

impl PrepaidNet for Lightning {
    fn payer(&self) -> Arc<dyn PayRail> {
        self.payer.clone()
    }

    fn restarted(&self) -> Arc<dyn PayRail> {
        Arc::new(payer(&self.devnet, &self.clock))
    }

    fn collector(&self) -> Arc<dyn InvoiceRail> {
        self.collector.clone()
    }

    fn withhold_proofs(&self) {
        for method in ["sendpayment", "trackpayment"] {
            self.devnet.faults(BUYER).set(method, Fault::NoPreimage);
        }
    }
}

farebox_core::rail_conformance!(prepaid, Lightning::start, one_network);
