//! The fixture: a devnet with this rail on both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use async_trait::async_trait;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::conformance::{LocalNet, Recorder, SignedNet, WAIT_MS};
use farebox_core::rail::{CollectRail, Examined, Outcome, PayRail};
use farebox_devnet_evm::{ANY_METHOD, CREATE2_FACTORY_ADDRESS, Devnet, DevnetOptions, Fault};
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, EvmPayer, Finality, Network};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;

const CHAIN: u64 = 84532;
const SETTLER_CREATION: &str = include_str!("../../../../contracts/artifacts/Settler.creation.hex");
const SETTLER_RUNTIME: &str = include_str!("../../../../contracts/artifacts/Settler.runtime.hex");
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
        Self::on(deployed(options), change, |_| ()).await
    }

    /// On a chain that has been started, with a collector that is told something else.
    pub(crate) async fn on(
        net: Devnet,
        change: impl FnOnce(&mut Network),
        tell: impl FnOnce(&mut CollectorOptions),
    ) -> Self {
        let mut network = Network::new(CHAIN);
        network.rpc = vec![net.rpc_url()];
        network.finality = Finality::Blocks(0);
        change(&mut network);
        let clock = Arc::new(TestClock::default());
        let payer = |key| EvmPayer::new(vec![network.clone()], key, Arc::new(SystemClock)).unwrap();
        let evm = Self {
            payer: payer(key(&net.accounts()[1].key_hex())),
            pauper: payer(key(PAUPER_KEY)),
            collector: Arc::new(collector_told(&net, &network, Arc::clone(&clock), tell)),
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

    /// What the payee has, in atomic units.
    pub(crate) fn revenue(&self) -> u128 {
        let payee = self.net.accounts()[9].address;
        self.net.token_balance(payee).unwrap().to::<u128>()
    }

    pub(crate) fn gas_account(&self) -> Address {
        self.net.accounts()[0].address
    }
}

/// A chain on which somebody has deployed the settler.
pub(crate) fn deployed(options: DevnetOptions) -> Devnet {
    let net = Devnet::start(options).unwrap();
    let bytes = |text: &str| Bytes::from(hex::decode(text.trim()).unwrap());
    let creation = bytes(SETTLER_CREATION);
    let at = CREATE2_FACTORY_ADDRESS.create2(B256::ZERO, keccak256(creation));
    net.set_code(at, bytes(SETTLER_RUNTIME));
    net
}

/// Somebody with this many atomic units of the token and nothing else.
pub(crate) fn payer_with(evm: &Evm, seed: u8, units: u64) -> EvmPayer {
    let key = EvmKey::from_bytes(&[seed; 32]).unwrap();
    let address = Address::from(key.address().0);
    evm.net.mint(address, U256::from(units)).unwrap();
    EvmPayer::new(
        vec![evm.network.clone()],
        Arc::new(key),
        Arc::new(SystemClock),
    )
    .unwrap()
}

pub(crate) fn collector(net: &Devnet, network: &Network, clock: Arc<TestClock>) -> EvmCollector {
    collector_told(net, network, clock, |_| ())
}

fn collector_told(
    net: &Devnet,
    network: &Network,
    clock: Arc<TestClock>,
    tell: impl FnOnce(&mut CollectorOptions),
) -> EvmCollector {
    let accounts = net.accounts();
    let payee = EvmAddress(accounts[9].address.into_array());
    let gas = key(&accounts[0].key_hex());
    let mut options = CollectorOptions::seller(payee, gas);
    tell(&mut options);
    EvmCollector::new(vec![network.clone()], options, clock).unwrap()
}

impl LocalNet for Evm {
    fn revenue(&self) -> u128 {
        self.revenue()
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

    fn lose_reply(&self) {
        let faults = self.net.faults();
        faults.set_times("eth_sendRawTransaction", Fault::LoseReply, 1);
    }

    fn hold(&self, is_held: bool) {
        match is_held {
            true => self.net.hold_mining(),
            false => self.net.release_mining(),
        }
    }
}

#[async_trait]
impl SignedNet for Evm {
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

    fn unfunded_reason(&self) -> Reason {
        Reason::InsufficientBalance
    }

    fn used_reason(&self) -> Reason {
        Reason::NonceAlreadyUsed
    }
}

farebox_core::rail_conformance!(signed, Evm::start);
