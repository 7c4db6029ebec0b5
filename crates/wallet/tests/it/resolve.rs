//! Asking the rails: the only way out of Unknown (ARCHITECTURE laws 3 and 4).

use farebox_core::ledger::PaymentId;
use farebox_core::payment::{Event, Phase};
use farebox_core::purse::{LEASE_MS, Purse};
use farebox_core::rail::Finding;

use crate::fake::{self, PRICE, World, buy};

fn no_reply() -> Event {
    Event::NoReply {
        reason: "timeout".into(),
    }
}

fn receipt() -> Event {
    Event::Settled {
        transaction: "0xsaid".into(),
        is_final: false,
    }
}

/// One Unknown payment, `after_ms` after it was signed for a minute.
async fn resolved(finding: Finding, after_ms: u64) -> (Phase, (u128, u128)) {
    let world = World::with_budget_for(1).await;
    let desk = world.desk();
    let ticket = buy(&world, &desk, "a").await;
    desk.report(&ticket.payment.id, no_reply(), None)
        .await
        .unwrap();
    world.clock.forward_ms(after_ms);
    world.rail.find(finding);
    let payment = desk.resolve(&ticket.payment.id).await.unwrap();
    (payment.state.phase, world.used().await)
}

#[tokio::test]
async fn an_unknown_payment_becomes_what_the_rail_says() {
    let held = (0, PRICE);
    let spent = (PRICE, 0);
    for (finding, after_ms, phase, used) in [
        (fake::settled(true), 0, Phase::Settled, spent),
        (fake::settled(true), 90_000, Phase::Settled, spent),
        (Finding::NeverWill, 90_000, Phase::Released, (0, 0)),
        (Finding::Open, 0, Phase::Unknown, held),
        (Finding::Open, 90_000, Phase::Unknown, held),
        (fake::unanswered(), 90_000, Phase::Unknown, held),
        (fake::cannot_tell(), 59_000, Phase::Unknown, held),
        (fake::cannot_tell(), 60_000, Phase::Unknown, spent),
    ] {
        let got = resolved(finding.clone(), after_ms).await;
        assert_eq!(got, (phase, used), "{finding:?} after {after_ms} ms");
    }
}

#[tokio::test]
async fn a_hold_that_became_spending_is_given_back_when_the_rail_speaks_at_last() {
    let world = World::with_budget_for(1).await;
    let desk = world.desk();
    let ticket = buy(&world, &desk, "a").await;
    world.clock.forward_ms(60_000);
    world.rail.find(fake::cannot_tell());
    desk.resolve(&ticket.payment.id).await.unwrap();
    assert_eq!(world.used().await, (PRICE, 0));
    world.rail.find(Finding::NeverWill);
    let payment = desk.resolve(&ticket.payment.id).await.unwrap();
    assert_eq!(payment.state.phase, Phase::Released);
    assert_eq!(world.used().await, (0, 0));
}

#[tokio::test]
async fn a_receipt_is_believed_until_the_chain_contradicts_it() {
    let world = World::with_budget_for(2).await;
    let desk = world.desk();
    let honest = buy(&world, &desk, "a").await.payment.id;
    let lied_about = buy(&world, &desk, "b").await.payment.id;
    for id in [&honest, &lied_about] {
        desk.report(id, receipt(), Some("{}".into())).await.unwrap();
    }
    assert_eq!(world.used().await, (2 * PRICE, 0));
    world.clock.forward_ms(90_000);
    world.rail.find(fake::settled(true));
    let payment = desk.resolve(&honest).await.unwrap();
    assert!(payment.state.phase == Phase::Settled && payment.state.is_final);
    assert_eq!(
        payment.state.transaction.as_deref(),
        Some("0xhash"),
        "the chain's, not the seller's"
    );
    world.rail.find(Finding::NeverWill);
    let payment = desk.resolve(&lied_about).await.unwrap();
    assert_eq!(payment.state.phase, Phase::Lost);
    assert_eq!(
        world.used().await,
        (PRICE, 0),
        "what never moved is not spent"
    );
    // Final is final.
    let payment = desk.resolve(&honest).await.unwrap();
    assert_eq!(payment.state.phase, Phase::Settled);
}

#[tokio::test]
async fn resume_all_asks_about_everything_open_and_counts_what_it_learned() {
    let world = World::with_budget_for(4).await;
    let desk = world.desk();
    let said = buy(&world, &desk, "said").await.payment.id;
    desk.report(&said, receipt(), None).await.unwrap();
    let lost = buy(&world, &desk, "lost").await.payment.id;
    desk.report(&lost, no_reply(), None).await.unwrap();
    buy(&world, &desk, "dead").await;
    world.clock.forward_ms(LEASE_MS);
    let busy = buy(&world, &desk, "busy").await.payment.id;

    world.rail.find(Finding::Open);
    let report = world.distant_desk().resolve_all().await.unwrap();
    assert_eq!((report.resolved, report.still_unknown), (0, 3));
    let phases: Vec<_> = report.payments.iter().map(|p| p.state.phase).collect();
    let expected = [Phase::Sent, Phase::Unknown, Phase::Unknown];
    assert_eq!(phases, expected, "newest first; who is at work stays so");

    world.rail.find(fake::settled(true));
    let report = desk.resolve_all().await.unwrap();
    assert_eq!((report.resolved, report.still_unknown), (3, 0));
    assert_eq!(report.payments.len(), 4, "the settled one has become final");
    assert_eq!(world.used().await, (4 * PRICE, 0));
    let payment = desk.payment(&busy).await.unwrap().unwrap();
    assert_eq!(payment.state.transaction.as_deref(), Some("0xhash"));

    let report = desk.resolve_all().await.unwrap();
    assert_eq!((report.resolved, report.payments.len()), (0, 0));
}

#[tokio::test]
async fn after_resume_and_expiry_nothing_stays_reserved() {
    for finding in [Finding::NeverWill, fake::cannot_tell(), fake::settled(true)] {
        let world = World::with_budget_for(8).await;
        for call in 0..8 {
            buy(&world, &world.desk(), &call.to_string()).await;
        }
        world.clock.forward_ms(120_000);
        world.rail.find(finding);
        world.desk().resolve_all().await.unwrap();
        assert_eq!(world.used().await.1, 0);
    }
}

#[tokio::test]
async fn an_unknown_id_is_the_users_mistake() {
    let world = World::without_budget();
    let id = PaymentId("pay_none".into());
    let fault = world.desk().resolve(&id).await.map(|_| ()).unwrap_err();
    assert_eq!(fault.code, "payment_not_found");
}
