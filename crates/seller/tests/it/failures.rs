//! What a failure costs, and whom.

use axum::body::Body;
use farebox_core::payment::{Delivery, Phase};
use farebox_core::rail::Finding;
use http::{Response, StatusCode};

use crate::support::{Plan, Step, World, eventually};

#[tokio::test]
async fn an_upstream_that_answers_with_an_error_charges_nobody() {
    let world = World::new();
    for status in [400_u16, 402, 404, 429, 500, 503] {
        let status = StatusCode::from_u16(status).expect("a status");
        world.goods.answer_status(status);
        let seen = world.buy("/weather/x", status.as_str()).await;
        assert_eq!((seen.status, &*seen.body), (status, &b"no luck"[..]));
        assert!(seen.receipt().is_none());
        assert!(seen.challenge().is_none());
    }
    assert_eq!(world.rail.settlements(), 0);
    let payments = world.payments().await;
    assert!(
        payments
            .iter()
            .all(|payment| payment.state.phase == Phase::Released)
    );
}

#[tokio::test]
async fn an_upstream_that_breaks_without_an_answer_charges_nobody() {
    let world = World::new();
    world.goods.behave(|_| async { Err("broken".to_owned()) });
    let seen = world.buy("/weather/x", "1").await;
    assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen.code(), "upstream_failed");
    world.goods.behave(|_| async { panic!("broken") });
    let seen = world.buy("/weather/x", "1").await;
    assert_eq!(seen.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(seen.code(), "upstream_failed");
    assert_eq!(world.phase().await, Phase::Released);
    assert_eq!(world.rail.settlements(), 0);
}

#[tokio::test]
async fn a_rejected_settlement_withholds_the_answer() {
    let world = World::new();
    world.rail.plan(Plan::Reject);
    world
        .goods
        .answer_with(|| Response::new(Body::from("the goods")));
    let seen = world.buy("/weather/x", "1").await;
    seen.assert_unsettled("invalid_exact_evm_nonce_already_used");
    assert!(!seen.body.windows(9).any(|part| part == b"the goods"));
    let payment = world.payment().await;
    assert_eq!(payment.state.phase, Phase::Rejected);
    assert_eq!(payment.state.delivery, Delivery::Undelivered);
}

#[tokio::test]
async fn a_rejected_settlement_before_never_reaches_the_upstream() {
    let world = World::new();
    world.rail.plan(Plan::Reject);
    let seen = world.buy("/dear/x", "1").await;
    seen.assert_unsettled("invalid_exact_evm_nonce_already_used");
    assert_eq!(world.goods.calls(), 0);
}

#[tokio::test]
async fn a_rail_that_cannot_be_asked_is_our_fault_and_burns_nothing() {
    let world = World::new();
    world.rail.set_away(true);
    let seen = world.buy("/weather/x", "1").await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.code(), "unexpected_verify_error");
    assert!(world.payments().await.is_empty());
    world.rail.set_away(false);
    world.rail.plan(Plan::Unreachable);
    let seen = world.buy("/weather/x", "1").await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.code(), "settlement_unavailable");
    assert_eq!(seen.headers["retry-after"], "1");
    assert_eq!(world.phase().await, Phase::Released);
    world.rail.plan(Plan::Settle);
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn before_passes_a_failure_on_with_its_receipt_and_lets_through_once_more() {
    let world = World::new();
    world.goods.behave(|_| async { Err("broken".to_owned()) });
    let seen = world.buy("/dear/x", "1").await;
    assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
    let receipt = seen.receipt().expect("it was paid");
    assert!(receipt.success);
    let payment = world.payment().await;
    assert_eq!(payment.state.phase, Phase::Settled);
    assert_eq!(payment.state.delivery, Delivery::Undelivered);

    world.goods.answer_status(StatusCode::OK);
    let again = world.buy("/dear/x", "1").await;
    assert_eq!(again.assert_served(), receipt);
    assert_eq!(world.rail.settlements(), 1);
    let third = world.buy("/dear/x", "1").await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert_eq!(world.goods.calls(), 2);
}

