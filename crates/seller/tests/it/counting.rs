//! What is counted, and routes whose price is only counted.

use std::sync::Arc;

use farebox_core::rail::Finding;
use farebox_seller::counts::{NO_ROUTE, RouteCounts, States};
use http::StatusCode;

use crate::support::fake_rail::hash_of;
use crate::support::{Plan, World, eventually, get};

fn route(world: &World, name: &str) -> Arc<RouteCounts> {
    world.seller.till().counts().route(name)
}

fn states(world: &World, name: &str) -> States {
    let money = world.seller.till().counts().money();
    let mut lines = money.payments.iter();
    let line = lines.find(|line| line.route == name);
    line.expect("the route has payments").states
}

#[tokio::test]
async fn each_request_is_counted_once_under_the_route_that_covers_it() {
    let world = World::new();
    world.send(get("/weather/zurich")).await;
    world.send(get("/free/zurich")).await;
    world.send(get("/nothing")).await;
    world.buy("/weather/zurich", "n1").await.assert_served();
    let weather = route(&world, "weather");
    assert_eq!(weather.challenges.get(), 1);
    let answers: Vec<_> = weather.answers().collect();
    assert_eq!(answers, [(1, 0), (2, 1), (3, 0), (4, 1), (5, 0)]);
    assert_eq!(weather.latency.read().count, 2);
    let answers: Vec<_> = route(&world, "free").answers().collect();
    assert_eq!(answers[1], (2, 1));
    let answers: Vec<_> = route(&world, NO_ROUTE).answers().collect();
    assert_eq!(answers[3], (4, 1));
}

#[tokio::test]
async fn a_refusal_with_offers_is_a_challenge_and_one_without_is_none() {
    let world = World::new();
    world.buy("/weather/zurich", "n1").await.assert_served();
    // Served already: 409 with its receipt.
    world.buy("/weather/zurich", "n1").await;
    assert_eq!(route(&world, "weather").challenges.get(), 0);
    // Another route: sign a new one.
    world.buy("/other/zurich", "n1").await;
    assert_eq!(route(&world, "other").challenges.get(), 1);
}

#[tokio::test]
async fn revenue_is_what_the_books_have_earned() {
    let world = World::new();
    world.buy("/weather/zurich", "n1").await.assert_served();
    world.buy("/dear/zurich", "n2").await.assert_served();
    let money = world.seller.till().counts().money();
    assert_eq!(money.revenue.len(), 1);
    assert_eq!(money.revenue[0].settled, 2_000);
    assert_eq!(money.revenue[0].settled_usd_micros, 2_000);
    assert_eq!(money.revenue[0].undone, 0);
    assert_eq!(money.settlements.len(), 1);
    assert_eq!(money.settlements[0].took.count, 2);
    let weather = states(&world, "weather");
    assert_eq!((weather.claimed, weather.settled), (1, 1));
}

#[tokio::test]
async fn an_upstream_that_fails_releases_and_earns_nothing() {
    let world = World::new();
    world.goods.answer_status(StatusCode::NOT_FOUND);
    world.buy("/weather/zurich", "n1").await;
    let weather = states(&world, "weather");
    let expected = States {
        claimed: 1,
        released: 1,
        ..States::default()
    };
    assert_eq!(weather, expected);
    assert!(world.seller.till().counts().money().revenue.is_empty());
}

#[tokio::test]
async fn what_nobody_knows_is_counted_as_unknown_and_once_more_as_settled() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/zurich", "n1").await;
    let before = states(&world, "weather");
    assert_eq!((before.unknown, before.settled), (1, 0));
    let finding = Finding::Settled {
        transaction: hash_of("n1"),
        is_final: true,
    };
    world.rail.chain_says("n1", finding);
    let watching = world.seller.clone();
    let watch = tokio::spawn(async move { watching.watch(std::future::pending()).await });
    eventually(|| async { states(&world, "weather").settled == 1 }).await;
    let counts = world.seller.till().counts();
    eventually(|| async { counts.undecided() == 0 }).await;
    watch.abort();
    assert_eq!(states(&world, "weather").unknown, 1);
    assert_eq!(counts.money().revenue[0].settled, 1_000);
}

#[tokio::test]
async fn a_route_in_shadow_mode_counts_its_price_and_asks_nobody_to_pay() {
    let world = World::with(|config| config.routes[0].is_shadow = true);
    let seen = world.send(get("/weather/zurich")).await;
    assert_eq!(seen.status, StatusCode::OK);
    // A credential is not looked at, so nobody is charged for it.
    let paid = world.buy("/weather/zurich", "n1").await;
    assert_eq!(paid.status, StatusCode::OK);
    assert!(paid.receipt().is_none());
    assert!(world.payments().await.is_empty());
    assert_eq!(world.rail.verifications(), 0);
    let weather = route(&world, "weather");
    assert_eq!(weather.shadowed.get(), 2);
    assert_eq!(weather.shadowed_usd_micros.get(), 2_000);
    assert_eq!(weather.challenges.get(), 0);
    // A bad answer would have cost nothing.
    world.goods.answer_status(StatusCode::NOT_FOUND);
    world.send(get("/weather/zurich")).await;
    assert_eq!(weather.shadowed.get(), 2);
    // The others charge.
    world
        .send(get("/other/zurich"))
        .await
        .assert_challenged("Payment required");
}
