//! The spend function: what is on disk, and when.

use std::sync::Arc;

use farebox_core::ledger::Ledger;
use farebox_core::payment::Phase;
use farebox_core::purse::{LEASE_MS, Purse, Spend};
use farebox_core::rail::RailError;
use farebox_wire::money::{Amount, UsdMicros};
use tokio::task::JoinSet;

use crate::fake::{self, PRICE, TOKEN, World, buy, name, request};

#[tokio::test]
async fn a_credential_is_on_disk_as_sent_before_it_is_handed_out() {
    let world = World::with_budget_for(1).await;
    let ticket = buy(&world, &world.desk(), "a").await;
    let stored = world.stored(&ticket.payment).await;
    assert_eq!(stored.state.phase, Phase::Sent);
    let side = stored.buyer.unwrap();
    assert_eq!(side.credential.unwrap().value, ticket.credential.value);
    assert!(stored.handle.is_some() && stored.identity.is_some());
    assert_eq!(world.used().await, (0, PRICE));
}

#[tokio::test]
async fn a_signature_that_fails_gives_the_hold_back() {
    let world = World::with_budget_for(1).await;
    *world.rail.broken.lock().unwrap() = Some(RailError {
        code: "no_randomness",
        message: "no random bytes".into(),
    });
    let spend = world.desk().spend(request(&world, "a").await).await;
    assert_eq!(name(&spend), "fault no_randomness");
    assert_eq!(world.used().await, (0, 0));
    *world.rail.broken.lock().unwrap() = None;
    buy(&world, &world.desk(), "a").await;
}

#[tokio::test]
async fn terms_come_from_the_rail_whatever_the_loop_says() {
    let world = World::with_budget_for(1).await;
    let mut request = request(&world, "a").await;
    request.quote.terms.cost = UsdMicros(0);
    request.quote.terms.amount = Amount::ZERO;
    request.quote.terms.payee = "0xthief".into();
    request.quote.max_timeout_s = u64::MAX;
    let Ok(Spend::Pay(ticket)) = world.desk().spend(request).await else {
        panic!("it should pay")
    };
    let stored = world.stored(&ticket.payment).await;
    assert_eq!(stored.terms.amount, fake::price());
    assert_eq!(stored.terms.payee, "0xseller");
    assert_eq!(world.used().await, (0, PRICE));
}

#[tokio::test]
async fn a_credential_lives_no_longer_than_the_offer_and_the_wallet_allow() {
    let world = World::with_budget_for(2).await;
    let desk = world.desk();
    for (call, offered_s, lives_s) in [("a", 7, 7), ("b", 86_400, 120)] {
        let mut request = request(&world, call).await;
        request.quote.offer = fake::offer(TOKEN, offered_s);
        let Ok(Spend::Pay(ticket)) = desk.spend(request).await else {
            panic!("it should pay")
        };
        let until = ticket.payment.valid_before_s.unwrap();
        assert_eq!(until, fake::START_MS / 1000 + lives_s);
    }
}

#[tokio::test]
async fn limits_refuse_before_anything_is_signed() {
    let world = World::with_budget_for(1).await;
    let desk = world.desk();
    let mut dear = request(&world, "a").await;
    dear.max_cost = Some(UsdMicros(PRICE - 1));
    assert_eq!(name(&desk.spend(dear).await), "fault over_max_cost");
    let mut unknown = request(&world, "a").await;
    unknown.quote.offer = fake::offer("0xjunk", 60);
    assert_eq!(name(&desk.spend(unknown).await), "fault unknown_token");
    buy(&world, &desk, "a").await;
    let over = desk.spend(request(&world, "b").await).await;
    assert_eq!(name(&over), "denied total");
    assert_eq!(world.rail.signed(), 1);
    assert_eq!(world.used().await, (0, PRICE));
}

#[tokio::test]
async fn a_buyer_without_a_budget_spends_nothing() {
    let world = World::without_budget();
    let desk = world.desk();
    let spend = desk.spend(request(&world, "a").await).await;
    assert_eq!(name(&spend), "denied no_budget");
    let preview = desk.preview(None, UsdMicros(0)).await.unwrap();
    assert_eq!(preview.unwrap_err().rule(), "no_budget");
    assert_eq!(world.rail.signed(), 0);
}

