//! What a call has open, and who may go on with it (ARCHITECTURE law 3).

use std::sync::Arc;

use farebox_core::ledger::{Lease, Ledger, NewSpend, PaymentId, Reserved};
use farebox_core::payment::{Event, Phase};
use farebox_core::purse::{LEASE_MS, Purse};
use farebox_core::rail::{Finding, PayRail};
use tokio::task::JoinSet;

use crate::fake::{self, PRICE, World, buy, standing};

/// What a process leaves that dies between holding and signing.
async fn reserve_and_die(world: &World, call: &str) -> PaymentId {
    let quote = world
        .rail
        .quote(&fake::offer(fake::TOKEN, 60))
        .await
        .unwrap();
    let reserved = world
        .ledger
        .reserve(NewSpend {
            id: PaymentId(format!("dead-{call}")),
            call: fake::key(call),
            agent: None,
            method: None,
            url: "http://127.0.0.1/x".into(),
            terms: quote.terms,
            lease: Lease {
                owner: "dead".into(),
                until_ms: fake::START_MS + LEASE_MS,
            },
            fresh: false,
            now_ms: fake::START_MS,
        })
        .await
        .unwrap();
    match reserved {
        Reserved::First(payment) => payment.id,
        _ => panic!("it should be held"),
    }
}

#[tokio::test]
async fn a_call_is_busy_until_it_settles_and_then_the_next_is_a_new_purchase() {
    let world = World::with_budget_for(2).await;
    let (desk, other) = (world.desk(), world.distant_desk());
    assert_eq!(standing(&desk, "a").await, "nothing");
    let ticket = buy(&world, &desk, "a").await;
    assert_eq!(standing(&other, "a").await, "busy");
    assert_eq!(
        standing(&desk, "a").await,
        "busy",
        "our own other task waits too"
    );
    assert_eq!(standing(&other, "b").await, "nothing");
    let event = Event::Settled {
        transaction: "0x1".into(),
        is_final: false,
    };
    let receipt = Some("{}".to_owned());
    let payment = desk
        .report(&ticket.payment.id, event, receipt)
        .await
        .unwrap();
    assert_eq!(payment.receipt.as_deref(), Some("{}"));
    assert_eq!(standing(&other, "a").await, "nothing");
    assert_eq!(world.used().await, (PRICE, 0));
}

#[tokio::test]
async fn signs_of_life_keep_a_call_busy() {
    let world = World::with_budget_for(1).await;
    let desk = world.desk();
    let ticket = buy(&world, &desk, "a").await;
    for _ in 0..5 {
        world.clock.forward_ms(LEASE_MS - 1);
        assert_eq!(standing(&world.desk(), "a").await, "busy");
        desk.keep_alive(&ticket.payment.id).await.unwrap();
    }
    world.clock.forward_ms(LEASE_MS);
    assert_eq!(standing(&world.desk(), "a").await, "show credential-0");
}

#[tokio::test]
async fn what_a_dead_process_held_and_never_signed_is_given_back() {
    let world = World::with_budget_for(1).await;
    let id = reserve_and_die(&world, "a").await;
    let desk = world.desk();
    assert_eq!(standing(&desk, "a").await, "busy");
    world.clock.forward_ms(LEASE_MS);
    assert_eq!(standing(&desk, "a").await, "nothing");
    let stored = world.ledger.payment(&id).await.unwrap().unwrap();
    assert_eq!(stored.state.phase, Phase::Released);
    assert_eq!(stored.state.reason.as_deref(), Some("owner_lost"));
    assert_eq!(world.used().await, (0, 0));
}

#[tokio::test]
async fn the_hold_of_a_dead_process_keeps_nobody_else_from_the_budget() {
    let world = World::with_budget_for(1).await;
    reserve_and_die(&world, "a").await;
    let desk = world.desk();
    let other = || async { fake::name(&desk.spend(fake::request(&world, "b").await).await) };
    assert_eq!(other().await, "denied total", "it may be alive");
    world.clock.forward_ms(LEASE_MS);
    assert_eq!(other().await, "pay");
    assert_eq!(world.used().await, (0, PRICE));
}

