//! Buying through the gate, on a real chain.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use farebox_core::payment::{Delivery, Phase};
use farebox_core::rail::PayRail;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::support::{PRICE, Plan, Town, eventually, within};

fn sunny() -> Router {
    Router::new().fallback(any(|| async { "sunny" }))
}

async fn town() -> Town {
    Plan::app(sunny()).await.open().await
}

#[tokio::test]
async fn a_paid_request_moves_money_and_is_served_once() {
    let town = town().await;
    let credential = town.sign("/weather?x=1", &town.payer()).await;
    let first = town.pay("/weather?x=1", &credential).await;
    let receipt = first.assert_served();
    assert_eq!(&*first.body, b"sunny");
    assert_eq!(first.headers["cache-control"], "private");
    assert_eq!(town.revenue(), PRICE);

    let again = town.pay("/weather?x=1", &credential).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.code(), "payment_already_used");
    assert_eq!(again.receipt(), Some(receipt));
    let elsewhere = town.pay("/weather?x=2", &credential).await;
    elsewhere.assert_challenged("payment_already_used");
    assert_eq!(town.visits.count(), 1);
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn an_anonymous_request_asks_no_node_and_writes_no_row() {
    let town = town().await;
    let before = town.devnet.faults().total_calls();
    for _ in 0..20 {
        let seen = town
            .get("/weather", &[("x-forwarded-host", "evil.example")])
            .await;
        seen.assert_challenged("Payment required");
        let url = format!("http://{}/weather", town.gate);
        assert_eq!(seen.challenge().expect("a challenge").resource.url, url);
    }
    assert_eq!(town.devnet.faults().total_calls(), before);
    assert!(town.payments().await.is_empty());
    assert_eq!(town.visits.count(), 0);
}

