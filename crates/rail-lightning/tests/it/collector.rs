//! Collecting at a node: prices, invoices, what became of them, and what is amiss.

use std::sync::Arc;

use farebox_core::clock::SystemClock;
use farebox_core::invoice::{InvoiceRail as _, InvoiceState};
use farebox_core::rail::Price;
use farebox_core::rates::{NoRate, NoRates, Rate, Rates};
use farebox_rail_lightning::{Bolt11, LightningCollector, LndNode};
use farebox_wire::money::{Amount, UsdMicros};

use crate::invoices::pubkey;
use crate::stub::{OWN_KEY, Stub};

/// Sixty thousand dollars for a bitcoin.
pub(crate) struct Sixty;

impl Rates for Sixty {
    fn rate(&self, _: &str) -> Result<Rate, NoRate> {
        Ok(Rate::new(UsdMicros(60_000_000_000), 0).unwrap())
    }
}

async fn collector_at(node: Arc<LndNode>) -> LightningCollector {
    let network = "lightning:regtest".parse().unwrap();
    let started =
        LightningCollector::start(&network, node, Arc::new(Sixty), Arc::new(SystemClock)).await;
    started.unwrap()
}

fn price(usd: u128) -> Price {
    Price {
        usd: UsdMicros(usd),
        max_timeout_s: 60,
        upfront: false,
    }
}

#[tokio::test]
async fn a_price_in_dollars_becomes_an_invoice_over_its_worth() {
    let stub = Stub::new();
    let collector = collector_at(stub.node().await).await;
    let terms = collector.terms(&price(6_000)).unwrap();
    assert_eq!(terms.amount, Amount::from_atomic(10_000));
    assert_eq!(terms.cost, UsdMicros(6_000));
    assert_eq!((terms.symbol.as_str(), terms.decimals), ("sat", 3));
    assert_eq!(terms.asset.to_string(), "lightning:regtest/slip44:1");
    assert_eq!(terms.payee, pubkey(&OWN_KEY));
    assert_eq!(collector.payee(), terms.payee);
    let invoice = collector.invoice(&terms, "weather", 300).await.unwrap();
    let read = Bolt11::read(&invoice.text).unwrap();
    assert_eq!(read.amount_msat, 10_000);
    assert_eq!(read.payment_hash, invoice.payment_hash);
    assert_eq!(read.payee, terms.payee);
    assert_eq!(stub.books().invoices[0]["memo"], "weather");
    assert_eq!(stub.books().invoices[0]["private"], false);
}

#[tokio::test]
async fn without_a_rate_or_for_nothing_there_are_no_terms() {
    let stub = Stub::new();
    let network = "lightning:regtest".parse().unwrap();
    let node = stub.node().await;
    let collector =
        LightningCollector::start(&network, node, Arc::new(NoRates), Arc::new(SystemClock))
            .await
            .unwrap();
    assert_eq!(collector.terms(&price(1)).unwrap_err().code, "rate_missing");
    let free = collector.terms_over(Amount::ZERO);
    let why = collector.invoice(&free, "a", 300).await.unwrap_err();
    assert_eq!(why.code, "invoice_amount");
    let over = collector.terms_over(Amount::from_atomic(5_000));
    assert_eq!((over.amount.atomic(), over.cost), (5_000, UsdMicros(0)));
    let collector = collector_at(stub.node().await).await;
    assert_eq!(collector.terms(&price(0)).unwrap_err().code, "price_zero");
    let over = collector.terms_over(Amount::from_atomic(5_000));
    assert_eq!(over.cost, UsdMicros(3_000));
}

