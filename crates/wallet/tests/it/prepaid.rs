//! Paying before there is a credential: a crash at each boundary, lost answers, twins, budgets.

use std::sync::Arc;

use farebox_core::ledger::Lease;
use farebox_core::ledger::{Actual, Attach, Ledger, NewSpend, PaymentId, Reserved};
use farebox_core::payment::{Event, Phase};
use farebox_core::purse::{LEASE_MS, Purse, Spend};
use farebox_core::rail::{Handle, PayRail};
use farebox_core::token::{TokenNews, TokenState, Tokens};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};
use tokio::task::JoinSet;

use crate::fake;
use crate::node::{FEE, Fate, HELD, Invoice, LIVES_S, Land, PAID, buy, pass, standing, wish};

#[tokio::test]
async fn proof_fee_and_token_are_on_disk_before_the_credential_is_handed_out() {
    let land = Land::with_budget_for(1).await;
    let desk = land.desk();
    let Ok(Spend::Pay(ticket)) = desk.spend(wish(&land, "a", "i1").await).await else {
        panic!("it should pay")
    };
    assert_eq!(ticket.credential.value, "L402 token-i1:00");
    let stored = land.only().await;
    assert_eq!(stored.state.phase, Phase::Settled);
    assert!(stored.state.is_final);
    assert_eq!(stored.state.transaction.as_deref(), Some("hash-i1"));
    assert_eq!(stored.identity.unwrap().as_str(), "l402:i1");
    let side = stored.buyer.unwrap();
    assert!(side.credential.is_none(), "the secret is in one place");
    let actual = Actual {
        fee: Amount::from_atomic(FEE),
        cost: UsdMicros(PAID),
    };
    assert_eq!(side.actual, Some(actual));
    assert_eq!(land.used().await, (PAID, 0));
    let token = land.ledger.token(&ticket.token.unwrap()).await.unwrap();
    let token = token.unwrap();
    assert_eq!(token.state, TokenState::Fresh);
    assert_eq!(token.scope.origin, "http://127.0.0.1:80");
    assert_eq!(token.scope.path, "/a");
    assert_eq!(token.scope.method.as_deref(), Some("GET"));
    assert_eq!(token.credential.value, "L402 token-i1:00");
}

#[tokio::test]
async fn a_payment_that_fails_gives_amount_and_fee_back() {
    let land = Land::with_budget_for(1).await;
    land.node.does(Fate::Fails);
    assert_eq!(
        buy(&land, &land.desk(), "a", "i1").await,
        "fault payment_failed"
    );
    assert_eq!(land.only().await.state.phase, Phase::Rejected);
    assert_eq!(land.used().await, (0, 0));
    // The same invoice may be tried again: nothing has moved.
    land.node.does(Fate::Pays);
    assert_eq!(buy(&land, &land.desk(), "b", "i1").await, "pay");
    assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
}

