//! Buying over L402, many at once and across deaths: nothing is paid twice, and nobody takes what
//! another has paid for.

use std::sync::Arc;

use axum::http::Response;
use farebox_core::purse::LEASE_MS;
use tokio::task::JoinSet;

use crate::lightning::{LnCustomer, Manner, PAID, Shop};
use crate::purse::{exit, get};
use crate::sellers::{Seller, sold};

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_offered_one_invoice_buy_one_after_the_other() {
    let customer = Arc::new(LnCustomer::with_budget_for(10).await);
    let shop = Arc::new(Shop::sharing(Manner::Aperture).await);
    let mut tasks = JoinSet::new();
    for turn in 0..6 {
        let (customer, shop) = (Arc::clone(&customer), Arc::clone(&shop));
        tasks.spawn(async move {
            let call = get(&shop.url(&format!("/{turn}")));
            exit(&customer.fetch(call).await)
        });
    }
    assert_eq!(tasks.join_all().await, [0; 6]);
    assert_eq!(
        (customer.node.moved(), customer.used().await),
        (6, (6 * PAID, 0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_identical_calls_at_once_take_no_use_from_each_other() {
    let customer = Arc::new(LnCustomer::with_budget_for(10).await);
    let shop = Arc::new(Shop::new(Manner::Spec, 1).await);
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let (customer, shop) = (Arc::clone(&customer), Arc::clone(&shop));
        tasks.spawn(async move { exit(&customer.fetch(get(&shop.url("/x"))).await) });
    }
    assert_eq!(tasks.join_all().await, [0; 10]);
    assert_eq!(
        (customer.node.moved(), customer.used().await),
        (10, (10 * PAID, 0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_for_seven_buys_seven_of_a_hundred_calls_at_once() {
    let customer = Arc::new(LnCustomer::with_budget_for(7).await);
    let shop = Arc::new(Shop::new(Manner::Aperture, 1).await);
    let buyer = Arc::new(customer.buyer());
    let mut tasks = JoinSet::new();
    for turn in 0..100 {
        let (buyer, shop) = (Arc::clone(&buyer), Arc::clone(&shop));
        tasks.spawn(async move {
            let call = get(&shop.url(&format!("/{turn}")));
            exit(&buyer.fetch(call).await)
        });
    }
    let exits = tasks.join_all().await;
    let count = |code: u8| exits.iter().filter(|exit| **exit == code).count();
    assert_eq!((count(0), count(3)), (7, 93), "{exits:?}");
    assert_eq!(
        (customer.node.moved(), customer.used().await),
        (7, (7 * PAID, 0))
    );
}

#[tokio::test]
async fn who_dies_before_showing_leaves_it_to_the_next_call() {
    let customer = LnCustomer::with_budget_for(2).await;
    let arrived = Arc::new(tokio::sync::Notify::new());
    let bell = Arc::clone(&arrived);
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seller = Seller::with(move |seen| {
        let (bell, tries) = (Arc::clone(&bell), Arc::clone(&tries));
        async move {
            if seen.authorization.is_none() {
                let line = r#"L402 macaroon="t1", invoice="i1""#;
                let asks = Response::builder().status(402);
                return asks
                    .header("www-authenticate", line)
                    .body("".into())
                    .unwrap();
            }
            if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                bell.notify_one();
                return std::future::pending().await;
            }
            sold(&seen)
        }
    })
    .await;
    let buyer = customer.buyer();
    tokio::select! {
        _ = buyer.fetch(get(&seller.url("/x"))) => panic!("nobody answers"),
        () = arrived.notified() => {}
    }
    customer.customer.clock.forward_ms(LEASE_MS);
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
    assert_eq!(
        (customer.node.moved(), customer.used().await),
        (1, (PAID, 0))
    );
}