#[tokio::test]
async fn a_preview_says_what_spending_would() {
    let world = World::with_budget_for(2).await;
    let desk = world.desk();
    buy(&world, &desk, "a").await;
    let preview = |cost| desk.preview(None, UsdMicros(cost));
    assert!(preview(PRICE).await.unwrap().is_ok());
    assert_eq!(
        preview(PRICE + 1).await.unwrap().unwrap_err().rule(),
        "total"
    );
    assert_eq!(world.used().await, (0, PRICE), "a preview holds nothing");
}

#[tokio::test]
async fn who_lost_the_lease_while_signing_hands_nothing_out() {
    let world = Arc::new(World::with_budget_for(1).await);
    let desk = world.desk();
    let other = world.distant_desk();
    let clock = Arc::clone(&world.clock);
    *world.rail.while_signing.lock().unwrap() = Some(Box::new(move || {
        clock.forward_ms(LEASE_MS);
        let other = Arc::clone(&other);
        Box::pin(async move { assert_eq!(fake::standing(&other, "a").await, "nothing") })
    }));
    let spend = desk.spend(request(&world, "a").await).await;
    assert_eq!(name(&spend), "fault lease_lost");
    assert_eq!(world.used().await, (0, 0));
}

#[tokio::test]
async fn of_many_identical_calls_at_once_one_pays() {
    let world = Arc::new(World::with_budget_for(20).await);
    let mut tasks = JoinSet::new();
    for turn in 0..20 {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            let desk = match turn % 4 {
                0 => world.distant_desk(),
                _ => world.desk(),
            };
            name(&desk.spend(request(&world, "a").await).await)
        });
    }
    let mut names = tasks.join_all().await;
    names.sort();
    names.dedup_by(|a, b| a == b && a == "twin");
    assert_eq!(names, ["pay", "twin"]);
    assert_eq!(world.rail.signed(), 1);
}

#[tokio::test]
async fn a_budget_for_five_pays_five_of_forty_calls_at_once() {
    let world = Arc::new(World::with_budget_for(5).await);
    let desk = world.desk();
    let mut tasks = JoinSet::new();
    for call in 0..40 {
        let (world, desk) = (Arc::clone(&world), Arc::clone(&desk));
        tasks.spawn(async move {
            let request = request(&world, &call.to_string()).await;
            name(&desk.spend(request).await)
        });
    }
    let names = tasks.join_all().await;
    assert_eq!(names.iter().filter(|n| *n == "pay").count(), 5);
    assert_eq!(names.iter().filter(|n| *n == "denied total").count(), 35);
    assert_eq!(world.used().await, (0, 5 * PRICE));
    world.ledger.verify(true).await.unwrap();
}

#[tokio::test]
async fn fresh_signs_although_the_call_is_open() {
    let world = World::with_budget_for(2).await;
    let desk = world.desk();
    let first = buy(&world, &desk, "a").await;
    let mut again = request(&world, "a").await;
    again.fresh = true;
    let Ok(Spend::Pay(second)) = desk.spend(again).await else {
        panic!("it should pay")
    };
    assert_ne!(first.credential.value, second.credential.value);
    assert_eq!(world.used().await, (0, 2 * PRICE));
}

#[tokio::test]
async fn every_offer_is_quoted_and_a_wallet_without_keys_says_so() {
    let world = World::with_budget_for(1).await;
    let offers = vec![fake::offer("0xjunk", 60), fake::offer(TOKEN, 60)];
    let quoted = world.desk().quote(&fake::challenge(offers.clone())).await;
    let codes: Vec<_> = quoted
        .iter()
        .map(|q| {
            q.quote
                .as_ref()
                .map(|_| "ok")
                .unwrap_or_else(|why| why.code)
        })
        .collect();
    assert_eq!(codes, ["unknown_token", "ok"]);
    let keyless = farebox_wallet::Desk::new(
        Arc::<farebox_ledger::SqliteLedger>::clone(&world.ledger),
        Vec::new(),
        Arc::<fake::HandClock>::clone(&world.clock),
        farebox_wallet::DeskOptions::new().unwrap(),
    );
    let quoted = keyless.quote(&fake::challenge(offers)).await;
    assert!(
        quoted
            .iter()
            .all(|q| q.quote.as_ref().is_err_and(|why| why.code == "no_key"))
    );
}