#[tokio::test]
async fn a_credential_sent_100_times_in_parallel_reaches_the_upstream_once() {
    let town = Arc::new(town().await);
    let credential = town.sign("/weather", &town.payer()).await;
    let requests = (0..100).map(|_| {
        let (town, credential) = (Arc::clone(&town), credential.clone());
        tokio::spawn(async move { town.pay("/weather", &credential).await.status })
    });
    let mut statuses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        statuses.push(request.await.expect("an answer"));
    }
    statuses.sort();
    assert_eq!(statuses[0], StatusCode::OK);
    assert!(
        statuses[1..].iter().all(|s| *s == StatusCode::CONFLICT),
        "{statuses:?}"
    );
    assert_eq!(town.visits.count(), 1);
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn a_hundred_authorizations_on_a_balance_for_one_reach_the_upstream_once() {
    let town = Arc::new(town().await);
    let payer = Arc::new(town.payer_with(&"7".repeat(64)));
    let amount = (2 * PRICE - 1).try_into().expect("small");
    town.devnet
        .mint(payer.address().0.into(), amount)
        .expect("minted");
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
        if seen.status == StatusCode::OK {
            served += 1;
        } else {
            seen.assert_challenged("invalid_exact_evm_insufficient_balance");
        }
    }
    assert_eq!(served, 1);
    assert_eq!(town.visits.count(), 1);
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn before_settles_before_the_upstream_is_called() {
    let town = town().await;
    let seen = town.get("/dear/x", &[]).await;
    let challenge = seen.challenge().expect("a challenge");
    assert_eq!(challenge.accepts[0]["extra"]["paymentFlow"], "upfront");
    town.buy("/dear/x").await.assert_served();
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn before_passes_a_failure_on_with_its_receipt_and_lets_through_once_more() {
    let app = Router::new().fallback(any(|headers: HeaderMap| async move {
        match headers.get("x-mood") {
            Some(_) => (StatusCode::OK, "sunny"),
            None => (StatusCode::INTERNAL_SERVER_ERROR, "hail"),
        }
    }));
    let town = Plan::app(app).await.open().await;
    let credential = town.sign("/dear/x", &town.payer()).await;
    let first = town.pay("/dear/x", &credential).await;
    assert_eq!(first.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(&*first.body, b"hail");
    let receipt = first.receipt().expect("it was paid");
    assert!(receipt.success);
    let headers = [("payment-signature", &*credential), ("x-mood", "good")];
    let second = town.get("/dear/x", &headers).await;
    assert_eq!(second.assert_served(), receipt);
    let third = town.get("/dear/x", &headers).await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert_eq!(town.visits.count(), 2);
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn a_body_streams_to_the_client_before_its_end_is_written() {
    let (writers, mut written) = mpsc::unbounded_channel();
    let app = Router::new().fallback(any(move || {
        let (chunks, mut body) = mpsc::unbounded_channel::<Result<&'static str, std::io::Error>>();
        writers.send(chunks).expect("the test listens");
        let body = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
        async move { axum::body::Body::from_stream(body) }
    }));
    let town = Plan::app(app).await.open().await;
    let credential = town.sign("/slow", &town.payer()).await;
    let headers = [("payment-signature", &*credential)];
    let mut answer = town.open("GET", "/slow", &headers, "").await;
    // The head came, so the money has moved; nothing of the body is written yet.
    assert_eq!(town.revenue(), PRICE);
    let chunks = within(written.recv()).await.expect("reached");
    for part in ["first", "second"] {
        chunks.send(Ok(part)).expect("open");
        let frame = within(answer.body_mut().frame()).await;
        let frame = frame.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), part);
    }
    assert_eq!(town.payment().await.state.delivery, Delivery::Undelivered);
    drop(chunks);
    assert!(within(answer.body_mut().frame()).await.is_none());
    eventually(|| async { town.payment().await.state.delivery == Delivery::Delivered }).await;
}

#[tokio::test]
async fn a_client_that_leaves_midway_has_been_served() {
    let app = Router::new().fallback(any(|| async {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("again "));
        axum::body::Body::from_stream(endless)
    }));
    let town = Plan::app(app).await.open().await;
    let credential = town.sign("/endless", &town.payer()).await;
    let headers = [("payment-signature", &*credential)];
    let mut answer = town.open("GET", "/endless", &headers, "").await;
    within(answer.body_mut().frame())
        .await
        .expect("a frame")
        .expect("data");
    drop(answer);
    eventually(|| async { town.payment().await.state.delivery == Delivery::Aborted }).await;
    let again = town.pay("/endless", &credential).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.receipt().is_some_and(|receipt| receipt.success));
    town.audit().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_while_settling_loses_nothing() {
    let town = town().await;
    town.devnet.hold_mining();
    let credential = town.sign("/weather", &town.payer()).await;
    {
        let headers = [("payment-signature", &*credential)];
        let waiting = town.open("GET", "/weather", &headers, "");
        let sent = eventually(|| async { town.devnet.waiting_transactions() == 1 });
        tokio::select! {
            _ = waiting => panic!("nothing can be settled yet"),
            () = sent => {}
        }
    }
    town.devnet.release_mining();
    eventually(|| async { town.payment().await.state.phase == Phase::Settled }).await;
    town.pay("/weather", &credential).await.assert_served();
    assert_eq!(town.visits.count(), 2);
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn head_and_range_are_paid() {
    let town = town().await;
    for (method, headers) in [("HEAD", vec![]), ("GET", vec![("range", "bytes=0-0")])] {
        let seen = town.send(method, "/weather", &headers, "").await;
        seen.assert_challenged("Payment required");
    }
    let credential = town.sign("/weather", &town.payer()).await;
    let headers = [("payment-signature", &*credential)];
    let seen = town.send("HEAD", "/weather", &headers, "").await;
    seen.assert_served();
    assert!(seen.body.is_empty());
    assert_eq!(town.visits.count(), 1);
    town.seller.finish().await;
    assert_eq!(town.payment().await.state.delivery, Delivery::Delivered);
}

#[tokio::test]
async fn a_free_route_needs_no_payment() {
    let town = town().await;
    let seen = town.get("/free/x", &[]).await;
    assert_eq!((seen.status, &*seen.body), (StatusCode::OK, &b"sunny"[..]));
    assert!(town.payments().await.is_empty());
}

#[tokio::test]
async fn the_payer_is_who_signed() {
    let town = town().await;
    let receipt = town.buy("/weather").await.assert_served();
    let payer = town.payer().address().to_string();
    assert_eq!(receipt.payer.map(|payer| payer.to_lowercase()), Some(payer));
    let quoted = town.payer().rail();
    assert_eq!(town.payment().await.terms.rail, quoted);
}