/// What a process leaves that dies after it has written that it will pay, and before it does.
async fn send_and_die(land: &Land, call: &str, invoice: &str) -> PaymentId {
    let quote = land.node.quote(&fake::offer(invoice, 60)).await.unwrap();
    let reserved = land
        .ledger
        .reserve(NewSpend {
            id: PaymentId(format!("pay_dead-{call}")),
            call: fake::key(call),
            agent: None,
            method: Some("GET".into()),
            url: format!("http://127.0.0.1/{call}"),
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
    let Reserved::First(payment) = reserved else {
        panic!("it should be held")
    };
    let attach = Attach {
        identity: Some(Identity::from_stored(&format!("l402:{invoice}"))),
        handle: Some(Handle::new(invoice.into())),
        valid_before_s: Some(fake::START_MS / 1000 + LIVES_S),
        ..Attach::default()
    };
    let sending = Event::Sending { transaction: None };
    let applied = land
        .ledger
        .apply(&payment.id, sending, attach, fake::START_MS);
    applied.await.unwrap().payment.id
}

#[tokio::test]
async fn who_dies_before_the_node_was_told_is_gone_on_with_on_the_same_invoice() {
    let land = Land::with_budget_for(1).await;
    send_and_die(&land, "a", "i1").await;
    let desk = land.desk();
    assert_eq!(standing(&desk, "a").await, "busy");
    land.clock.forward_ms(LEASE_MS);
    // Asking alone begins nothing.
    let report = land.desk().resolve_all().await.unwrap();
    assert_eq!((report.resolved, report.still_unknown), (0, 1));
    assert_eq!(land.node.told(), 0);
    assert_eq!(standing(&desk, "a").await, "show L402 token-i1:00");
    assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
}

#[tokio::test]
async fn who_dies_before_the_node_was_told_and_is_found_too_late_has_paid_nothing() {
    let land = Land::with_budget_for(1).await;
    send_and_die(&land, "a", "i1").await;
    land.clock.forward_ms(LIVES_S * 1000);
    assert_eq!(standing(&land.desk(), "a").await, "nothing");
    assert_eq!((land.node.told(), land.used().await), (0, (0, 0)));
    assert_eq!(land.only().await.state.phase, Phase::Released);
}

#[tokio::test]
async fn who_dies_while_the_node_pays_leaves_a_payment_that_is_shown_and_not_paid_again() {
    for (end, then, used) in [
        (Invoice::Paid, "show L402 token-i1:00", (PAID, 0)),
        (Invoice::Failed, "nothing", (0, 0)),
    ] {
        let land = Land::with_budget_for(1).await;
        land.node.does(Fate::Hangs);
        let desk = land.desk();
        let request = wish(&land, "a", "i1").await;
        let dying = tokio::spawn(async move { desk.spend(request).await.is_ok() });
        while land.node.told() == 0 {
            tokio::task::yield_now().await;
        }
        dying.abort();
        assert!(dying.await.unwrap_err().is_cancelled());
        assert_eq!(land.only().await.state.phase, Phase::Sent);
        land.node.decides("i1", end);
        land.node.does(Fate::Pays);
        let desk = land.desk();
        assert_eq!(standing(&desk, "a").await, "busy", "it may be alive");
        land.clock.forward_ms(LEASE_MS);
        assert_eq!(standing(&desk, "a").await, then, "{end:?}");
        assert_eq!(land.used().await, used, "{end:?}");
        assert_eq!(land.node.moved(), u64::from(end == Invoice::Paid));
    }
}

#[tokio::test]
async fn who_dies_between_proof_and_showing_leaves_a_token_that_the_next_call_shows() {
    let land = Land::with_budget_for(1).await;
    assert_eq!(buy(&land, &land.desk(), "a", "i1").await, "pay");
    let desk = land.desk();
    assert_eq!(standing(&desk, "a").await, "nothing");
    assert_eq!(pass(&desk, "a", "a").await, "busy", "it may be alive");
    assert_eq!(pass(&desk, "other", "a").await, "nothing");
    land.clock.forward_ms(LEASE_MS);
    assert_eq!(pass(&desk, "a", "a").await, "show L402 token-i1:00");
    assert_eq!(pass(&land.desk(), "a", "a").await, "busy", "one taker");
    assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_fetched_by_the_next_call_or_by_resume() {
    for by_resume in [false, true] {
        let land = Land::with_budget_for(1).await;
        land.node.does(Fate::LosesTheAnswer);
        let desk = land.desk();
        assert_eq!(buy(&land, &desk, "a", "i1").await, "undecided");
        let stored = land.only().await;
        assert_eq!(stored.state.phase, Phase::Unknown);
        assert_eq!(stored.state.reason.as_deref(), Some("connection_lost"));
        assert_eq!(land.used().await, (0, HELD));
        land.node.does(Fate::Pays);
        if by_resume {
            let report = land.desk().resolve_all().await.unwrap();
            assert_eq!((report.resolved, report.still_unknown), (1, 0));
            assert_eq!(standing(&desk, "a").await, "nothing");
            assert_eq!(pass(&desk, "a", "a").await, "show L402 token-i1:00");
        } else {
            assert_eq!(standing(&desk, "a").await, "show L402 token-i1:00");
        }
        assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
    }
}

#[tokio::test]
async fn what_is_on_its_way_stays_held_and_nothing_else_is_bought_for_the_call() {
    let land = Land::with_budget_for(5).await;
    land.node.does(Fate::OnItsWay);
    let desk = land.desk();
    assert_eq!(buy(&land, &desk, "a", "i1").await, "undecided");
    land.node.does(Fate::Pays);
    for _ in 0..3 {
        assert_eq!(standing(&land.desk(), "a").await, "undecided");
        assert_eq!(buy(&land, &desk, "a", "i2").await, "twin");
    }
    // Its invoice is long over, and it is still on its way.
    land.clock.forward_ms(2 * LIVES_S * 1000);
    assert_eq!(standing(&desk, "a").await, "undecided");
    assert_eq!(desk.resolve_all().await.unwrap().still_unknown, 1);
    assert_eq!((land.node.moved(), land.used().await), (0, (0, HELD)));
    land.node.decides("i1", Invoice::Paid);
    assert_eq!(standing(&desk, "a").await, "show L402 token-i1:00");
    assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
}

#[tokio::test]
async fn what_fails_after_all_is_released_and_the_call_may_buy_again() {
    let land = Land::with_budget_for(1).await;
    land.node.does(Fate::OnItsWay);
    let desk = land.desk();
    assert_eq!(buy(&land, &desk, "a", "i1").await, "undecided");
    land.node.decides("i1", Invoice::Failed);
    land.node.does(Fate::Pays);
    assert_eq!(standing(&desk, "a").await, "nothing");
    assert_eq!(land.used().await, (0, 0));
    assert_eq!(buy(&land, &desk, "a", "i2").await, "pay");
    assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
}

#[tokio::test]
async fn without_a_preimage_a_payment_stays_unknown_and_held() {
    let land = Land::with_budget_for(2).await;
    *land.node.keeps_preimages.lock().unwrap() = false;
    let desk = land.desk();
    assert_eq!(buy(&land, &desk, "a", "i1").await, "undecided");
    let reason = land.only().await.state.reason;
    assert_eq!(reason.as_deref(), Some("preimage_unavailable"));
    assert_eq!(standing(&desk, "a").await, "undecided");
    assert_eq!(desk.resolve_all().await.unwrap().still_unknown, 1);
    assert_eq!((land.node.moved(), land.used().await), (1, (0, HELD)));
    *land.node.keeps_preimages.lock().unwrap() = true;
    assert_eq!(desk.resolve_all().await.unwrap().resolved, 1);
    assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
}

#[tokio::test]
async fn a_node_that_is_away_decides_nothing() {
    let land = Land::with_budget_for(2).await;
    land.node.does(Fate::IsAway);
    let desk = land.desk();
    assert_eq!(buy(&land, &desk, "a", "i1").await, "undecided");
    land.clock.forward_ms(2 * LIVES_S * 1000);
    assert_eq!(standing(&desk, "a").await, "undecided");
    assert_eq!(land.used().await, (0, HELD));
    land.node.does(Fate::Pays);
    assert_eq!(standing(&desk, "a").await, "nothing", "it was never begun");
    assert_eq!(land.used().await, (0, 0));
}

#[tokio::test]
async fn where_nobody_can_be_asked_a_hold_becomes_spending_when_it_is_too_late() {
    let land = Land::with_budget_for(2).await;
    land.node.does(Fate::OnItsWay);
    *land.node.is_known.lock().unwrap() = false;
    let desk = land.desk();
    assert_eq!(buy(&land, &desk, "a", "i1").await, "undecided");
    assert_eq!(standing(&desk, "a").await, "undecided");
    land.clock.forward_ms(LIVES_S * 1000);
    assert_eq!(standing(&desk, "a").await, "nothing");
    assert_eq!(land.used().await, (HELD, 0));
    // Somebody knows after all: the fee was less.
    *land.node.is_known.lock().unwrap() = true;
    land.node.decides("i1", Invoice::Paid);
    assert_eq!(desk.resolve_all().await.unwrap().resolved, 1);
    assert_eq!(land.used().await, (PAID, 0));
}

#[tokio::test]
async fn one_invoice_is_paid_for_one_call() {
    let land = Land::with_budget_for(5).await;
    let desk = land.desk();
    assert_eq!(buy(&land, &desk, "a", "i1").await, "pay");
    let spend = desk.spend(wish(&land, "b", "i1").await).await;
    let Ok(Spend::Taken(other)) = spend else {
        panic!("{}", fake::name(&spend))
    };
    assert_eq!(other.state.phase, Phase::Settled);
    assert_eq!((land.node.moved(), land.used().await), (1, (PAID, 0)));
    assert_eq!(buy(&land, &desk, "b", "i2").await, "pay");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_identical_calls_at_once_one_pays() {
    let land = Arc::new(Land::with_budget_for(20).await);
    let mut tasks = JoinSet::new();
    for turn in 0..20 {
        let land = Arc::clone(&land);
        tasks.spawn(async move {
            let desk = land.desk();
            // Every one of them was offered an invoice of its own.
            buy(&land, &desk, "a", &format!("i{turn}")).await
        });
    }
    let names = tasks.join_all().await;
    let paid = names.iter().filter(|name| *name == "pay").count();
    // Who came after it was settled bought its own; nobody paid while another did.
    assert!(names.iter().all(|name| name == "pay" || name == "twin"));
    assert!(paid >= 1);
    assert_eq!(land.node.moved(), u64::try_from(paid).unwrap());
    assert_eq!(land.used().await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_for_seven_pays_seven_of_a_hundred_calls_at_once() {
    let land = Arc::new(Land::with_budget_for(7).await);
    // Undecided, so that nothing of the fees comes back: held money counts.
    land.node.does(Fate::OnItsWay);
    let desk = land.desk();
    let mut tasks = JoinSet::new();
    for call in 0..100 {
        let (land, desk) = (Arc::clone(&land), Arc::clone(&desk));
        tasks.spawn(async move {
            let name = call.to_string();
            buy(&land, &desk, &name, &format!("i{name}")).await
        });
    }
    let names = tasks.join_all().await;
    let count = |word: &str| names.iter().filter(|name| *name == word).count();
    assert_eq!((count("undecided"), count("denied total")), (7, 93));
    assert_eq!(land.node.told(), 7);
    assert_eq!(land.used().await, (0, 7 * HELD));
}

#[tokio::test]
async fn signs_of_life_are_given_while_the_node_pays() {
    let land = Land::with_budget_for(1).await;
    land.node.does(Fate::Hangs);
    let desk = land.desk();
    let request = wish(&land, "a", "i1").await;
    let paying = tokio::spawn(async move { fake::name(&desk.spend(request).await) });
    while land.node.told() == 0 {
        tokio::task::yield_now().await;
    }
    let lease_end = async || land.only().await.buyer.unwrap().lease.until_ms;
    let first = lease_end().await;
    land.clock.forward_ms(LEASE_MS - 1);
    while lease_end().await == first {
        tokio::task::yield_now().await;
    }
    land.clock.forward_ms(LEASE_MS - 1);
    assert_eq!(standing(&land.desk(), "a").await, "busy");
    paying.abort();
}

#[tokio::test]
async fn what_is_left_of_a_token_lets_others_in_and_a_refused_one_is_tried_once_more() {
    let land = Land::with_budget_for(1).await;
    let desk = land.desk();
    let Ok(Spend::Pay(ticket)) = desk.spend(wish(&land, "a", "i1").await).await else {
        panic!("it should pay")
    };
    let id = ticket.token.unwrap();
    let show = "show L402 token-i1:00";
    // No answer came: it is still fresh, and free for whoever comes.
    desk.shown(&id, None).await.unwrap();
    assert_eq!(pass(&land.desk(), "b", "a").await, show);
    desk.shown(&id, Some(TokenNews::Served)).await.unwrap();
    for call in ["a", "b", "c"] {
        assert_eq!(pass(&land.desk(), call, "a").await, show);
        assert_eq!(pass(&land.desk(), call, "elsewhere").await, "nothing");
    }
    desk.shown(&id, Some(TokenNews::NotTaken)).await.unwrap();
    assert_eq!(pass(&desk, "a", "a").await, show, "once more");
    desk.shown(&id, Some(TokenNews::AskedAgain)).await.unwrap();
    assert_eq!(pass(&desk, "a", "a").await, "nothing");
}

#[tokio::test]
async fn a_token_that_has_ended_and_one_of_another_agent_let_nobody_in() {
    let land = Land::with_budget_for(1).await;
    let desk = land.desk();
    assert_eq!(buy(&land, &desk, "a", "i1").await, "pay");
    let mut token = land.ledger.tokens(None).await.unwrap().remove(0);
    land.ledger.remove_token(&token.id).await.unwrap();
    token.payment = None;
    token.expires_s = Some(fake::START_MS / 1000 + 10);
    land.ledger.keep_token(token.clone()).await.unwrap();
    assert_eq!(pass(&desk, "a", "a").await, "show L402 token-i1:00");
    land.clock.forward_ms(10_000);
    assert_eq!(pass(&desk, "a", "a").await, "nothing");
    land.ledger.remove_token(&token.id).await.unwrap();
    token.expires_s = None;
    token.agent = Some("bot".into());
    land.ledger.keep_token(token).await.unwrap();
    assert_eq!(pass(&desk, "a", "a").await, "nothing");
}

#[tokio::test]
async fn whether_it_is_covered_is_told_by_the_node_and_remembered_for_seconds() {
    use std::sync::atomic::Ordering::SeqCst;
    let land = Land::with_budget_for(1).await;
    let desk = land.desk();
    let quote = wish(&land, "a", "i1").await.quote;
    let covers = async || desk.covers(&[&quote.terms]).await;
    assert_eq!(covers().await, [None]);
    for (balance, then) in [(HELD - 1, false), (HELD, true)] {
        *land.node.balance.lock().unwrap() = Some(balance);
        land.clock.forward_ms(10_000);
        assert_eq!(covers().await, [Some(then)], "{balance}");
    }
    assert_eq!(land.node.asked_for_balance.load(SeqCst), 3);
    assert_eq!(covers().await, [Some(true)]);
    assert_eq!(land.node.asked_for_balance.load(SeqCst), 3);
}
