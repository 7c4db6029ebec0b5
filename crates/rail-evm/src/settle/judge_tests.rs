//! A payer who cancels one of many: only the payer's key can do that, so the test has it.

use std::time::Duration;

use farebox_core::rail::{
    CollectRail, Handle, Journal, PayRail, RailError, SellerOffer, SentTransaction,
};
use farebox_devnet_evm::{Devnet, DevnetOptions};
use farebox_wire::x402::header;

use super::*;
use crate::fixtures::{BUYER_KEY, NOW_S, cancellation, challenge, collector_on, offered, payer_on};
use crate::key::EvmKey;
use crate::network::{self, Network};
use crate::{EvmCollector, EvmPayer};

const WAIT_MS: u64 = 20_000;

struct NoJournal;

#[async_trait::async_trait]
impl Journal for NoJournal {
    async fn sending(&self, _transaction: &SentTransaction) -> Result<(), RailError> {
        Ok(())
    }

    async fn handing_over(&self, _handle: &Handle) -> Result<(), RailError> {
        panic!("this rail settles by itself");
    }
}

struct House {
    net: Devnet,
    network: Network,
    payer: EvmPayer,
    collector: Arc<EvmCollector>,
    offer: SellerOffer,
}

impl House {
    fn start() -> Self {
        let net = Devnet::start(DevnetOptions::quiet()).unwrap();
        net.increase_time(Duration::from_secs(NOW_S - net.timestamp()));
        net.mine();
        let mut network = Network::new(84532);
        network.rpc = vec![net.rpc_url()];
        network.finality = Finality::Blocks(0);
        Self {
            net,
            payer: payer_on(vec![network.clone()]),
            collector: Arc::new(collector_on(vec![network.clone()])),
            offer: crate::fixtures::offer(),
            network,
        }
    }

    async fn verified(&self) -> Handle {
        let quote = self.payer.quote(&offered(|_| ())).await.unwrap();
        let signed = self.payer.authorise(&quote, &challenge(), 60).await;
        let payload = header::decode(signed.unwrap().credential.unwrap().value.as_bytes()).unwrap();
        let examined = self
            .collector
            .examine(&payload, &self.offer, NOW_S)
            .unwrap();
        self.collector.verify(&examined).await.unwrap();
        examined.handle
    }

    fn settle(&self, handle: Handle) -> tokio::task::JoinHandle<Outcome> {
        let collector = Arc::clone(&self.collector);
        tokio::spawn(async move {
            let journal = Arc::new(NoJournal);
            collector.settle(&handle, journal, WAIT_MS).await
        })
    }

    async fn cancel(&self, handle: &Handle) {
        let handle = EvmHandle::read(handle).unwrap();
        let chains = network::index(vec![self.network.clone()]).unwrap();
        let token = chains[0].token(handle.token).unwrap();
        let key = EvmKey::from_hex(BUYER_KEY).unwrap();
        let raw = cancellation(&key, &token.domain, &handle);
        chains[0].rpc().unwrap().send_raw(&raw).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_its_payer_cancels_harms_no_neighbour() {
    let house = House::start();
    house.collector.start().await.unwrap();
    let cancelled = house.verified().await;
    house.cancel(&cancelled).await;
    let first = house.settle(house.verified().await).await.unwrap();
    assert!(matches!(first, Outcome::Settled { .. }), "{first:?}");
    let handles = [house.verified().await, house.verified().await, cancelled];
    house.net.hold_mining();
    let [held, good, bad] = handles.map(|handle| house.settle(handle));
    house.net.release_mining();
    for settled in [held.await.unwrap(), good.await.unwrap()] {
        assert!(matches!(settled, Outcome::Settled { .. }), "{settled:?}");
    }
    let outcome = bad.await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.reason == Reason::NonceAlreadyUsed && !r.is_ours),
        "{outcome:?}"
    );
}
