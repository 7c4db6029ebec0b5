//! The fixture: a devnet with this rail on both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::Address;
use async_trait::async_trait;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{CollectRail, Examined, Outcome, PayRail};
use farebox_devnet_evm::{ANY_METHOD, Devnet, DevnetOptions, Fault};
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, EvmPayer, Finality, Network};
use farebox_wire::evm::EvmAddress;

use crate::conformance::{Fixture, Recorder, WAIT_MS, rail_conformance};

const CHAIN: u64 = 84532;
/// Nobody has funded it.
const PAUPER_KEY: &str = "1111111111111111111111111111111111111111111111111111111111111111";

pub(crate) struct Evm {
    pub(crate) net: Devnet,
    pub(crate) network: Network,
    payer: EvmPayer,
    pauper: EvmPayer,
    collector: Arc<EvmCollector>,
    /// The collector's.
    pub(crate) clock: Arc<TestClock>,
}

pub(crate) fn key(hex: &str) -> Arc<EvmKey> {
    Arc::new(EvmKey::from_hex(hex).unwrap())
}

/// The computer's clock, which a test may put forward.
#[derive(Default)]
pub(crate) struct TestClock {
    ahead_ms: AtomicU64,
}

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap();
        self.ahead_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.ahead_ms.load(Ordering::SeqCst)
    }
}

impl Evm {
    pub(crate) async fn start() -> Self {
        Self::with(DevnetOptions::quiet(), |_| ()).await
    }

    pub(crate) async fn with(options: DevnetOptions, change: impl FnOnce(&mut Network)) -> Self {
        let net = Devnet::start(options).unwrap();
        let mut network = Network::new(CHAIN);
        network.rpc = vec![net.rpc_url()];
        network.finality = Finality::Blocks(0);
        change(&mut network);
        let clock = Arc::new(TestClock::default());
        let payer = |key| EvmPayer::new(vec![network.clone()], key, Arc::new(SystemClock)).unwrap();
        let evm = Self {
            payer: payer(key(&net.accounts()[1].key_hex())),
            pauper: payer(key(PAUPER_KEY)),
            collector: Arc::new(collector(&net, &network, Arc::clone(&clock))),
            clock,
            network: network.clone(),
            net,
        };
        evm.collector.start().await.unwrap();
        evm
    }

    /// Settles, and waits as long as a seller would.
    pub(crate) async fn settle(&self, examined: &Examined, journal: &Arc<Recorder>) -> Outcome {
        let collector = &self.collector;
        collector
            .settle(&examined.handle, journal.clone(), WAIT_MS)
            .await
    }

    pub(crate) fn gas_account(&self) -> Address {
        self.net.accounts()[0].address
    }
}

pub(crate) fn collector(net: &Devnet, network: &Network, clock: Arc<TestClock>) -> EvmCollector {
    let accounts = net.accounts();
    let payee = EvmAddress(accounts[9].address.into_array());
    let gas = key(&accounts[0].key_hex());
    let options = CollectorOptions::seller(payee, gas);
    EvmCollector::new(vec![network.clone()], options, clock).unwrap()
}

#[async_trait]
impl Fixture for Evm {
    fn payer(&self) -> &dyn PayRail {
        &self.payer
    }

    fn pauper(&self) -> &dyn PayRail {
        &self.pauper
    }

    fn collector(&self) -> Arc<dyn CollectRail> {
        Arc::clone(&self.collector) as Arc<dyn CollectRail>
    }

    async fn restarted(&self) -> Arc<dyn CollectRail> {
        let collector = collector(&self.net, &self.network, Arc::clone(&self.clock));
        collector.start().await.unwrap();
        Arc::new(collector)
    }

    fn revenue(&self) -> u128 {
        let payee = self.net.accounts()[9].address;
        self.net.token_balance(payee).unwrap().to::<u128>()
    }

    fn expire(&self) {
        self.net.increase_time(Duration::from_secs(3600));
        self.net.mine();
    }

    fn cut_off(&self, is_cut: bool) {
        if is_cut {
            self.net.faults().set(ANY_METHOD, Fault::Disconnect);
        } else {
            self.net.faults().clear();
        }
    }
}

rail_conformance!(Evm::start);
