//! A node in this process beside those of the devnet: it is started when it is asked, is given a
//! channel, and pays and is paid like any other.

use std::sync::Arc;
use std::time::Duration;

use farebox_devnet_ln::{Devnet, DevnetOptions};
use farebox_node_ldk::{MemoryStore, Peer};
use farebox_rail_lightning::embedded::{
    ChainSource, EmbeddedNode, LdkOptions, Seed, Storage, network_of,
};
use farebox_rail_lightning::{
    Bolt11, InvoiceFate, Network, Node as _, NodeErrorKind, Order, PayError, PaymentFate,
};

use crate::devnet::{SELLER, node};
use crate::invoices::hash_of;

/// Longer than anything on a local network takes.
const LONG: Duration = Duration::from_secs(60);

/// Another node on the chain of the devnet; its state outlives it.
fn embedded(devnet: &Devnet, store: &MemoryStore, seed: [u8; 64]) -> EmbeddedNode {
    let rpc = devnet.bitcoind_rpc().clone();
    let store = store.clone();
    EmbeddedNode::new(Network::Regtest, move || {
        let chain = ChainSource::BitcoindRpc {
            host: rpc.address.ip().to_string(),
            port: rpc.address.port(),
            user: rpc.user.clone(),
            password: zeroize::Zeroizing::new(rpc.password.clone()),
        };
        Ok(LdkOptions {
            storage: Storage::Memory(store.clone()),
            ..LdkOptions::new(network_of(Network::Regtest), chain, Seed::new(seed))
        })
    })
}

async fn devnet() -> Devnet {
    let started = tokio::task::spawn_blocking(|| Devnet::start(DevnetOptions::default()));
    started.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_pays_over_its_channel_once_and_remembers() {
    let devnet = Arc::new(devnet().await);
    let store = MemoryStore::default();
    let buyer = embedded(&devnet, &store, [7; 64]);
    let identity = buyer.identity().await.unwrap();
    assert_eq!(identity.network, Network::Regtest);
    assert_eq!(buyer.liquidity().await.unwrap().outbound_msat, 0);
    let seller = node(&devnet, SELLER);
    let text = seller.create_invoice(25_000, "a", 600).await.unwrap();
    let hash = Bolt11::read(&text).unwrap().payment_hash;
    let order = Order {
        bolt11: &text,
        payment_hash: &hash,
        max_fee_msat: 10_000,
        wait: LONG,
    };
    let poor = buyer.pay(&order).await.unwrap();
    assert!(matches!(poor, PaymentFate::Failed { begun_s: None, .. }));

    let inner = buyer.node().await.unwrap().clone();
    let address = inner.new_onchain_address().await.unwrap();
    let funding = devnet.clone();
    tokio::task::spawn_blocking(move || funding.fund(&address, 2_000_000).unwrap())
        .await
        .unwrap();
    inner.sync().await.unwrap();
    let peer = Peer {
        id: devnet.nodes()[SELLER].pubkey.clone(),
        address: devnet.nodes()[SELLER].p2p.to_string(),
    };
    inner.open_channel(&peer, 1_000_000, 0).await.unwrap();
    let usable = async {
        while buyer.liquidity().await.unwrap().outbound_msat == 0 {
            inner.sync().await.unwrap();
        }
    };
    tokio::time::timeout(LONG, usable).await.unwrap();

    let paid = buyer.pay(&order).await.unwrap();
    let PaymentFate::Succeeded {
        preimage: Some(preimage),
        fee_msat: 0,
    } = paid
    else {
        panic!("not paid");
    };
    assert_eq!(preimage.payment_hash().0, hash);
    assert!(matches!(
        buyer.pay(&order).await,
        Ok(PaymentFate::Succeeded { .. })
    ));
    inner.stop().await.unwrap();
    let again = embedded(&devnet, &store, [7; 64]);
    assert_eq!(again.identity().await.unwrap(), identity);
    let known = again.look_up_payment(&hash).await.unwrap();
    assert!(matches!(known, PaymentFate::Succeeded { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_invoices_stay_open_until_they_end_and_a_stranger_is_unknown() {
    let devnet = devnet().await;
    let seller = embedded(&devnet, &MemoryStore::default(), [8; 64]);
    let text = seller.create_invoice(25_000, "a", 600).await.unwrap();
    let invoice = Bolt11::read(&text).unwrap();
    assert_eq!(invoice.amount_msat, 25_000);
    assert_eq!(invoice.payee, seller.identity().await.unwrap().pubkey);
    let fate = seller.look_up(&invoice.payment_hash).await.unwrap();
    assert_eq!(fate, InvoiceFate::Open);
    let why = seller.cancel(&invoice.payment_hash).await.unwrap_err();
    assert_eq!(why.kind, NodeErrorKind::Refused, "LDK takes none back");
    seller.cancel(&hash_of(&[1; 32])).await.unwrap();
    let fate = seller.look_up(&hash_of(&[1; 32])).await.unwrap();
    assert_eq!(fate, InvoiceFate::Unknown);
    let unknown = seller.look_up_payment(&[1; 32]).await.unwrap();
    assert!(matches!(unknown, PaymentFate::Unknown));
    assert!(seller.state().await.unwrap().is_synced);
    // Its own invoice is not paid, and a text that is none is refused before anything leaves.
    for text in [text.as_str(), "lnbcrt1"] {
        let order = Order {
            bolt11: text,
            payment_hash: &invoice.payment_hash,
            max_fee_msat: 0,
            wait: LONG,
        };
        let why = seller.pay(&order).await;
        assert!(matches!(why, Err(PayError::NotSent(why)) if why.kind == NodeErrorKind::Refused));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_its_chain_is_not_synced_and_pays_nothing() {
    let node = EmbeddedNode::new(Network::Regtest, || {
        let chain = ChainSource::BitcoindRpc {
            host: "127.0.0.1".to_owned(),
            port: 1,
            user: String::new(),
            password: zeroize::Zeroizing::new(String::new()),
        };
        let seed = Seed::new([9; 64]);
        Ok(LdkOptions::new(network_of(Network::Regtest), chain, seed))
    })
    .catching_up_within(Duration::from_secs(1));
    assert!(!node.state().await.unwrap().is_synced);
    let order = Order {
        bolt11: "lnbcrt1",
        payment_hash: &[0; 32],
        max_fee_msat: 0,
        wait: LONG,
    };
    let why = node.pay(&order).await;
    let Err(PayError::NotSent(why)) = why else {
        panic!("nothing is paid");
    };
    assert_eq!(why.kind, NodeErrorKind::NotReady);
    assert!(why.message.contains("not caught up"), "{why}");
}
