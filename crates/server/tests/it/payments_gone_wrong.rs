//! Settlement that fails, or of which nobody hears: what is served, and what the books show.

use axum::Router;
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use farebox_core::payment::{Delivery, Phase};
use farebox_devnet_evm::{ANY_METHOD, Fault};
use farebox_server::Timeouts;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{PRICE, Plan, Town, eventually};

async fn town() -> Town {
    let app = Router::new().fallback(any(|| async { "sunny" }));
    Plan::app(app).await.open().await
}

/// The credential with one field of its JSON replaced.
fn forge(credential: &str, pointer: &str, value: Value) -> String {
    let json = STANDARD.decode(credential).expect("base64");
    let mut json: Value = serde_json::from_slice(&json).expect("JSON");
    *json.pointer_mut(pointer).expect("a field") = value;
    STANDARD.encode(json.to_string())
}

#[tokio::test]
async fn a_settlement_that_nobody_hears_of_is_pending_and_then_let_through_once() {
    let app = Router::new().fallback(any(|| async { "sunny" }));
    let mut plan = Plan::app(app).await;
    plan.settle_wait_ms = 200;
    let town = plan.open().await;
    town.devnet.hold_mining();
    let credential = town.sign("/weather", &town.payer()).await;
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let seen = town.pay("/weather", &credential).await;
        assert_eq!(seen.status, StatusCode::PAYMENT_REQUIRED);
        assert_eq!(seen.code(), "settlement_pending");
        assert!(seen.challenge().is_none());
        let receipt = seen.receipt().expect("a receipt");
        assert!(!receipt.success);
        assert_eq!(receipt.error_reason.as_deref(), Some("settlement_pending"));
        hashes.push(receipt.transaction);
    }
    assert!(hashes[0].starts_with("0x"));
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(town.visits.count(), 1);

    town.devnet.release_mining();
    let watching = town.seller.clone().watch(std::future::pending());
    let settled = eventually(|| async { town.payment().await.state.phase == Phase::Settled });
    tokio::select! { () = watching => {}, () = settled => {} }
    let receipt = town.pay("/weather", &credential).await.assert_served();
    assert_eq!(receipt.transaction, hashes[0]);
    let third = town.pay("/weather", &credential).await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert_eq!(town.visits.count(), 2);
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn a_forged_signature_over_somebody_elses_nonce_burns_nothing() {
    let town = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let junk = format!("0x{}1b", "11".repeat(64));
    let forged = forge(&credential, "/payload/signature", json!(junk));
    let seen = town.pay("/weather", &forged).await;
    seen.assert_challenged("invalid_exact_evm_signature");
    assert!(town.payments().await.is_empty());
    town.pay("/weather", &credential).await.assert_served();
    let seen = town.pay("/weather", &forged).await;
    seen.assert_challenged("invalid_exact_evm_signature");
}

#[tokio::test]
async fn forged_authorizations_are_challenged_with_the_reason_of_the_sdks() {
    let town = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let at = |field: &str| format!("/payload/authorization/{field}");
    let other = "0x0000000000000000000000000000000000000001";
    for (pointer, value, reason) in [
        (
            at("value"),
            json!("999"),
            "invalid_exact_evm_payload_authorization_value_mismatch",
        ),
        (
            at("to"),
            json!(other),
            "invalid_exact_evm_recipient_mismatch",
        ),
        (at("from"), json!(other), "invalid_exact_evm_signature"),
        (
            at("validBefore"),
            json!("1"),
            "invalid_exact_evm_payload_authorization_valid_before",
        ),
        (
            at("validAfter"),
            json!("4000000000"),
            "invalid_exact_evm_payload_authorization_valid_after",
        ),
        (
            "/accepted/amount".to_owned(),
            json!("1"),
            "No matching payment requirements",
        ),
        ("/x402Version".to_owned(), json!(1), "invalid_x402_version"),
    ] {
        let forged = forge(&credential, &pointer, value);
        let seen = town.pay("/weather", &forged).await;
        seen.assert_challenged(reason);
    }
    assert_eq!(town.visits.count(), 0);
    assert!(town.payments().await.is_empty());
}

