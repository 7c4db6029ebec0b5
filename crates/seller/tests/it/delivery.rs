//! When a paid answer counts as delivered.

use axum::body::Body;
use bytes::Bytes;
use farebox_core::payment::{Delivery, Phase};
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::support::{Seen, World, eventually, with_credential};

type Chunks = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

/// Goods whose body the test writes chunk by chunk.
fn slow_goods(world: &World) -> mpsc::UnboundedReceiver<Chunks> {
    let (bodies, sent) = mpsc::unbounded_channel();
    world.goods.behave(move |_| {
        let (chunks, mut body) = mpsc::unbounded_channel();
        bodies.send(chunks).expect("the test listens");
        let body = stream::poll_fn(move |cx| body.poll_recv(cx));
        async move { Ok(Response::new(Body::from_stream(body))) }
    });
    sent
}

async fn delivery(world: &World) -> Delivery {
    world.seller.finish().await;
    world.payment().await.state.delivery
}

#[tokio::test]
async fn an_answer_streams_after_settlement_and_is_delivered_at_its_end() {
    let world = World::new();
    let mut bodies = slow_goods(&world);
    let answer = world.open(world.paid("/weather/x", "1")).await;
    assert_eq!(world.phase().await, Phase::Settled);
    let chunks = bodies.recv().await.expect("a body");
    let mut body = answer.into_body();
    for part in ["one", "two"] {
        chunks.send(Ok(part.into())).expect("open");
        let frame = body.frame().await.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), part);
        assert_eq!(world.payment().await.state.delivery, Delivery::Undelivered);
    }
    drop(chunks);
    assert!(body.frame().await.is_none());
    drop(body);
    assert_eq!(delivery(&world).await, Delivery::Delivered);
}

#[tokio::test]
async fn an_answer_that_breaks_off_counts_as_delivered_and_is_recorded_aborted() {
    let world = World::new();
    let mut bodies = slow_goods(&world);
    let answer = world.open(world.paid("/weather/x", "1")).await;
    let chunks = bodies.recv().await.expect("a body");
    chunks.send(Ok("part".into())).expect("open");
    let broken = std::io::Error::other("gone");
    chunks.send(Err(broken)).expect("open");
    answer
        .into_body()
        .collect()
        .await
        .expect_err("it broke off");
    assert_eq!(delivery(&world).await, Delivery::Aborted);
    let again = world.buy("/weather/x", "1").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.receipt().is_some_and(|receipt| receipt.success));
}

#[tokio::test]
async fn a_buyer_who_leaves_midway_has_been_served() {
    let world = World::new();
    let mut bodies = slow_goods(&world);
    let answer = world.open(world.paid("/weather/x", "1")).await;
    let chunks = bodies.recv().await.expect("a body");
    chunks.send(Ok("part".into())).expect("open");
    let mut body = answer.into_body();
    body.frame().await.expect("a frame").expect("no error");
    drop(body);
    assert_eq!(delivery(&world).await, Delivery::Aborted);
}

#[tokio::test]
async fn an_answer_whose_head_never_left_is_let_through_again() {
    let world = World::new();
    let answer = world.open(world.paid("/weather/x", "1")).await;
    drop(answer);
    assert_eq!(delivery(&world).await, Delivery::Undelivered);
    world.buy("/weather/x", "1").await.assert_served();
    assert_eq!(world.rail.settlements(), 1);
    assert_eq!(delivery(&world).await, Delivery::Delivered);
}

#[tokio::test]
async fn a_buyer_who_hangs_up_while_settling_loses_nothing() {
    let world = World::new();
    world.rail.close_gate();
    let waiting = tokio::spawn({
        let (mut service, request) = (world.service(), world.paid("/weather/x", "1"));
        async move { tower::Service::call(&mut service, request).await }
    });
    eventually(|| async { world.rail.settlements() == 1 }).await;
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    world.rail.open_gate();
    assert_eq!(delivery(&world).await, Delivery::Undelivered);
    assert_eq!(world.phase().await, Phase::Settled);
    let again = world.buy("/weather/x", "1").await;
    again.assert_served();
    assert_eq!(world.rail.settlements(), 1);
}

#[tokio::test]
async fn answers_without_a_body_are_delivered_by_their_head() {
    let world = World::new();
    world
        .goods
        .answer_with(|| Response::new(Body::from("not sent for HEAD")));
    let credential = world.credential("/other/x", "1");
    let head = Request::head("/other/x")
        .body(Body::empty())
        .expect("a request");
    // A server takes the head and drops the body unread.
    let answer = world.open(with_credential(head, &credential)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    assert_eq!(delivery(&world).await, Delivery::Delivered);

    let world = World::new();
    world.goods.answer_with(|| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    });
    drop(world.open(world.paid("/weather/x", "1")).await);
    assert_eq!(delivery(&world).await, Delivery::Delivered);
}

#[tokio::test]
async fn whoever_repeats_at_the_last_byte_sees_the_receipt_and_never_a_second_answer() {
    let world = World::new();
    for nonce in 0..50 {
        let nonce = nonce.to_string();
        let first = world.open(world.paid("/weather/x", &nonce)).await;
        let first = Seen::read(first).await;
        let receipt = first.assert_served();
        // Without waiting for the record.
        let again = world.open(world.paid("/weather/x", &nonce)).await;
        let again = Seen::read(again).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(again.receipt(), Some(receipt));
    }
    assert_eq!(world.goods.calls(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_waits_for_the_end_is_not_left_behind_by_others_who_do() {
    let world = std::sync::Arc::new(World::new());
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                for _ in 0..20_000 {
                    world.seller.finish().await;
                }
            })
        })
        .collect();
    for one in waiting {
        one.await.expect("no panic");
    }
}
