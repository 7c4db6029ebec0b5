//! Embedded nodes of our own on the devnet's chain: the rules of node-ldk, with real payments.

use std::time::Duration;

use farebox_devnet_ln::{Devnet, DevnetError, DevnetOptions};
use farebox_node_ldk::{
    ChainSource, Error, Event, FailReason, Invoice, InvoiceState, LdkOptions, MemoryStore, Network,
    Node, PayState, Peer, Preimage, Seed, Settlement, Storage,
};

use super::client::own;

const PATIENCE: Duration = Duration::from_secs(60);

fn options(devnet: &Devnet, seed: [u8; 64], storage: Storage) -> LdkOptions {
    let rpc = devnet.bitcoind_rpc();
    let chain = ChainSource::BitcoindRpc {
        host: rpc.address.ip().to_string(),
        port: rpc.address.port(),
        user: rpc.user.clone(),
        password: rpc.password.clone().into(),
    };
    LdkOptions {
        storage,
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        alias: Some("embedded".to_owned()),
        ..LdkOptions::new(Network::Regtest, chain, Seed::new(seed))
    }
}

async fn usable(node: &Node) {
    let mut events = node.events();
    let waiting = async {
        while !node
            .channels()
            .await
            .unwrap()
            .iter()
            .any(|channel| channel.usable)
        {
            let _ = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

/// Two nodes with 0.08 bitcoin on each side of a channel between them.
async fn pair(devnet: &Devnet, stores: [Storage; 2]) -> [Node; 2] {
    let [one, two] = stores;
    let payer = Node::start(options(devnet, [1; 64], one)).await.unwrap();
    let payee = Node::start(options(devnet, [2; 64], two)).await.unwrap();
    for node in [&payer, &payee] {
        let address = node.new_onchain_address().await.unwrap();
        devnet.fund(&address, 50_000_000).unwrap();
        node.sync().await.unwrap();
    }
    devnet.mine(1);
    for node in [&payer, &payee] {
        node.sync().await.unwrap();
        assert!(node.balances().await.unwrap().onchain_spendable_sats >= 50_000_000);
    }
    let before = devnet.height();
    payer
        .open_channel(&peer(&payee), 16_000_000, 8_000_000_000)
        .await
        .unwrap();
    // The chain mines when the funding transaction comes.
    while devnet.height() == before {
        tokio::task::yield_now().await;
    }
    payer.sync().await.unwrap();
    payee.sync().await.unwrap();
    usable(&payer).await;
    usable(&payee).await;
    [payer, payee]
}

fn peer(node: &Node) -> Peer {
    Peer {
        id: node.id().to_owned(),
        address: node.address().unwrap().to_string(),
    }
}

fn memory() -> Storage {
    Storage::Memory(MemoryStore::default())
}

fn directory(dir: &tempfile::TempDir) -> Storage {
    Storage::Directory(dir.path().join("node"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_paid_once_however_often_and_by_whom_it_is_paid() {
    let devnet = own();
    let stores = [MemoryStore::default(), MemoryStore::default()];
    let [payer, payee] = pair(
        &devnet,
        stores
            .each_ref()
            .map(|store| Storage::Memory(store.clone())),
    )
    .await;
    let entries = stores[1].len();
    let invoice = payee.create_invoice(50_000, "once", 600).await.unwrap();
    assert_eq!(stores[1].len(), entries, "an unpaid invoice is not written");
    assert!(matches!(
        payee.lookup_invoice(invoice.payment_hash).await.unwrap(),
        InvoiceState::Open {
            amount_msat: 50_000,
            ..
        }
    ));
    assert_eq!(
        payer.lookup_payment(invoice.payment_hash).await.unwrap(),
        PayState::NotFound
    );
    let before = payee.balances().await.unwrap();
    let mut settled = payee.settlements(0).unwrap();
    let calls = (0..8).map(|_| payer.pay(&invoice.bolt11, 0, PATIENCE));
    let ends = futures_util::future::join_all(calls).await;
    for end in ends {
        let PayState::Succeeded {
            preimage,
            fee_msat,
            amount_msat,
        } = end.unwrap()
        else {
            panic!("every caller hears the one success")
        };
        assert_eq!(
            (preimage.payment_hash(), fee_msat, amount_msat),
            (invoice.payment_hash, 0, 50_000)
        );
    }
    let settlement = settled.next().await.unwrap();
    assert_eq!(
        (settlement.payment_hash, settlement.amount_msat),
        (invoice.payment_hash, 50_000)
    );
    let again = payer.pay(&invoice.bolt11, 0, PATIENCE).await.unwrap();
    assert!(matches!(again, PayState::Succeeded { .. }));
    let InvoiceState::Settled {
        preimage: Some(preimage),
        index,
        ..
    } = payee.lookup_invoice(invoice.payment_hash).await.unwrap()
    else {
        panic!("settled, with its preimage")
    };
    assert_eq!((preimage.payment_hash(), index), (invoice.payment_hash, 1));
    assert_eq!(payee.newest_settlement().unwrap(), 1, "one payment arrived");
    let after = payee.balances().await.unwrap();
    assert_eq!(before.inbound_msat - after.inbound_msat, 50_000);

    payer.stop().await.unwrap();
    payee.stop().await.unwrap();
    assert!(matches!(
        payer.pay(&invoice.bolt11, 0, PATIENCE).await,
        Err(Error::Stopped)
    ));
    both_remember(&devnet, stores, &invoice, &settlement).await;
}

/// After both were restarted, and then one is paid back.
async fn both_remember(
    devnet: &Devnet,
    stores: [MemoryStore; 2],
    invoice: &Invoice,
    settlement: &Settlement,
) {
    let [one, two] = stores.map(Storage::Memory);
    let payer = Node::start(options(devnet, [1; 64], one)).await.unwrap();
    let payee = Node::start(options(devnet, [2; 64], two)).await.unwrap();
    assert!(matches!(
        payer.lookup_payment(invoice.payment_hash).await.unwrap(),
        PayState::Succeeded { .. }
    ));
    let again = payer.pay(&invoice.bolt11, 0, PATIENCE).await.unwrap();
    assert!(matches!(again, PayState::Succeeded { .. }));
    assert_eq!(
        payee.settlements(0).unwrap().next().await.unwrap(),
        *settlement
    );
    payee.connect(&peer(&payer)).await.unwrap();
    usable(&payee).await;
    let back = payer.create_invoice(7_000, "back", 600).await.unwrap();
    let paid = payee.pay(&back.bolt11, 0, PATIENCE).await.unwrap();
    assert!(matches!(paid, PayState::Succeeded { .. }), "{paid:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_paid_sends_nothing() {
    let devnet = own();
    let [payer, payee] = pair(&devnet, [memory(), memory()]).await;
    let own = payer.create_invoice(1_000, "own", 600).await.unwrap();
    assert!(matches!(
        payer.pay(&own.bolt11, 0, PATIENCE).await,
        Err(Error::Invoice(_))
    ));
    let mainnet = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
    assert!(matches!(
        payer.pay(mainnet, 0, PATIENCE).await,
        Err(Error::WrongNetwork {
            invoice: "mainnet",
            node: "regtest"
        })
    ));
    // More than the channel has: no way, and nothing left.
    let dear = payee
        .create_invoice(15_000_000_000, "dear", 600)
        .await
        .unwrap();
    for _ in 0..2 {
        let end = payer.pay(&dear.bolt11, 0, PATIENCE).await.unwrap();
        assert_eq!(
            end,
            PayState::Failed {
                reason: FailReason::NoRoute
            }
        );
    }
    // One second is over before it is paid.
    let late = payee.create_invoice(1_000, "late", 1).await.unwrap();
    while matches!(
        payee.lookup_invoice(late.payment_hash).await.unwrap(),
        InvoiceState::Open { .. }
    ) {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        payee.lookup_invoice(late.payment_hash).await.unwrap(),
        InvoiceState::Expired
    );
    assert!(matches!(
        payer.pay(&late.bolt11, 0, PATIENCE).await,
        Err(Error::InvoiceExpired(_))
    ));
    assert_eq!(
        payer.lookup_payment(late.payment_hash).await.unwrap(),
        PayState::NotFound
    );
    // Forgotten before its time; the late one is remembered as expired for a while.
    payee.forget_invoice(dear.payment_hash).await.unwrap();
    assert_eq!(
        payee.lookup_invoice(dear.payment_hash).await.unwrap(),
        InvoiceState::Unknown
    );
    assert_eq!(payee.invoices_kept().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_held_is_never_called_failed_and_a_restart_finds_its_end() {
    let devnet = own();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [payer, payee] = pair(&devnet, [directory(&one), directory(&two)]).await;
    let second = options(&devnet, [1; 64], directory(&one));
    let refused = Node::start(second).await;
    assert!(matches!(refused, Err(Error::InUse { .. })));
    let secret = [9; 32];
    let hash = Preimage::new(secret).payment_hash();
    let held = payee
        .create_hold_invoice(hash, 30_000, "held", 600)
        .await
        .unwrap();
    let mut arrived = payee.events();
    let short = Duration::from_millis(1);
    assert_eq!(
        payer.pay(&held.bolt11, 0, short).await.unwrap(),
        PayState::InFlight
    );
    loop {
        if let Event::Held {
            payment_hash,
            amount_msat,
        } = arrived.next().await.unwrap()
        {
            assert_eq!((payment_hash, amount_msat), (hash, 30_000));
            break;
        }
    }
    assert_eq!(
        payer.pay(&held.bolt11, 0, short).await.unwrap(),
        PayState::InFlight
    );
    payer.stop().await.unwrap();
    let payer = Node::start(options(&devnet, [1; 64], directory(&one)))
        .await
        .unwrap();
    assert_eq!(
        payer.lookup_payment(hash).await.unwrap(),
        PayState::InFlight
    );
    assert_eq!(
        payer.pay(&held.bolt11, 0, short).await.unwrap(),
        PayState::InFlight
    );

    a_refused_one_has_failed(&payer, &payee).await;
    payee.claim_held(Preimage::new(secret)).await.unwrap();
    let end = payer.pay(&held.bolt11, 0, PATIENCE).await.unwrap();
    assert!(
        matches!(
            end,
            PayState::Succeeded {
                amount_msat: 30_000,
                ..
            }
        ),
        "{end:?}"
    );
    // The payer may know before the payee has recorded it.
    let settled = payee.settlements(0).unwrap().next().await.unwrap();
    assert_eq!(settled.payment_hash, hash);
    assert!(matches!(
        payee.lookup_invoice(hash).await.unwrap(),
        InvoiceState::Settled {
            amount_msat: 30_000,
            ..
        }
    ));
    // Before their directories go.
    payer.stop().await.unwrap();
    payee.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_faucet_and_the_handle_refuse_what_makes_no_sense() {
    let most = DevnetOptions {
        sats_each: 8_388_608,
        automine: false,
    };
    assert!(matches!(
        Devnet::start(most),
        Err(DevnetError::TooMuch(8_388_607))
    ));
    let options = DevnetOptions {
        sats_each: 1_000_000,
        automine: false,
    };
    let devnet = Devnet::start(options).unwrap();
    assert!(matches!(
        devnet.fund("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 1),
        Err(DevnetError::Faucet(_))
    ));
    assert!(matches!(
        devnet.balances(2),
        Err(DevnetError::NoSuchNode(2))
    ));
    let height = devnet.height();
    devnet.mine(3);
    assert_eq!(devnet.height(), height + 3);
    devnet.sync().unwrap();
    let balances = devnet.balances(0).unwrap();
    assert!(balances.outbound_msat > 900_000_000 && balances.inbound_msat > 900_000_000);
}

async fn a_refused_one_has_failed(payer: &Node, payee: &Node) {
    payer.connect(&peer(payee)).await.unwrap();
    usable(payer).await;
    let refused = Preimage::new([8; 32]).payment_hash();
    let other = payee
        .create_hold_invoice(refused, 40_000, "refused", 600)
        .await
        .unwrap();
    payee.cancel_invoice(refused).await.unwrap();
    assert_eq!(
        payee.lookup_invoice(refused).await.unwrap(),
        InvoiceState::Canceled
    );
    let end = payer.pay(&other.bolt11, 0, PATIENCE).await.unwrap();
    assert!(matches!(end, PayState::Failed { .. }), "{end:?}");
    assert_eq!(
        payer.lookup_payment(refused).await.unwrap(),
        end,
        "final, and not tried again"
    );
    assert_eq!(payer.pay(&other.bolt11, 0, PATIENCE).await.unwrap(), end);
    assert!(matches!(
        payee.claim_held(Preimage::new([8; 32])).await,
        Err(Error::NotHeld)
    ));
}