#[tokio::test]
async fn a_node_that_is_away_is_our_fault_and_burns_nothing() {
    let town = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    town.devnet.faults().set(ANY_METHOD, Fault::HttpStatus(500));
    let seen = town.pay("/weather", &credential).await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.headers["retry-after"], "1");
    assert!(town.payments().await.is_empty());
    town.devnet.faults().clear();
    town.pay("/weather", &credential).await.assert_served();
    town.audit().await;
}

#[tokio::test]
async fn an_upstream_that_fails_charges_nobody() {
    let app = Router::new().fallback(any(|| async { (StatusCode::NOT_FOUND, "no such town") }));
    let town = Plan::app(app).await.open().await;
    let seen = town.buy("/weather").await;
    assert_eq!(
        (seen.status, &*seen.body),
        (StatusCode::NOT_FOUND, &b"no such town"[..])
    );
    assert!(seen.receipt().is_none());
    assert_eq!(town.payment().await.state.phase, Phase::Released);
    assert_eq!(town.revenue(), 0);
    town.audit().await;
}

#[tokio::test]
async fn an_upstream_that_dies_before_its_head_charges_nobody() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-",
        b"junk\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ] {
        let town = Plan::script(bytes).await.open().await;
        let seen = town.buy("/weather").await;
        assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
        assert_eq!(seen.code(), "upstream_failed");
        assert_eq!(town.payment().await.state.phase, Phase::Released);
        assert_eq!(town.revenue(), 0);
        town.audit().await;
    }
}

#[tokio::test]
async fn an_upstream_that_dies_after_its_head_breaks_the_body_off_and_is_recorded_aborted() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let town = Plan::script(bytes).await.open().await;
        let credential = town.sign("/weather", &town.payer()).await;
        let headers = [("payment-signature", &*credential)];
        let answer = town.open("GET", "/weather", &headers, "").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = http_body_util::BodyExt::collect(answer.into_body()).await;
        assert!(body.is_err());
        eventually(|| async { town.payment().await.state.delivery == Delivery::Aborted }).await;
        assert_eq!(town.revenue(), PRICE);
        town.audit().await;
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_charges_nobody() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let nobody = listener.local_addr().expect("an address");
    drop(listener);
    let town = Plan::in_front_of(nobody, Default::default()).open().await;
    let seen = town.buy("/weather").await;
    assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen.code(), "upstream_unreachable");
    assert_eq!(town.payment().await.state.phase, Phase::Released);
}

#[tokio::test]
async fn an_upstream_that_is_too_slow_charges_nobody() {
    for is_for_all in [true, false] {
        let app = Router::new().fallback(any(std::future::pending::<()>));
        let mut plan = Plan::app(app).await;
        if is_for_all {
            plan.options.upstream_head_ms = 50;
        } else {
            let own = Timeouts {
                head_ms: Some(50),
                ..Timeouts::default()
            };
            plan.upstream = plan.upstream.waiting(own);
        }
        let town = plan.open().await;
        let seen = town.buy("/weather").await;
        assert_eq!(seen.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(seen.code(), "upstream_timeout");
        assert_eq!(town.payment().await.state.phase, Phase::Released);
        assert_eq!(town.revenue(), 0);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_and_recorded_aborted() {
    let app = Router::new().fallback(any(|| async {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("again "));
        axum::body::Body::from_stream(endless)
    }));
    let mut plan = Plan::app(app).await;
    plan.options.client_stall_ms = 50;
    let town = plan.open().await;
    let credential = town.sign("/endless", &town.payer()).await;
    let mut stream = tokio::net::TcpStream::connect(town.gate)
        .await
        .expect("connected");
    let request =
        format!("GET /endless HTTP/1.1\r\nhost: a\r\npayment-signature: {credential}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    eventually(|| async {
        let payments = town.payments().await;
        payments
            .iter()
            .any(|p| p.state.delivery == Delivery::Aborted)
    })
    .await;
    drop(stream);
    assert_eq!(town.revenue(), PRICE);
}
