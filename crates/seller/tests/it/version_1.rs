//! Clients of x402 version 1 at the same seller, and the same payment in both versions.

use std::sync::Arc;

use farebox_core::ledger::Ledger;
use farebox_wire::x402::header;
use farebox_wire::x402::types::SettleResponse;
use farebox_wire::x402::v1::{PaymentPayloadV1, PaymentRequirementsV1};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::support::{ORIGIN, Plan, Seen, World, eventually, get, with_credential};

fn credential(world: &World, path: &str, nonce: &str) -> PaymentPayloadV1 {
    PaymentPayloadV1 {
        x402_version: 1,
        scheme: "exact".to_owned(),
        network: "base-sepolia".to_owned(),
        payload: world.credential(path, nonce).payload,
    }
}

fn with_x_payment(path: &str, credential: &impl serde::Serialize) -> Request<axum::body::Body> {
    let mut request = get(path);
    let value = header::encode(credential).expect("a header");
    let value = value.parse().expect("a header value");
    request.headers_mut().insert("x-payment", value);
    request
}

fn paid(world: &World, path: &str, nonce: &str) -> Request<axum::body::Body> {
    with_x_payment(path, &credential(world, path, nonce))
}

/// The receipt of version 1; one of version 2 is never beside it.
fn receipt(seen: &Seen) -> SettleResponse {
    assert!(
        seen.receipt().is_none(),
        "PAYMENT-RESPONSE to a client of version 1"
    );
    let value = &seen.headers["x-payment-response"];
    header::decode(value.as_bytes()).expect("a receipt")
}

fn offers(body: &Value) -> Vec<PaymentRequirementsV1> {
    let accepts = body["accepts"].as_array().expect("a list");
    let read = accepts
        .iter()
        .map(|offer| header::from_value(offer).expect("an offer"));
    read.collect()
}

#[tokio::test]
async fn one_402_asks_in_both_versions() {
    let world = World::new();
    let seen = world.send(get("/weather/zurich?x=1")).await;
    seen.assert_challenged("Payment required");
    let v2 = &seen.challenge().expect("a challenge").accepts[0];
    let body = seen.json();
    assert_eq!(body["x402Version"], 1);
    let offers = offers(&body);
    assert_eq!(offers.len(), 1);
    let offer = &offers[0];
    assert_eq!(offer.network, "base-sepolia");
    assert_eq!(offer.resource, format!("{ORIGIN}/weather/zurich"));
    assert_eq!(json!(offer.to_v2().expect("known")), *v2);
    // npm x402 1.2 refuses an offer without these texts.
    assert!(body["accepts"][0]["description"].is_string());
    assert!(body["accepts"][0]["mimeType"].is_string());
    assert!(body["accepts"][0].get("outputSchema").is_none());
}

#[tokio::test]
async fn a_402_after_a_refusal_asks_in_both_versions_too() {
    let world = World::new();
    let mut bad = credential(&world, "/weather/x", "1");
    bad.payload["signature"] = json!("bad");
    let seen = world.send(with_x_payment("/weather/x", &bad)).await;
    seen.assert_challenged("invalid_exact_evm_signature");
    let body = seen.json();
    assert_eq!(body["error"], "invalid_exact_evm_signature");
    assert_eq!(offers(&body)[0].resource, format!("{ORIGIN}/weather/x"));
    assert!(world.payments().await.is_empty());
}

#[tokio::test]
async fn what_version_1_has_no_words_for_is_offered_in_version_2_alone() {
    let world = World::new();
    let seen = world.send(get("/dear/x")).await;
    assert_eq!(seen.json()["x402Version"], 2);
    assert_eq!(seen.json()["accepts"][0]["network"], "eip155:84532");
    let seen = world.send(paid(&world, "/dear/x", "1")).await;
    seen.assert_challenged("No matching payment requirements");
    assert_eq!(world.goods.calls(), 0);
}