#[tokio::test]
async fn an_invoice_is_open_then_paid_or_withdrawn_and_a_strangers_is_dead() {
    let stub = Stub::new();
    let collector = collector_at(stub.node().await).await;
    let terms = collector.terms(&price(6_000)).unwrap();
    let paid = collector.invoice(&terms, "a", 300).await.unwrap();
    let unpaid = collector.invoice(&terms, "b", 300).await.unwrap();
    let state = collector.look_up(&paid.payment_hash).await.unwrap();
    assert_eq!(state, InvoiceState::Open);
    stub.settle(&paid.payment_hash);
    let InvoiceState::Settled(settled) = collector.look_up(&paid.payment_hash).await.unwrap()
    else {
        panic!("it was paid");
    };
    assert_eq!(settled.index, 1);
    assert_eq!(settled.amount, terms.amount);
    assert_eq!(settled.settled_s, 1_700_000_000);
    for hash in [&unpaid.payment_hash, &paid.payment_hash, &[9; 32]] {
        collector.cancel(hash).await.unwrap();
    }
    for (hash, dead) in [
        (&unpaid.payment_hash, true),
        (&[9; 32], true),
        (&paid.payment_hash, false),
    ] {
        let state = collector.look_up(hash).await.unwrap();
        assert_eq!(state == InvoiceState::Dead, dead);
    }
}

#[tokio::test]
async fn a_node_that_does_not_tell_says_nothing_of_an_invoice() {
    let stub = Stub::new();
    let collector = collector_at(stub.node().await).await;
    for junk in ["{}", "<html>", r#"{"r_hash":"AA==","state":"SETTLED"}"#] {
        stub.books().junk = Some(junk.to_owned());
        assert!(collector.look_up(&[1; 32]).await.is_err(), "{junk}");
        assert!(
            collector.cancel(&[1; 32]).await.is_ok(),
            "any answer of lnd will do"
        );
    }
}

#[tokio::test]
async fn an_invoice_that_was_not_asked_for_is_not_offered() {
    let stub = Stub::new();
    let collector = collector_at(stub.node().await).await;
    let terms = collector.terms(&price(6_000)).unwrap();
    let other_amount = stub.payable(9_999, 1).0;
    let other_payee = stub.payable(10_000, 1).0;
    for (bolt11, what) in [
        (other_amount, "another amount"),
        (other_payee, "another payee"),
    ] {
        stub.books().junk = Some(format!(r#"{{"payment_request":"{bolt11}"}}"#));
        let why = collector.invoice(&terms, "a", 300).await.unwrap_err();
        assert_eq!(why.code, "node_answer");
        assert!(why.message.contains(what), "{}", why.message);
    }
}

#[tokio::test]
async fn a_macaroon_for_invoices_alone_is_enough_to_collect() {
    let stub = Stub::new();
    stub.books().forbidden = vec!["/v1/getinfo", "/v1/balance"];
    let collector = collector_at(stub.node().await).await;
    assert_eq!(collector.payee(), pubkey(&OWN_KEY));
    assert_eq!(
        stub.books().invoices[0]["state"],
        "CANCELED",
        "the question is withdrawn"
    );
    let health = collector.health().await;
    assert!(health.is_reachable);
    assert!(health.complaints.is_empty());
}

#[tokio::test]
async fn what_stands_in_the_way_of_being_paid_is_complained_of() {
    let stub = Stub::new();
    let collector = collector_at(stub.node().await).await;
    let health = collector.health().await;
    assert_eq!((health.is_reachable, health.head), (true, Some(101)));
    assert!(health.complaints.is_empty());
    let complaint = |said: &'static str| {
        let collector = &collector;
        async move {
            let complaints = collector.health().await.complaints;
            assert!(
                complaints.iter().any(|c| c.contains(said)),
                "{complaints:?}"
            );
        }
    };
    stub.books().inbound_msat = 0;
    complaint("cannot receive").await;
    stub.books().inbound_msat = 9_000;
    let terms = collector.terms(&price(6_000)).unwrap();
    collector.invoice(&terms, "a", 300).await.unwrap();
    complaint("can receive 9 sat, less than the 10 sat").await;
    stub.books().is_synced = false;
    complaint("not synced").await;
    stub.books().junk = Some("{}".to_owned());
    let health = collector.health().await;
    assert!(!health.is_reachable);
    assert_eq!(health.complaints.len(), 1);
}

#[tokio::test]
async fn a_node_of_another_network_is_refused_at_the_start() {
    let stub = Stub::new();
    stub.books().network = "mainnet";
    let network = "lightning:regtest".parse().unwrap();
    let node = stub.node().await;
    let started =
        LightningCollector::start(&network, node, Arc::new(Sixty), Arc::new(SystemClock)).await;
    let why = started.err().unwrap();
    assert_eq!(why.code, "node_wrong_network");
    assert!(why.message.contains("mainnet"), "{}", why.message);
}
