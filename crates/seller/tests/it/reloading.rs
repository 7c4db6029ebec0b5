//! Prices that change while they are paid.

use farebox_seller::SellerError;
use farebox_wire::money::UsdMicros;
use http::StatusCode;

use crate::support::fake_rail::Plan;
use crate::support::{NOW_S, Seen, World, get, usual, with_credential};

/// How long the offers of these tests let a credential live.
const LIFE_S: u64 = 60;

impl World {
    /// `/weather` costs so much from now on.
    fn reprice(&mut self, usd: u128) {
        let mut config = usual();
        config.routes[0].price = UsdMicros(usd);
        self.seller = self.seller.succeeded_by(config).expect("a seller");
    }

    async fn pay(&self, nonce: &str, usd: u128) -> Seen {
        let credential = self.credential_over("/weather/x", nonce, usd);
        self.send(with_credential(get("/weather/x"), &credential))
            .await
    }
}

#[tokio::test]
async fn a_credential_for_the_previous_price_is_taken_for_as_long_as_its_offer_said() {
    let mut world = World::new();
    world.reprice(2_000);
    let challenge = world.send(get("/weather/x")).await.challenge();
    let challenge = challenge.expect("a challenge");
    assert_eq!(challenge.accepts.len(), 1);
    assert_eq!(challenge.accepts[0]["amount"], "2000");
    world.pay("old", 1_000).await.assert_served();
    world.pay("new", 2_000).await.assert_served();
    let money = world.seller.till().counts().money();
    assert_eq!(money.revenue[0].settled, 3_000, "each paid its own price");

    world.clock.advance_s(LIFE_S - 1);
    world.pay("in time", 1_000).await.assert_served();
    world.clock.advance_s(1);
    let late = world.pay("late", 1_000).await;
    late.assert_challenged("No matching payment requirements");
}

#[tokio::test]
async fn what_is_pending_when_its_price_ends_gets_no_new_challenge() {
    let mut world = World::new();
    world.reprice(2_000);
    world.clock.advance_s(LIFE_S - 10);
    world.rail.plan(Plan::GoSilent);
    let mut credential = world.credential_over("/weather/x", "in time", 1_000);
    credential.payload["validBefore"] = (NOW_S + 2 * LIFE_S - 10).into();
    let paid = with_credential(get("/weather/x"), &credential);
    let pending = world.send(paid).await;
    pending.assert_unsettled("settlement_pending");
    world.clock.advance_s(15);
    let again = with_credential(get("/weather/x"), &credential);
    let again = world.send(again).await;
    again.assert_unsettled("settlement_pending");
    let late = world.pay("late", 1_000).await;
    late.assert_challenged("No matching payment requirements");
    assert_eq!(world.payments().await.len(), 1);
}

#[tokio::test]
async fn every_price_of_the_last_minute_is_taken_however_often_it_changed() {
    let mut world = World::new();
    for usd in 2..12 {
        world.reprice(usd * 1_000);
    }
    for usd in 1..12 {
        let nonce = format!("n{usd}");
        world.pay(&nonce, usd * 1_000).await.assert_served();
    }
    let never = world.pay("never", 500).await;
    never.assert_challenged("No matching payment requirements");
}

#[tokio::test]
async fn changes_of_prices_are_remembered_up_to_a_limit() {
    let mut world = World::new();
    for usd in 2..50 {
        world.reprice(usd * 1_000);
    }
    world.pay("recent", 48_000).await.assert_served();
    let gone = world.pay("gone", 1_000).await;
    gone.assert_challenged("No matching payment requirements");
}

#[tokio::test]
async fn a_reload_that_changes_no_price_does_not_make_the_old_ones_live_longer() {
    let mut world = World::new();
    world.reprice(2_000);
    world.clock.advance_s(LIFE_S - 1);
    world.reprice(2_000);
    world.pay("in time", 1_000).await.assert_served();
    world.clock.advance_s(1);
    let late = world.pay("late", 1_000).await;
    late.assert_challenged("No matching payment requirements");
}

#[tokio::test]
async fn a_credential_is_claimed_once_across_a_reload() {
    let mut world = World::new();
    world.pay("once", 1_000).await.assert_served();
    world.reprice(2_000);
    let again = world.pay("once", 1_000).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(world.goods.calls(), 1);
}

#[tokio::test]
async fn what_has_become_free_charges_nobody_and_what_is_gone_sells_nothing() {
    let mut world = World::new();
    world.reprice(0);
    let seen = world.pay("for nothing", 1_000).await;
    assert_eq!((seen.status, seen.receipt()), (StatusCode::OK, None));
    let mut config = usual();
    config.routes.remove(0);
    world.seller = world.seller.succeeded_by(config).expect("a seller");
    let seen = world.pay("gone", 1_000).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert!(world.payments().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_sold_leaves_the_seller_as_it_was() {
    let world = World::new();
    let mut config = usual();
    config.routes[0].accept.clear();
    let refused = world.seller.succeeded_by(config).err();
    assert!(matches!(refused, Some(SellerError::NothingAccepted(_))));
    world.pay("as before", 1_000).await.assert_served();
}

#[tokio::test]
async fn counts_go_on_across_a_reload() {
    let mut world = World::new();
    world.send(get("/weather/x")).await;
    world.reprice(2_000);
    world.send(get("/weather/x")).await;
    let weather = world.seller.till().counts().route("weather");
    assert_eq!(weather.challenges.get(), 2);
    let mut config = usual();
    config.routes.remove(0);
    world.seller = world.seller.succeeded_by(config).expect("a seller");
    let routes = world.seller.till().counts().routes();
    assert!(routes.iter().all(|(name, _)| &**name != "weather"));
}