#[tokio::test]
async fn trouble_of_our_own_after_the_journal_never_burns_a_good_credential() {
    let world = World::new();
    world.rail.plan(Plan::OutOfGas);
    let seen = world.buy("/weather/x", "1").await;
    seen.assert_unsettled("settlement_pending");
    assert_eq!(world.phase().await, Phase::Unknown);
    world.rail.chain_says("1", Finding::Open);
    world.rail.plan(Plan::Settle);
    let watching = world.seller.clone().watch(std::future::pending());
    let settled = eventually(|| async { world.phase().await == Phase::Settled });
    tokio::select! { () = watching => {}, () = settled => {} }
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_sells_nothing() {
    for step in [Step::LookUp, Step::Mark, Step::Claim] {
        let world = World::new();
        world.ledger.fail_at(Some(step));
        let seen = world.buy("/weather/x", "1").await;
        assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(seen.code(), "ledger_unavailable");
        assert_eq!(seen.headers["retry-after"], "1");
        assert_eq!(world.goods.calls(), 0);
        assert!(world.payments().await.is_empty());
        world.ledger.fail_at(None);
        world.buy("/weather/x", "1").await.assert_served();
    }
}

#[tokio::test]
async fn nothing_is_sent_that_is_not_in_the_journal() {
    let world = World::new();
    world.ledger.fail_at(Some(Step::Sending));
    let seen = world.buy("/weather/x", "1").await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.code(), "settlement_unavailable");
    let payment = world.payment().await;
    assert_eq!(payment.state.phase, Phase::Released);
    assert!(payment.sent.is_empty());
    world.ledger.fail_at(None);
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn what_the_journal_has_after_all_is_pending_and_settled_by_the_watch() {
    let world = World::new();
    world.ledger.fail_at(Some(Step::SendingUnheard));
    let seen = world.buy("/weather/x", "1").await;
    seen.assert_unsettled("settlement_pending");
    world.ledger.fail_at(None);
    world.rail.chain_says("1", Finding::Open);
    let watching = world.seller.clone().watch(std::future::pending());
    let settled = eventually(|| async { world.phase().await == Phase::Settled });
    tokio::select! { () = watching => {}, () = settled => {} }
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn nobody_is_told_that_nothing_was_charged_once_something_was_sent() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.ledger.fail_at(Some(Step::NoReply));
    let seen = world.buy("/weather/x", "1").await;
    seen.assert_unsettled("settlement_pending");
    assert_eq!(world.phase().await, Phase::Sent);
}

#[tokio::test]
async fn a_settlement_that_is_not_on_record_withholds_the_answer_until_the_watch_finds_it() {
    let world = World::new();
    world.ledger.fail_at(Some(Step::Settled));
    let seen = world.buy("/weather/x", "1").await;
    let receipt = seen.assert_unsettled("settlement_pending");
    assert_eq!(world.phase().await, Phase::Sent);
    world.ledger.fail_at(None);
    let watching = world.seller.clone().watch(std::future::pending());
    let settled = eventually(|| async { world.phase().await == Phase::Settled });
    tokio::select! { () = watching => {}, () = settled => {} }
    let served = world.buy("/weather/x", "1").await.assert_served();
    assert_eq!(served.transaction, receipt.transaction);
    assert_eq!(world.rail.settlements(), 1);
}

#[tokio::test]
async fn a_claim_that_could_not_be_given_back_is_given_back_by_the_watch() {
    let world = World::new();
    world.goods.answer_status(StatusCode::NOT_FOUND);
    world.ledger.fail_at(Some(Step::Abandoned));
    let seen = world.buy("/weather/x", "1").await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert_eq!(world.phase().await, Phase::Reserved);
    world.ledger.fail_at(None);
    let watching = world.seller.clone().watch(std::future::pending());
    let released = eventually(|| async { world.phase().await == Phase::Released });
    tokio::select! { () = watching => {}, () = released => {} }
}

#[tokio::test]
async fn a_delivery_that_is_not_on_record_is_not_served_again_by_the_same_gate() {
    let mut world = World::new();
    world.ledger.fail_at(Some(Step::Delivered));
    world.buy("/weather/x", "1").await.assert_served();
    for still_failing in [true, false] {
        if !still_failing {
            world.ledger.fail_at(None);
        }
        let again = world.buy("/weather/x", "1").await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(again.code(), "payment_in_flight");
    }
    assert_eq!(world.goods.calls(), 1);
    // Only a crash forgets; then once more is the lesser evil.
    world.restart();
    world.buy("/weather/x", "1").await.assert_served();
    let third = world.buy("/weather/x", "1").await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert_eq!(world.rail.settlements(), 1);
}
