//! The table of repeats: what a credential gets that has been seen before.

use axum::body::Body;
use farebox_core::payment::Phase;
use http::{Method, Request, Response, StatusCode};

use crate::support::{Plan, World, get, post, with_credential};

#[tokio::test]
async fn a_delivered_credential_is_answered_with_its_first_receipt() {
    let world = World::new();
    let first = world.buy("/weather/x", "1").await;
    let receipt = first.assert_served();
    let again = world.buy("/weather/x", "1").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.code(), "payment_already_used");
    assert_eq!(again.receipt(), Some(receipt));
    assert!(again.challenge().is_none());
    assert_eq!(world.goods.calls(), 1);
    assert_eq!(world.rail.settlements(), 1);
}

#[tokio::test]
async fn a_credential_used_for_another_request_is_challenged() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    let credential = world.credential("/weather/x", "1");
    let head = Request::head("/weather/x")
        .body(Body::empty())
        .expect("a request");
    for request in [
        get("/other/x"),
        get("/weather/y"),
        get("/weather/x?q=1"),
        post("/weather/x", ""),
        head,
    ] {
        let seen = world.send(with_credential(request, &credential)).await;
        seen.assert_challenged("payment_already_used");
    }
    assert_eq!(world.goods.calls(), 1);
}

#[tokio::test]
async fn a_second_authorization_under_one_nonce_is_challenged() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    let mut second = world.credential("/weather/x", "1");
    second.payload["validBefore"] = (crate::support::NOW_S + 61).into();
    let seen = world
        .send(with_credential(get("/weather/x"), &second))
        .await;
    seen.assert_challenged("payment_already_used");
    assert_eq!(world.goods.calls(), 1);
}

#[tokio::test]
async fn a_credential_in_flight_is_told_to_wait_and_another_request_with_it_to_pay() {
    let world = World::new();
    world.rail.close_gate();
    let first = tokio::spawn({
        let (mut service, request) = (world.service(), world.paid("/weather/x", "1"));
        async move { tower::Service::call(&mut service, request).await }
    });
    crate::support::eventually(|| async { world.rail.settlements() == 1 }).await;
    let same = world.open(world.paid("/weather/x", "1")).await;
    let same = crate::support::Seen::read(same).await;
    assert_eq!(same.status, StatusCode::CONFLICT);
    assert_eq!(same.code(), "payment_in_flight");
    assert_eq!(same.headers["retry-after"], "1");
    let credential = world.credential("/weather/x", "1");
    let other = world
        .open(with_credential(get("/weather/y"), &credential))
        .await;
    let other = crate::support::Seen::read(other).await;
    other.assert_challenged("payment_already_used");
    world.rail.open_gate();
    let answer = first.await.expect("no panic").expect("never fails");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_rejected_credential_gets_the_same_reason_and_no_second_call() {
    let world = World::new();
    for (plan, reason) in [
        (Plan::Reject, "invalid_exact_evm_nonce_already_used"),
        (Plan::Revert, "invalid_exact_evm_transaction_failed"),
    ] {
        world.rail.plan(plan);
        let (calls, settlements) = (world.goods.calls(), world.rail.settlements());
        let first = world.buy("/weather/x", reason).await;
        first.assert_unsettled(reason);
        let again = world.buy("/weather/x", reason).await;
        again.assert_unsettled(reason);
        assert_eq!(world.goods.calls(), calls + 1);
        assert_eq!(world.rail.settlements(), settlements + 1);
    }
    let payments = world.payments().await;
    assert!(
        payments
            .iter()
            .all(|payment| payment.state.phase == Phase::Rejected)
    );
}

#[tokio::test]
async fn a_pending_credential_is_pending_until_the_chain_tells_then_served_once() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    let pending = world.buy("/weather/x", "1").await;
    let receipt = pending.assert_unsettled("settlement_pending");
    assert_eq!(receipt.transaction, crate::support::fake_rail::hash_of("1"));
    let again = world.buy("/weather/x", "1").await;
    again.assert_unsettled("settlement_pending");
    assert_eq!(world.goods.calls(), 1);
    assert_eq!(world.rail.settlements(), 1);

    world.rail.chain_says(
        "1",
        farebox_core::rail::Finding::Settled {
            transaction: receipt.transaction.clone(),
            is_final: true,
        },
    );
    let watching = world.seller.clone().watch(std::future::pending());
    let settled = crate::support::eventually(|| async { world.phase().await == Phase::Settled });
    tokio::select! { () = watching => {}, () = settled => {} }

    let served = world.buy("/weather/x", "1").await.assert_served();
    assert_eq!(served.transaction, receipt.transaction);
    assert_eq!(world.goods.calls(), 2);
    assert_eq!(world.rail.settlements(), 1);
    let third = world.buy("/weather/x", "1").await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert_eq!(world.goods.calls(), 2);
}

#[tokio::test]
async fn what_is_delivered_late_must_be_the_same_request_with_the_same_body() {
    let world = World::new();
    world.goods.answer_status(StatusCode::INTERNAL_SERVER_ERROR);
    let credential = world.credential("/dear/x", "1");
    let first = world
        .send(with_credential(post("/dear/x", "mine"), &credential))
        .await;
    assert_eq!(first.status, StatusCode::INTERNAL_SERVER_ERROR);
    let receipt = first.receipt().expect("paid upfront");
    assert!(receipt.success);

    world
        .goods
        .behave(|request| async move { Ok(Response::new(request.into_body())) });
    let other = world
        .send(with_credential(post("/dear/x", "not mine"), &credential))
        .await;
    other.assert_challenged("payment_already_used");
    let same = world
        .send(with_credential(post("/dear/x", "mine"), &credential))
        .await;
    assert_eq!(same.assert_served(), receipt);
    assert_eq!(&*same.body, b"mine");
    assert_eq!(world.rail.settlements(), 1);
}

#[tokio::test]
async fn a_repeated_body_over_the_limit_is_refused() {
    let world = World::new();
    world.goods.answer_status(StatusCode::INTERNAL_SERVER_ERROR);
    let credential = world.credential("/dear/x", "1");
    let huge = || {
        let body = Body::from(vec![0; 16 * 1024 * 1024 + 1]);
        let request = Request::builder().method(Method::PUT).uri("/dear/x");
        with_credential(request.body(body).expect("a request"), &credential)
    };
    let first = world.send(huge()).await;
    assert_eq!(first.status, StatusCode::INTERNAL_SERVER_ERROR);
    let again = world.send(huge()).await;
    assert_eq!(again.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(again.code(), "repeated_body_too_long");
}

#[tokio::test]
async fn a_released_credential_comes_as_new() {
    let world = World::new();
    world.goods.answer_status(StatusCode::NOT_FOUND);
    let seen = world.buy("/weather/x", "1").await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert_eq!(world.phase().await, Phase::Released);
    world.goods.answer_status(StatusCode::OK);
    // Even for another request: nothing was ever sent for it.
    let credential = world.credential("/weather/x", "1");
    let seen = world
        .send(with_credential(get("/other/x"), &credential))
        .await;
    seen.assert_served();
    assert_eq!(world.phase().await, Phase::Settled);
}