#[tokio::test]
async fn a_credential_of_version_1_buys_and_is_answered_in_version_1() {
    let world = World::new();
    let seen = world.send(paid(&world, "/weather/x", "1")).await;
    assert_eq!((seen.status, &*seen.body), (StatusCode::OK, &b"sunny"[..]));
    let first = receipt(&seen);
    assert!(first.success && first.transaction.starts_with("0x"));
    assert_eq!(first.network, "base-sepolia");
    assert_eq!(first.amount, None);
    // The same again is not served twice, and tells its receipt in the same version.
    let again = world.send(paid(&world, "/weather/x", "1")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(receipt(&again), first);
    assert_eq!(world.goods.calls(), 1);
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn a_settlement_that_fails_or_is_open_is_told_in_version_1() {
    for (plan, reason) in [
        (Plan::Reject, "invalid_exact_evm_nonce_already_used"),
        (Plan::GoSilent, "settlement_pending"),
    ] {
        let world = World::new();
        world.rail.plan(plan);
        let seen = world.send(paid(&world, "/weather/x", "1")).await;
        assert_eq!(seen.status, StatusCode::PAYMENT_REQUIRED);
        assert!(seen.challenge().is_none());
        let receipt = receipt(&seen);
        assert!(!receipt.success);
        assert_eq!(receipt.network, "base-sepolia");
        assert_eq!(receipt.error_reason.as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn scheme_and_network_must_be_of_an_offer_of_this_route() {
    let world = World::new();
    for (scheme, network) in [
        ("exact", "base"),
        ("exact", "eip155:84532"),
        ("exact", ""),
        ("upto", "base-sepolia"),
    ] {
        let mut other = credential(&world, "/weather/x", "1");
        other.scheme = scheme.to_owned();
        other.network = network.to_owned();
        let seen = world.send(with_x_payment("/weather/x", &other)).await;
        seen.assert_challenged("No matching payment requirements");
    }
    assert!(world.payments().await.is_empty());
}

#[tokio::test]
async fn a_credential_in_the_header_of_the_other_version_is_refused() {
    let world = World::new();
    let v2 = world.credential("/weather/x", "1");
    let seen = world.send(with_x_payment("/weather/x", &v2)).await;
    seen.assert_challenged("invalid_x402_version");
    let mut v1 = world.credential("/weather/x", "1");
    v1.x402_version = 1;
    let seen = world.send(with_credential(get("/weather/x"), &v1)).await;
    seen.assert_challenged("invalid_x402_version");
    for junk in [json!({}), json!({"x402Version": 1}), json!([1])] {
        let seen = world.send(with_x_payment("/weather/x", &junk)).await;
        seen.assert_challenged("invalid_payload");
    }
    assert_eq!(world.goods.calls(), 0);
}

#[tokio::test]
async fn one_authorization_in_both_versions_in_parallel_is_bought_once() {
    let world = Arc::new(World::new());
    world.rail.close_gate();
    let mut visits = Vec::new();
    for round in 0..20 {
        let request = match round % 2 {
            0 => paid(&world, "/weather/x", "1"),
            _ => world.paid("/weather/x", "1"),
        };
        let world = Arc::clone(&world);
        visits.push(tokio::spawn(async move {
            Seen::read(world.open(request).await).await.status
        }));
    }
    eventually(|| async { world.rail.settlements() == 1 }).await;
    world.rail.open_gate();
    let mut served = 0;
    for visit in visits {
        match visit.await.expect("answered") {
            StatusCode::OK => served += 1,
            status => assert_eq!(status, StatusCode::CONFLICT),
        }
    }
    assert_eq!((served, world.goods.calls()), (1, 1));
    world.seller.finish().await;
    assert_eq!(world.payments().await.len(), 1);
    // Afterwards each version tells the one receipt in its own words.
    let v2 = world
        .buy("/weather/x", "1")
        .await
        .receipt()
        .expect("a receipt");
    let v1 = receipt(&world.send(paid(&world, "/weather/x", "1")).await);
    assert_eq!(
        (v1.transaction, v2.transaction.clone()),
        (v2.transaction.clone(), v2.transaction)
    );
}

#[tokio::test]
async fn a_payment_that_is_open_in_one_version_is_open_in_the_other() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    let pending = world.send(paid(&world, "/weather/x", "7")).await;
    let reason = receipt(&pending).error_reason;
    assert_eq!(reason.as_deref(), Some("settlement_pending"));
    let told = world.buy("/weather/x", "7").await;
    told.assert_unsettled("settlement_pending");
    assert_eq!(world.payments().await.len(), 1);
    assert_eq!(world.goods.calls(), 1);
}
