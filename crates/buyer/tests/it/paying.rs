//! The honest walk: ask, pay, be served.

use bytes::Bytes;
use farebox_buyer::{Report, Shown};
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::payment::Phase;
use farebox_wire::money::UsdMicros;
use http::Method;
use serde_json::json;

use crate::purse::{Customer, code, exit, get};
use crate::sellers::{PRICE, Seller, answer};

#[tokio::test]
async fn a_402_is_paid_and_the_answer_comes_with_its_receipt() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::honest().await;
    let mut fetched = customer.fetch(get(&seller.url("/x?q=1#f"))).await.unwrap();
    assert_eq!(fetched.collect().await.unwrap(), "sold /x?q=1");
    assert_eq!(fetched.ending.exit().code(), 0);
    assert_eq!(customer.only().await, (Phase::Settled, None));
    assert_eq!(customer.used().await, (PRICE, 0));
    assert_eq!(seller.shown(), ["credential-0"]);
    let report = serde_json::to_value(Report::of(&fetched, Shown::Nothing)).unwrap();
    assert_eq!(report["payment"]["transaction"], "0xabc");
    assert_eq!(report["payment"]["receipt"]["success"], true);
    assert_eq!(
        report["cost"],
        json!({"amount": "0.001", "currency": "USD"})
    );
}

#[tokio::test]
async fn what_is_free_is_not_paid_for() {
    let customer = Customer::with_budget_for(1).await;
    for (status, code) in [(200, 0), (204, 0), (301, 0), (404, 22), (500, 22)] {
        let seller = Seller::with(move |_| async move { answer(status, None, "") }).await;
        let result = customer.fetch(get(&seller.url("/"))).await;
        assert_eq!(exit(&result), code, "{status}");
        assert_eq!(seller.seen().len(), 1, "{status}: asked once");
    }
    assert!(customer.payments().await.is_empty());
}

#[tokio::test]
async fn the_next_identical_call_is_a_new_purchase() {
    let customer = Customer::with_budget_for(2).await;
    let seller = Seller::honest().await;
    for _ in 0..2 {
        assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
    }
    assert_eq!(seller.shown(), ["credential-0", "credential-1"]);
    let third = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!((exit(&third), code(&third)), (3, "over_budget"));
    assert_eq!(customer.used().await, (2 * PRICE, 0));
}

#[tokio::test]
async fn the_request_is_repeated_byte_for_byte_with_the_credential() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::honest().await;
    let mut call = get(&seller.url("/x"));
    call.method = Method::POST;
    call.body = Bytes::from(vec![7; 1 << 20]);
    call.headers
        .insert("authorization", "Bearer t".parse().unwrap());
    assert_eq!(exit(&customer.fetch(call).await), 0);
    let seen = seller.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].body == seen[1].body && seen[0].body.len() == 1 << 20);
    assert!(
        seen.iter()
            .all(|s| s.authorization.as_deref() == Some("Bearer t"))
    );
}

#[tokio::test]
async fn max_cost_refuses_before_anything_is_held() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::honest().await;
    let mut call = get(&seller.url("/x"));
    call.max_cost = Some(UsdMicros(PRICE - 1));
    let result = customer.fetch(call).await;
    assert_eq!((exit(&result), code(&result)), (3, "over_max_cost"));
    assert!(customer.payments().await.is_empty());
    // The 402 itself is still there to be read.
    assert_eq!(result.unwrap().collect().await.unwrap(), "please pay");
}

#[tokio::test]
async fn an_embedder_gets_the_answer_or_an_error() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::honest().await;
    let buyer = customer.buyer();
    let mut answer = buyer.get(&seller.url("/x")).await.unwrap();
    assert_eq!(answer.collect().await.unwrap(), "sold /x");
    let error = buyer.get(&seller.url("/x")).await.err().unwrap();
    assert!(
        error.to_string().contains("more than the 0 USD left"),
        "{error}"
    );
    let error = buyer.get("nonsense").await.err().unwrap();
    assert_eq!(error.ending.exit().code(), 2);
}

#[tokio::test]
async fn no_connection_is_a_failure_before_any_payment() {
    let customer = Customer::with_budget_for(1).await;
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", port.local_addr().unwrap());
    drop(port);
    let result = customer.fetch(get(&url)).await;
    assert_eq!((exit(&result), code(&result)), (1, "connect_failed"));
    let result = customer.fetch(get("http://name.invalid/")).await;
    assert_eq!((exit(&result), code(&result)), (1, "connect_failed"));
}

#[tokio::test]
async fn an_answer_that_could_not_be_kept_is_paid_and_not_delivered() {
    let full_disk = || Fault::harmless("output_failed", Kind::Store, Blame::User, "disk full");
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::honest().await;
    let mut fetched = customer.fetch(get(&seller.url("/x"))).await.unwrap();
    fetched.not_kept(full_disk());
    let report = serde_json::to_value(Report::of(&fetched, Shown::Nothing)).unwrap();
    assert_eq!((&report["ok"], &report["exit"]), (&json!(false), &json!(7)));
    assert_eq!(report["error"]["code"], "output_failed");
    assert_eq!(report["error"]["money_may_have_moved"], true);
    let free = Seller::with(|_| async { answer(200, None, "") }).await;
    let mut fetched = customer.fetch(get(&free.url("/x"))).await.unwrap();
    fetched.not_kept(full_disk());
    assert_eq!(fetched.ending.exit().code(), 1);
}
