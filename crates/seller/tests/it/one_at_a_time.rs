//! Payers of whom nobody knows how much they have: one payment of theirs is open at a time.

use farebox_core::ledger::Ledger;
use farebox_core::payment::{Hold, Phase};
use farebox_core::rail::Finding;
use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::support::fake_rail::hash_of;
use crate::support::{Plan, World, eventually};

fn blind_world() -> World {
    let world = World::new();
    world.rail.set_blind(true);
    world
}

#[tokio::test]
async fn a_second_payment_of_the_payer_waits_and_is_then_told_to_come_again() {
    let world = blind_world();
    world.rail.close_gate();
    let first = world.open(world.paid("/weather/a", "1"));
    let second = async {
        eventually(|| async { world.rail.settlements() == 1 }).await;
        let told =
            crate::support::Seen::read(world.open(world.paid("/weather/b", "2")).await).await;
        assert_eq!(told.status, StatusCode::CONFLICT);
        assert_eq!(told.code(), "one_payment_at_a_time");
        assert!(told.headers.contains_key(RETRY_AFTER));
        assert_eq!(world.goods.calls(), 1);
        world.rail.open_gate();
    };
    let (first, ()) = tokio::join!(first, second);
    crate::support::Seen::read(first).await.assert_served();
    world.buy("/weather/b", "2").await.assert_served();
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn what_nobody_can_tell_of_counts_as_spent_when_it_is_over_and_blocks_its_payer_no_longer() {
    let world = blind_world();
    world.rail.plan(Plan::GoSilent);
    world
        .buy("/weather/a", "1")
        .await
        .assert_unsettled("settlement_pending");
    let blocked = world.buy("/weather/b", "2").await;
    assert_eq!(blocked.code(), "one_payment_at_a_time");

    world.clock.advance_s(3_600);
    let recovered = world.seller.recover().await.expect("a ledger");
    assert_eq!((recovered.settled, recovered.undecided), (0, 1));
    let payment = world.payment().await;
    assert_eq!(
        (payment.state.phase, payment.state.hold),
        (Phase::Unknown, Hold::Spent)
    );

    let finding = Finding::Settled {
        transaction: hash_of("1"),
        is_final: true,
    };
    world.rail.chain_says("1", finding);
    tokio::select! {
        () = world.seller.clone().watch(std::future::pending()) => {}
        () = eventually(|| async { world.phase().await == Phase::Settled }) => {}
    }
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn what_turns_out_never_to_have_moved_is_written_off_again() {
    let world = blind_world();
    world.rail.plan(Plan::GoSilent);
    world.buy("/weather/a", "1").await;
    world.clock.advance_s(3_600);
    world.seller.recover().await.expect("a ledger");
    world.rail.chain_says("1", Finding::NeverWill);
    tokio::select! {
        () = world.seller.clone().watch(std::future::pending()) => {}
        () = eventually(|| async { world.phase().await == Phase::Released }) => {}
    }
    assert_eq!(world.payment().await.state.hold, Hold::Returned);
    world.ledger.verify(true).await.expect("sound books");
}
