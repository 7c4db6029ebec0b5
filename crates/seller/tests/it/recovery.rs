//! What a crash leaves behind, and what the watch does about it.

use std::sync::Arc;

use farebox_core::clock::Clock;
use farebox_core::ledger::{Attach, Cover, Filter, Ledger, NewClaim, PaymentId, SellerSide};
use farebox_core::payment::{Delivery, Event, Phase, Role};
use farebox_core::rail::{CollectRail, Finding, Price};
use farebox_seller::till::recover::Recovered;
use farebox_wire::money::UsdMicros;
use http::StatusCode;

use crate::support::fake_rail::hash_of;
use crate::support::{Plan, World, eventually};

fn settled(nonce: &str, is_final: bool) -> Finding {
    Finding::Settled {
        transaction: hash_of(nonce),
        is_final,
    }
}

/// Watches until `done`.
async fn watch_until<F: Future<Output = bool>>(world: &World, done: impl FnMut() -> F) {
    tokio::select! {
        () = world.seller.clone().watch(std::future::pending()) => {}
        () = eventually(done) => {}
    }
}

/// Dies while the upstream works: the claim is made, nothing is sent.
async fn crash_before_settling(world: &mut World) {
    let (reached, at_upstream) = tokio::sync::oneshot::channel();
    let reached = std::sync::Mutex::new(Some(reached));
    world.goods.behave(move |_| {
        let _ = reached.lock().expect("lock").take().map(|r| r.send(()));
        std::future::pending()
    });
    let (mut service, request) = (world.service(), world.paid("/weather/x", "1"));
    let dying = tokio::spawn(async move { tower::Service::call(&mut service, request).await });
    at_upstream.await.expect("reached");
    dying.abort();
    world.restart();
}

#[tokio::test]
async fn a_claim_for_which_nothing_was_sent_is_given_back_at_start() {
    let mut world = World::new();
    crash_before_settling(&mut world).await;
    assert_eq!(world.phase().await, Phase::Reserved);
    let recovered = world.seller.recover().await.expect("a ledger");
    let released = Recovered {
        released: 1,
        ..Recovered::default()
    };
    assert_eq!(recovered, released);
    assert_eq!(world.phase().await, Phase::Released);
    world.goods.answer_status(StatusCode::OK);
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn a_settlement_that_a_crash_cut_off_is_found_and_its_answer_let_through() {
    let mut world = World::new();
    world.rail.plan(Plan::GoSilent);
    let pending = world.buy("/weather/x", "1").await;
    pending.assert_unsettled("settlement_pending");
    world.rail.chain_says("1", settled("1", true));
    world.restart();
    let recovered = world.seller.recover().await.expect("a ledger");
    assert_eq!((recovered.settled, recovered.undecided), (1, 0));
    let payment = world.payment().await;
    assert_eq!(payment.state.phase, Phase::Settled);
    assert_eq!(payment.state.delivery, Delivery::Undelivered);
    let receipt = world.buy("/weather/x", "1").await.assert_served();
    assert_eq!(receipt.transaction, hash_of("1"));
}

#[tokio::test]
async fn a_credential_that_never_will_settle_is_given_back() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "1").await;
    world.rail.chain_says("1", Finding::NeverWill);
    let recovered = world.seller.recover().await.expect("a ledger");
    assert_eq!(recovered.released, 1);
    assert_eq!(world.phase().await, Phase::Released);
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn a_rail_that_cannot_tell_decides_nothing() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "1").await;
    let recovered = world.seller.recover().await.expect("a ledger");
    assert_eq!(recovered.undecided, 1);
    assert_eq!(world.phase().await, Phase::Unknown);
}

#[tokio::test]
async fn the_watch_settles_again_while_the_credential_lives() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "1").await;
    world.rail.chain_says("1", Finding::Open);
    world.rail.plan(Plan::Settle);
    watch_until(&world, || async { world.phase().await == Phase::Settled }).await;
    assert_eq!(world.rail.settlements(), 2);
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn the_watch_settles_nothing_again_after_expiry() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "1").await;
    world.clock.advance_s(61);
    world.rail.chain_says("1", Finding::Open);
    let first = world.seller.recover().await.expect("a ledger");
    assert_eq!(first.undecided, 1);
    world.rail.chain_says("1", Finding::NeverWill);
    watch_until(&world, || async { world.phase().await == Phase::Released }).await;
    assert_eq!(world.rail.settlements(), 1);
}

