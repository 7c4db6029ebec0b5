//! Sellers that speak x402 version 1 alone.

use axum::body::Body;
use axum::http::Response;
use farebox_buyer::{Report, Shown};
use farebox_wire::x402::header;
use serde_json::{Value, json};

use crate::purse::{Customer, PAYER, TOKEN, exit, get};
use crate::sellers::{PRICE, Seen, Seller};

fn asks() -> Response<Body> {
    let challenge = json!({
        "x402Version": 1, "error": "X-PAYMENT header is required",
        "accepts": [{
            "scheme": "exact", "network": "base-sepolia", "maxAmountRequired": PRICE.to_string(),
            "resource": "http://seller.example/x", "description": "", "mimeType": "",
            "payTo": "0x2222222222222222222222222222222222222222", "maxTimeoutSeconds": 60,
            "asset": TOKEN, "extra": {"name": "USDC", "version": "2"}
        }]
    });
    let response = Response::builder().status(402);
    response.body(challenge.to_string().into()).unwrap()
}

async fn seller(paid: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) -> Seller {
    Seller::with(move |seen: Seen| {
        let response = match seen.credential {
            None => asks(),
            Some(_) => paid(),
        };
        async move { response }
    })
    .await
}

fn answers(status: u16, receipt: Option<Value>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(receipt) = receipt {
        response = response.header("x-payment-response", header::encode(&receipt).unwrap());
    }
    response.body("goods".into()).unwrap()
}

fn receipt() -> Value {
    json!({"success": true, "transaction": "0xabc", "network": "base-sepolia", "payer": PAYER})
}

#[tokio::test]
async fn a_seller_of_version_1_is_paid_in_version_1() {
    let customer = Customer::with_budget_for(1).await;
    let seller = seller(|| answers(200, Some(receipt()))).await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!(exit(&result), 0);
    let fetched = result.unwrap();
    let report = serde_json::to_value(Report::of(&fetched, Shown::Nothing)).unwrap();
    assert_eq!(report["payment"]["state"], "settled");
    assert_eq!(report["payment"]["protocol"], "x402");
    assert_eq!(report["payment"]["network"], "eip155:84532");
    assert_eq!(report["payment"]["receipt"], receipt());
    let seen = seller.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].is_version_1);
}

#[tokio::test]
async fn an_open_payment_of_version_1_is_shown_again_and_not_signed_anew() {
    let customer = Customer::with_budget_for(5).await;
    let seller = seller(|| answers(500, None)).await;
    for _ in 0..3 {
        let result = customer.fetch(get(&seller.url("/x"))).await;
        assert_eq!(exit(&result), 5);
    }
    assert_eq!(customer.signed(), 1);
    let shown = seller.shown();
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|credential| *credential == shown[0]));
    let seen = seller.seen();
    assert!(
        seen.iter()
            .all(|s| s.is_version_1 == s.credential.is_some())
    );
}

#[tokio::test]
async fn a_settlement_that_is_open_in_version_1_exits_6() {
    let pending = json!({
        "success": false, "errorReason": "settlement_pending", "transaction": "0xabc",
        "network": "base-sepolia"
    });
    let customer = Customer::with_budget_for(1).await;
    let seller = seller(move || answers(402, Some(pending.clone()))).await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!(exit(&result), 6);
}

#[tokio::test]
async fn a_dry_run_tells_the_version_of_each_offer() {
    let customer = Customer::with_budget_for(1).await;
    let seller = seller(|| answers(200, None)).await;
    let mut call = get(&seller.url("/x"));
    call.dry_run = true;
    let fetched = customer.fetch(call).await.unwrap();
    let report = serde_json::to_value(Report::of(&fetched, Shown::Nothing)).unwrap();
    let offer = &report["offers"][0];
    assert_eq!(
        (&offer["protocol"], &offer["version"]),
        (&json!("x402"), &json!(1))
    );
    assert_eq!(offer["network"], "eip155:84532");
    assert_eq!(offer["payable"], true);
    assert!(seller.shown().is_empty());
}