#[tokio::test]
async fn what_a_dead_process_sent_is_shown_again_by_exactly_one_twin() {
    let world = Arc::new(World::with_budget_for(5).await);
    let ticket = buy(&world, &world.desk(), "a").await;
    world.clock.forward_ms(LEASE_MS);
    let shared = world.desk();
    let mut tasks = JoinSet::new();
    for turn in 0..16 {
        let (world, shared) = (Arc::clone(&world), Arc::clone(&shared));
        tasks.spawn(async move {
            let desk = match turn % 3 {
                0 => shared,
                1 => world.desk(),
                _ => world.distant_desk(),
            };
            standing(&desk, "a").await
        });
    }
    let mut all = tasks.join_all().await;
    all.sort();
    all.dedup_by(|a, b| a == b && a == "busy");
    assert_eq!(
        all,
        [
            "busy".to_owned(),
            format!("show {}", ticket.credential.value)
        ]
    );
    assert_eq!(world.rail.signed(), 1, "nothing new is signed");
    assert_eq!(world.stored(&ticket.payment).await.state.phase, Phase::Sent);
}

#[tokio::test]
async fn who_reports_that_nobody_knows_lets_a_twin_go_on_at_once() {
    let world = World::with_budget_for(1).await;
    let desk = world.desk();
    let ticket = buy(&world, &desk, "a").await;
    for event in [
        Event::NoReply {
            reason: "timeout".into(),
        },
        Event::Refused {
            reason: "http_500".into(),
        },
    ] {
        desk.report(&ticket.payment.id, event, None).await.unwrap();
        assert_eq!(
            standing(&world.distant_desk(), "a").await,
            "show credential-0"
        );
        // The other process dies too.
        world.clock.forward_ms(LEASE_MS);
    }
    assert_eq!(world.used().await, (0, PRICE), "a refusal releases nothing");
}

#[tokio::test]
async fn a_late_report_leaves_the_new_owner_its_lease() {
    let world = World::with_budget_for(1).await;
    let (slow, quick) = (world.desk(), world.desk());
    let ticket = buy(&world, &slow, "a").await;
    world.clock.forward_ms(LEASE_MS);
    assert_eq!(standing(&quick, "a").await, "show credential-0");
    let event = Event::NoReply {
        reason: "timeout".into(),
    };
    slow.report(&ticket.payment.id, event, None).await.unwrap();
    assert_eq!(standing(&world.desk(), "a").await, "busy");
}

#[tokio::test]
async fn after_expiry_only_the_rail_decides() {
    for (finding, then, used) in [
        (fake::settled(false), "nothing", (PRICE, 0)),
        (Finding::NeverWill, "nothing", (0, 0)),
        (Finding::Open, "fault payment_unresolved", (0, PRICE)),
        (fake::unanswered(), "fault payment_unresolved", (0, PRICE)),
        // Without a way to ask, the hold becomes spending.
        (fake::cannot_tell(), "nothing", (PRICE, 0)),
    ] {
        let world = World::with_budget_for(1).await;
        buy(&world, &world.desk(), "a").await;
        world.clock.forward_ms(60_000);
        world.rail.find(finding.clone());
        let desk = world.desk();
        assert_eq!(standing(&desk, "a").await, then, "{finding:?}");
        assert_eq!(world.used().await, used, "{finding:?}");
        assert_eq!(world.rail.signed(), 1);
        // Whoever asked has let go: another may ask at once.
        assert_eq!(
            standing(&world.distant_desk(), "a").await,
            then,
            "{finding:?}"
        );
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_lock_a_call_for_hours() {
    let world = World::with_budget_for(1).await;
    buy(&world, &world.desk(), "a").await;
    world.clock.back_ms(3_600_000);
    assert_eq!(standing(&world.desk(), "a").await, "show credential-0");
}
