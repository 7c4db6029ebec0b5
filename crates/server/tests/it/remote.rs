//! A gate without a gas key, in front of a facilitator of our own.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use farebox_core::clock::SystemClock;
use farebox_core::ledger::Ledger;
use farebox_core::payment::{Phase, Role};
use farebox_core::rail::CollectRail;
use farebox_devnet_evm::Devnet;
use farebox_ledger::SqliteLedger;
use farebox_rail_evm::{CollectorOptions, EvmCollector, Network};
use farebox_rail_remote::{Place, RemoteCollector, RemoteOptions};
use farebox_seller::till::{Till, TillConfig};
use farebox_server::{Access, Facilitator, FacilitatorOptions};
use farebox_wire::evm::EvmAddress;
use http::StatusCode;
use tokio::net::TcpListener;

use crate::support::{PRICE, Plan, Settler, Town, key};

/// The rail of a gate that settles so.
pub(crate) async fn rail(
    settler: Settler,
    devnet: &Devnet,
    network: &Network,
    payee: EvmAddress,
) -> Arc<dyn CollectRail> {
    let gas_key = key(&devnet.accounts()[0].key_hex());
    let collector = |network: &Network, options| {
        EvmCollector::new(vec![network.clone()], options, Arc::new(SystemClock)).expect("a rail")
    };
    if settler == Settler::Gate {
        let own = collector(network, CollectorOptions::seller(payee, gas_key));
        own.start().await.expect("the devnet answers");
        return Arc::new(own);
    }
    let theirs = CollectorOptions {
        signers: vec![gas_key],
        ..CollectorOptions::default()
    };
    let theirs = collector(network, theirs);
    theirs.start().await.expect("the devnet answers");
    let url = facilitator(theirs).await;

    let mut seen = network.clone();
    if settler == Settler::FacilitatorAlone {
        seen.rpc.clear();
    }
    let keyless = CollectorOptions {
        pay_to: Some(payee),
        ..CollectorOptions::default()
    };
    let options = RemoteOptions {
        places: vec![Place::remote(&url, &[]).expect("a facilitator")],
        chains: match seen.rpc.is_empty() {
            true => vec![],
            false => vec![seen.chain.clone()],
        },
    };
    let inner = Arc::new(collector(&seen, keyless));
    let remote = RemoteCollector::new(inner, options, Arc::new(SystemClock));
    let remote = remote.expect("a collector");
    remote.start().await.expect("the facilitator supports it");
    Arc::new(remote)
}

/// Serves for as long as the test runs.
async fn facilitator(rail: EvmCollector) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let ledger = SqliteLedger::open(&dir.path().join("facilitator.db")).expect("a ledger");
    let config = TillConfig {
        role: Role::Facilitator,
        settle_wait_ms: 20_000,
        watch_every_ms: 10,
    };
    let books: Arc<dyn Ledger> = Arc::new(ledger);
    let till = Till::new(config, vec![Arc::new(rail)], books, Arc::new(SystemClock));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let options = FacilitatorOptions::default();
    let serving = Facilitator::new(till, Access::default(), &options, listener);
    let serving = serving.expect("a facilitator");
    let url = format!("http://{}", serving.address());
    tokio::spawn(async move {
        serving.serve(std::future::pending()).await;
        drop(dir);
    });
    url
}

async fn town(settler: Settler) -> Town {
    let app = Router::new().fallback(any(|| async { "sunny" }));
    let mut plan = Plan::app(app).await;
    plan.settler = settler;
    plan.open().await
}

#[tokio::test]
async fn a_gate_without_a_gas_key_sells_through_a_facilitator() {
    let town = town(Settler::Facilitator).await;
    let receipt = town.buy("/weather").await.assert_served();
    assert!(receipt.extra.is_none(), "the chain proves it");
    let payment = town.payment().await;
    assert_eq!(
        payment.state.transaction.as_ref(),
        Some(&receipt.transaction)
    );
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn without_an_rpc_the_receipt_says_that_it_is_the_facilitators_word() {
    let town = town(Settler::FacilitatorAlone).await;
    let receipt = town.buy("/weather").await.assert_served();
    let extra = receipt.extra.expect("the proof is named");
    assert_eq!(extra["proof"], "facilitator's word");
    let state = town.payment().await.state;
    assert!(
        state.phase == Phase::Settled && state.is_final,
        "nobody is asked again"
    );
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn without_an_rpc_a_hundred_authorizations_on_a_balance_for_one_reach_the_upstream_once() {
    let town = Arc::new(town(Settler::FacilitatorAlone).await);
    let payer = Arc::new(town.payer_with(&"7".repeat(64)));
    let amount = (2 * PRICE - 1).try_into().expect("small");
    let minted = town.devnet.mint(payer.address().0.into(), amount);
    minted.expect("minted");
    let mut credentials = Vec::new();
    for _ in 0..100 {
        credentials.push(town.sign("/weather", &payer).await);
    }
    let requests = credentials.into_iter().map(|credential| {
        let town = Arc::clone(&town);
        tokio::spawn(async move { town.pay("/weather", &credential).await })
    });
    let mut served = 0;
    for request in requests.collect::<Vec<_>>() {
        let seen = request.await.expect("an answer");
        match seen.status {
            StatusCode::OK => served += 1,
            StatusCode::CONFLICT => assert_eq!(seen.code(), "one_payment_at_a_time"),
            _ => seen.assert_challenged("invalid_exact_evm_insufficient_balance"),
        }
    }
    assert_eq!(served, 1);
    assert_eq!(town.visits.count(), 1);
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}
