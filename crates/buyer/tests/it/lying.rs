//! Sellers that take a credential and then lie, break or vanish. Nothing they say releases money.

use std::time::Duration;

use farebox_core::payment::Phase;
use serde_json::{Value, json};

use crate::purse::{Customer, code, exit, get, unknown};
use crate::sellers::{PRICE, Seller, answer, asks, raw, raw_asks, raw_sold, receipt, refusal};

/// A paid answer, and what must come of it: exit, fault, and the reason in the books.
async fn paid_answer(
    status: u16,
    said: Option<Value>,
) -> (u8, &'static str, (Phase, Option<String>), (u128, u128)) {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::answering(move |_| answer(status, said.as_ref(), "body")).await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    let outcome = (exit(&result), code(&result));
    assert_eq!(seller.shown().len(), 1, "a credential is shown once");
    (
        outcome.0,
        outcome.1,
        customer.only().await,
        customer.used().await,
    )
}

#[tokio::test]
async fn a_refusal_after_paying_releases_nothing() {
    let held = (0, PRICE);
    let no = Some(refusal("invalid_signature", ""));
    for (status, said, reason) in [
        (402, no, "invalid_signature"),
        (402, None, "http_402"),
        (500, None, "http_500"),
        (503, None, "http_503"),
        (404, None, "http_404"),
    ] {
        let got = paid_answer(status, said).await;
        assert_eq!(
            got,
            (5, "payment_refused", unknown(reason), held),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_second_challenge_after_paying_gets_no_second_payment() {
    let customer = Customer::with_budget_for(5).await;
    let seller = Seller::with(|_| async { asks() }).await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!((exit(&result), code(&result)), (5, "payment_refused"));
    assert_eq!(customer.only().await, unknown("Payment required"));
    assert_eq!((customer.signed(), seller.seen().len()), (1, 2));
}

#[tokio::test]
async fn an_answer_without_a_readable_receipt_is_done_and_stays_unknown() {
    let held = (0, PRICE);
    let mut elsewhere = receipt();
    elsewhere["network"] = json!("eip155:8453");
    let mut anothers = receipt();
    anothers["payer"] = json!("0x9999999999999999999999999999999999999999");
    let mut hashless = receipt();
    hashless["transaction"] = json!("");
    let mut odd = receipt();
    odd["success"] = json!("yes");
    for (said, reason) in [
        (None, "no_receipt"),
        (Some(odd), "no_receipt"),
        (Some(json!("garbage")), "no_receipt"),
        (Some(elsewhere), "receipt_mismatch"),
        (Some(anothers), "receipt_mismatch"),
        (Some(hashless), "receipt_mismatch"),
    ] {
        let got = paid_answer(200, said.clone()).await;
        assert_eq!(got, (0, "none", unknown(reason), held), "{said:?}");
    }
}

#[tokio::test]
async fn paid_and_not_delivered_is_told_apart_from_refused() {
    for status in [409, 500, 502] {
        let got = paid_answer(status, Some(receipt())).await;
        let settled = (Phase::Settled, None);
        assert_eq!(
            got,
            (7, "paid_not_delivered", settled, (PRICE, 0)),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_pending_settlement_is_neither_proof_nor_refusal() {
    for status in [402, 200] {
        let got = paid_answer(status, Some(refusal("settlement_pending", "0xabc"))).await;
        let pending = unknown("settlement_pending");
        assert_eq!(
            got,
            (6, "settlement_pending", pending, (0, PRICE)),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_seller_that_hangs_up_after_the_credential_leaves_it_unknown() {
    let half_a_head = b"HTTP/1.1 200 OK\r\ncontent-le".to_vec();
    let garbage = b"\x00\x01\x02 what is this\r\n\r\n".to_vec();
    let giant = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'a'; 1 << 20]].concat();
    for paid in [Vec::new(), half_a_head, garbage, giant] {
        let customer = Customer::with_budget_for(1).await;
        let url = raw(raw_asks(), paid).await;
        let result = customer.fetch(get(&url)).await;
        assert_eq!((exit(&result), code(&result)), (6, "no_answer"));
        let fault = result.err().unwrap().ending.fault().unwrap();
        assert!(fault.money_may_have_moved && fault.retry_safe);
        assert_eq!(customer.only().await, unknown("no_answer"));
        assert_eq!(customer.used().await, (0, PRICE));
    }
}

#[tokio::test]
async fn a_seller_that_never_answers_a_credential_leaves_it_unknown() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::with(|seen| async move {
        match seen.credential {
            None => asks(),
            Some(_) => std::future::pending().await,
        }
    })
    .await;
    let mut call = get(&seller.url("/x"));
    call.max_time = Duration::from_millis(300);
    let result = customer.fetch(call).await;
    assert_eq!((exit(&result), code(&result)), (6, "timeout"));
    assert_eq!(customer.only().await, unknown("timeout"));
}

#[tokio::test]
async fn a_body_that_breaks_off_after_a_receipt_is_paid_and_not_delivered() {
    let customer = Customer::with_budget_for(1).await;
    let url = raw(raw_asks(), raw_sold(Some(&receipt()), 100, "half")).await;
    let mut fetched = customer.fetch(get(&url)).await.unwrap();
    assert_eq!(fetched.ending.exit().code(), 0, "so far");
    assert_eq!(fetched.collect().await.unwrap_err().code, "body_broke_off");
    assert_eq!(fetched.ending.exit().code(), 7);
    assert!(fetched.ending.fault().unwrap().money_may_have_moved);
    assert_eq!(customer.only().await, (Phase::Settled, None));
}

#[tokio::test]
async fn a_body_that_breaks_off_without_a_receipt_is_no_reply() {
    let customer = Customer::with_budget_for(1).await;
    let url = raw(raw_asks(), raw_sold(None, 100, "half")).await;
    let mut fetched = customer.fetch(get(&url)).await.unwrap();
    assert!(fetched.collect().await.is_err());
    assert_eq!(fetched.ending.exit().code(), 6);
    assert_eq!(customer.only().await, unknown("no_receipt"));
}

#[tokio::test]
async fn a_body_that_stops_flowing_is_given_up() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::with(|_| async {
        let stuck = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        axum::http::Response::new(axum::body::Body::from_stream(stuck))
    })
    .await;
    let mut call = get(&seller.url("/x"));
    call.max_time = Duration::from_millis(300);
    let mut fetched = customer.fetch(call).await.unwrap();
    assert!(fetched.collect().await.is_err());
    assert_eq!(fetched.ending.exit().code(), 1);
}
