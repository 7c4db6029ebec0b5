//! Challenges that are hostile, broken, or simply not ours to pay. Nothing is signed for them.

use axum::http::Response;
use serde_json::{Value, json};

use crate::purse::{Customer, code, exit, get};
use crate::sellers::{PRICE, Seller, answer, asks_with, offer, raw, sold};

fn changed(field: &str, value: Value) -> Value {
    let mut offer = offer();
    offer[field] = value;
    offer
}

async fn outcome_of(accepts: Value) -> (u8, &'static str) {
    let customer = Customer::with_budget_for(5).await;
    let seller = Seller::with(move |_| {
        let response = asks_with(&accepts);
        async move { response }
    })
    .await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!(seller.seen().len(), 1, "asked once");
    assert_eq!(customer.signed(), 0);
    (exit(&result), code(&result))
}

#[tokio::test]
async fn offers_that_cannot_be_paid_exit_4() {
    let wrong_name = changed("extra", json!({"name": "USD Coin", "version": "2"}));
    let unknown_token = changed("asset", json!("0x9999999999999999999999999999999999999999"));
    for accepts in [
        json!([]),
        json!([wrong_name]),
        json!([unknown_token]),
        json!([changed("amount", json!("-1"))]),
        json!([changed("amount", json!("1e3"))]),
        json!([changed(
            "amount",
            json!("340282366920938463463374607431768211456")
        )]),
        json!([null, 7, "x"]),
    ] {
        let outcome = outcome_of(accepts.clone()).await;
        assert_eq!(outcome, (4, "no_payable_offer"), "{accepts}");
    }
}

#[tokio::test]
async fn a_402_with_too_many_offers_is_not_read() {
    for count in [65, 10_000] {
        let outcome = outcome_of(json!(vec![json!({}); count])).await;
        assert_eq!(outcome, (4, "challenge_unreadable"), "{count}");
    }
}

#[tokio::test]
async fn a_402_in_no_dialect_of_ours_exits_4_and_shows_its_body() {
    let customer = Customer::with_budget_for(1).await;
    let mpp = Response::builder()
        .status(402)
        .header("www-authenticate", "Payment id=\"x\", method=\"tempo\"");
    let damaged = Response::builder()
        .status(402)
        .header("payment-required", "%%%");
    let binary = Response::builder()
        .status(402)
        .header("payment-required", b"\xff\xfe".as_slice());
    for response in [mpp, damaged, binary, Response::builder().status(402)] {
        let (head, ()) = response.body(()).unwrap().into_parts();
        let seller = Seller::with(move |_| {
            let response = Response::from_parts(head.clone(), "the body".to_owned().into());
            async move { response }
        })
        .await;
        let result = customer.fetch(get(&seller.url("/x"))).await;
        assert_eq!((exit(&result), code(&result)), (4, "challenge_unreadable"));
        assert_eq!(result.unwrap().collect().await.unwrap(), "the body");
    }
}

#[tokio::test]
async fn a_402_that_asks_for_lightning_alone_exits_4_and_says_so() {
    let customer = Customer::with_budget_for(1).await;
    for value in ["L402 macaroon=\"x\", invoice=\"y\"", "LSAT macaroon=\"x\""] {
        let seller = Seller::with(move |_| {
            let response = Response::builder().status(402);
            let response = response.header("www-authenticate", value);
            let response = response.body("the body".to_owned().into()).unwrap();
            async move { response }
        })
        .await;
        let result = customer.fetch(get(&seller.url("/x"))).await;
        assert_eq!((exit(&result), code(&result)), (4, "no_payable_offer"));
        assert_eq!(result.unwrap().collect().await.unwrap(), "the body");
    }
}

#[tokio::test]
async fn of_two_challenges_in_two_dialects_the_one_we_speak_is_paid_and_two_in_one_are_not() {
    let customer = Customer::with_budget_for(1).await;
    for (header, value, exit_code) in [
        ("payment-required", "e30=", 4),
        ("www-authenticate", "L402 macaroon=\"x\", invoice=\"y\"", 0),
    ] {
        let seller = Seller::with(move |seen| {
            let mut response = asks_with(&json!([offer()]));
            response
                .headers_mut()
                .append(header, value.parse().unwrap());
            let response = match seen.credential {
                None => response,
                Some(_) => sold(&seen),
            };
            async move { response }
        })
        .await;
        let result = customer.fetch(get(&seller.url("/x"))).await;
        assert_eq!(exit(&result), exit_code, "{header}");
    }
}

#[tokio::test]
async fn a_megabyte_of_header_is_a_network_failure_and_100_kb_a_bad_challenge() {
    let customer = Customer::with_budget_for(1).await;
    for (bytes, exit_code, fault) in [
        (100 << 10, 4, "challenge_unreadable"),
        (1 << 20, 1, "no_answer"),
    ] {
        let head = b"HTTP/1.1 402 x\r\ncontent-length: 0\r\npayment-required: ".to_vec();
        let unpaid = [head, vec![b'A'; bytes], b"\r\n\r\n".to_vec()].concat();
        let url = raw(unpaid, Vec::new()).await;
        let result = customer.fetch(get(&url)).await;
        assert_eq!(
            (exit(&result), code(&result)),
            (exit_code, fault),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn a_long_402_page_is_read_no_further_than_needed_and_still_comes_whole() {
    let customer = Customer::with_budget_for(0).await;
    let page = "x".repeat(1 << 20);
    let sent = page.clone();
    let seller = Seller::with(move |_| {
        let response = answer(402, None, &sent);
        async move { response }
    })
    .await;
    let mut fetched = customer.fetch(get(&seller.url("/x"))).await.unwrap();
    assert_eq!(fetched.collect().await.unwrap(), page);
    assert_eq!(fetched.ending.exit().code(), 4);
}

#[tokio::test]
async fn of_two_payable_offers_the_cheaper_is_paid() {
    let customer = Customer::with_budget_for(1).await;
    let dear = changed("amount", json!((PRICE * 100).to_string()));
    let accepts = json!([dear, {"scheme": "junk"}, offer()]);
    let seller = Seller::with(move |seen| {
        let response = match seen.credential {
            None => asks_with(&accepts),
            Some(_) => sold(&seen),
        };
        async move { response }
    })
    .await;
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
    assert_eq!(customer.used().await, (PRICE, 0));
}

#[tokio::test]
async fn a_buyer_without_a_budget_pays_nothing() {
    let customer = Customer::with_budget_for(0).await;
    let seller = Seller::honest().await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!((exit(&result), code(&result)), (3, "over_budget"));
    assert!(seller.shown().is_empty());
    assert_eq!(customer.signed(), 0);
}