#[tokio::test]
async fn a_reorg_is_settled_again_while_the_credential_lives() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    world.rail.chain_says("1", Finding::Open);
    watch_until(&world, || async { world.rail.settlements() == 2 }).await;
    world.rail.chain_says("1", settled("1", true));
    watch_until(&world, || async { world.payment().await.state.is_final }).await;
    let payment = world.payment().await;
    assert_eq!(payment.state.phase, Phase::Settled);
    assert_eq!(payment.state.delivery, Delivery::Delivered);
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn what_the_chain_denies_once_is_asked_about_again_at_the_next_look() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    // An undecided payment is asked about at every look.
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "2").await;
    world.rail.chain_says("1", Finding::Open);
    let about = |nonce: &'static str| {
        let asked = world.rail.asked().into_iter().enumerate();
        asked
            .filter(move |(_, about)| about == nonce)
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    watch_until(&world, || async { about("1").len() >= 2 }).await;
    let [first, second, ..] = about("1")[..] else {
        panic!("asked twice");
    };
    let looks = about("2")
        .into_iter()
        .filter(|at| (first..second).contains(at));
    // Not at the eighth, as what nobody has denied.
    assert!(looks.count() < 7);
}

#[tokio::test]
async fn a_reorg_after_expiry_is_lost_and_written_off() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    world.clock.advance_s(61);
    world.rail.chain_says("1", Finding::NeverWill);
    watch_until(&world, || async { world.phase().await == Phase::Lost }).await;
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn a_node_that_lags_behind_after_expiry_loses_no_payment() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    world.clock.advance_s(61);
    world.rail.chain_says("1", Finding::Open);
    watch_until(&world, || async { world.rail.asked().len() >= 4 }).await;
    assert_eq!(world.phase().await, Phase::Settled);
    // It catches up.
    world.rail.chain_says("1", settled("1", true));
    watch_until(&world, || async { world.payment().await.state.is_final }).await;
    assert_eq!(world.phase().await, Phase::Settled);
    assert_eq!(world.rail.settlements(), 1);
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn the_watch_leaves_requests_alone_that_are_being_served() {
    let world = Arc::new(World::new());
    world.rail.close_gate();
    let serving = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.buy("/weather/x", "1").await }
    });
    eventually(|| async { world.rail.settlements() == 1 }).await;
    assert_eq!(world.phase().await, Phase::Reserved);
    // Enough rounds to do harm, if it did any.
    let mut rounds = 0;
    watch_until(&world, || {
        rounds += 1;
        let enough = rounds > 20;
        async move { enough }
    })
    .await;
    assert_eq!(world.phase().await, Phase::Reserved);
    world.rail.open_gate();
    serving.await.expect("no panic").assert_served();
}

#[tokio::test]
async fn what_was_sent_once_stays_pending_while_the_node_is_away() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "1").await;
    world.rail.chain_says("1", Finding::Open);
    world.rail.plan(Plan::Unreachable);
    watch_until(&world, || async { world.rail.settlements() > 3 }).await;
    assert_eq!(world.phase().await, Phase::Unknown);
    let seen = world.buy("/weather/x", "1").await;
    seen.assert_unsettled("settlement_pending");
}

#[tokio::test]
async fn a_later_refusal_does_not_end_what_was_sent_before() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "1").await;
    world.rail.chain_says("1", Finding::Open);
    world.rail.plan(Plan::Reject);
    watch_until(&world, || async { world.rail.settlements() > 3 }).await;
    assert_eq!(world.phase().await, Phase::Unknown);
    // The first transaction makes it into a block after all.
    world.rail.chain_says("1", settled("1", true));
    watch_until(&world, || async { world.phase().await == Phase::Settled }).await;
    world.buy("/weather/x", "1").await.assert_served();
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn the_watch_gives_back_claims_whose_request_died() {
    let mut world = World::new();
    crash_before_settling(&mut world).await;
    watch_until(&world, || async { world.phase().await == Phase::Released }).await;
    assert_eq!(world.rail.settlements(), 0);
}

#[tokio::test]
async fn proof_outranks_a_claim_that_was_given_back() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/x", "1").await;
    world.rail.chain_says("1", Finding::NeverWill);
    world.seller.recover().await.expect("a ledger");
    let payment = world.payment().await;
    let event = Event::Settled {
        transaction: hash_of("1"),
        is_final: true,
    };
    let applied = world
        .ledger
        .apply(&payment.id, event, Attach::default(), payment.updated_ms)
        .await
        .expect("taken");
    assert_eq!(applied.payment.state.phase, Phase::Settled);
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn payments_that_nobody_can_decide_keep_no_other_waiting() {
    let world = World::new();
    // More than one look reaches, and the rail cannot tell about any of them.
    let stuck: usize = 8 * 256 + 100;
    for first in (0..stuck).step_by(256) {
        let claims = (first..stuck.min(first + 256)).map(|n| leave_unknown(&world, n));
        futures_util::future::join_all(claims).await;
    }
    world.rail.set_balance(u128::MAX);
    world.rail.plan(Plan::GoSilent);
    let pending = world.buy("/weather/x", "1").await;
    pending.assert_unsettled("settlement_pending");
    world.rail.chain_says("1", settled("1", true));
    let is_settled = || async {
        let newest = Filter {
            limit: Some(1),
            ..Filter::default()
        };
        let newest = world.ledger.list(newest).await.expect("a list");
        newest[0].state.phase == Phase::Settled
    };
    watch_until(&world, is_settled).await;
}

/// A payment that was sent and of which the rail knows nothing.
async fn leave_unknown(world: &World, n: usize) {
    let nonce = format!("stuck-{n}");
    let credential = world.credential("/weather/x", &nonce);
    let price = Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 60,
        upfront: false,
    };
    let offer = world.rail.offers(&price).expect("offers").remove(0);
    let now_s = world.clock.now_s();
    let examined = world.rail.examine(&credential, &offer, now_s);
    let examined = examined.expect("a good credential");
    let id = PaymentId(nonce);
    let claim = NewClaim {
        id: id.clone(),
        role: Role::Seller,
        identity: examined.identity,
        side: SellerSide {
            route: "weather".to_owned(),
            payload_digest: examined.payload_digest,
            request_digest: [0; 32],
            body_digest: None,
        },
        terms: examined.terms,
        valid_before_s: examined.valid_before_s,
        handle: examined.handle,
        cover: Cover::NotNeeded,
        now_ms: world.clock.now_ms(),
    };
    world.ledger.claim(claim).await.expect("a claim");
    let sent = Event::Sending { transaction: None };
    let lost = Event::NoReply {
        reason: "no_receipt".to_owned(),
    };
    let applied = world
        .ledger
        .apply_all(&id, vec![sent, lost], Attach::default(), now_s * 1000)
        .await;
    applied.expect("legal events");
}

#[tokio::test]
async fn what_becomes_final_in_another_transaction_is_on_record_under_that_one() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    let other = hash_of("the one that the chain kept");
    let kept = Finding::Settled {
        transaction: other.clone(),
        is_final: true,
    };
    world.rail.chain_says("1", kept);
    watch_until(&world, || async { world.payment().await.state.is_final }).await;
    let payment = world.payment().await;
    assert_eq!(payment.state.transaction.as_ref(), Some(&other));
    assert!(payment.receipt.is_some_and(|json| json.contains(&other)));
    let repeat = world.buy("/weather/x", "1").await;
    assert_eq!(repeat.status, StatusCode::CONFLICT, "served once");
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn a_chain_that_hangs_does_not_keep_the_watch_from_ending() {
    for plan in [Plan::GoSilent, Plan::Settle] {
        let world = World::new();
        world.rail.plan(plan);
        world.buy("/weather/x", "1").await;
        world.buy("/weather/x", "2").await;
        world.rail.hang_chain();
        let asked = || async { !world.rail.asked().is_empty() };
        // Ends by itself as soon as it is told, though no answer has come.
        world.seller.clone().watch(eventually(asked)).await;
        assert_eq!(world.rail.asked().len(), 1);
    }
}
