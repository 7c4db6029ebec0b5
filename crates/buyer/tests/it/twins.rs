//! The same call more than once: in turn, at once, and after somebody died (ARCHITECTURE law 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use farebox_core::ledger::{Filter, Ledger};
use farebox_core::payment::Phase;
use farebox_core::purse::LEASE_MS;
use farebox_core::rail::Finding;
use farebox_ledger::SqliteLedger;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::purse::{Customer, code, exit, get, unknown};
use crate::sellers::{PRICE, Seller, answer, asks, receipt, sold};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_identical_calls_at_once_buy_one_after_the_other() {
    let customer = Arc::new(Customer::with_budget_for(20).await);
    let at_once = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&at_once);
    let seller = Seller::with(move |seen| {
        let counter = Arc::clone(&counter);
        async move {
            if seen.credential.is_none() {
                return asks();
            }
            let others = counter.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            counter.fetch_sub(1, Ordering::SeqCst);
            match others {
                0 => sold(&seen),
                _ => answer(500, None, "two at once"),
            }
        }
    })
    .await;
    let url = seller.url("/x");
    let shared = Arc::new(customer.buyer());
    let mut tasks = JoinSet::new();
    for turn in 0..20 {
        let (customer, shared, url) = (Arc::clone(&customer), Arc::clone(&shared), url.clone());
        tasks.spawn(async move {
            let result = match turn % 2 {
                0 => shared.fetch(get(&url)).await,
                _ => customer.fetch(get(&url)).await,
            };
            exit(&result)
        });
    }
    assert_eq!(tasks.join_all().await, [0; 20]);
    let mut shown = seller.shown();
    shown.sort();
    shown.dedup();
    assert_eq!(shown.len(), 20, "each bought its own");
    assert_eq!(customer.used().await, (20 * PRICE, 0));
}

#[tokio::test]
async fn after_no_reply_the_next_identical_call_shows_the_same_credential() {
    let customer = Customer::with_budget_for(5).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let seller = Seller::answering(move |seen| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => answer(500, None, "oops"),
        1 => answer(503, None, "oops again"),
        _ => sold(&seen),
    })
    .await;
    let exits = [5, 5, 0];
    for expected in exits {
        assert_eq!(
            exit(&customer.fetch(get(&seller.url("/x"))).await),
            expected
        );
    }
    assert_eq!(seller.shown(), ["credential-0"; 3]);
    assert_eq!(seller.seen().len(), 4, "the challenge is asked for once");
    assert_eq!(customer.only().await, (Phase::Settled, None));
    assert_eq!(customer.used().await, (PRICE, 0));
}

#[tokio::test]
async fn new_signs_afresh_although_the_call_is_open() {
    let customer = Customer::with_budget_for(2).await;
    let seller = Seller::answering(|seen| match seen.credential.as_deref() {
        Some("credential-0") => answer(500, None, ""),
        _ => sold(&seen),
    })
    .await;
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 5);
    let mut fresh = get(&seller.url("/x"));
    fresh.fresh = true;
    assert_eq!(exit(&customer.fetch(fresh).await), 0);
    assert_eq!(seller.shown(), ["credential-0", "credential-1"]);
    assert_eq!(customer.used().await, (PRICE, PRICE));
}

#[tokio::test]
async fn a_call_that_is_dropped_midway_is_gone_on_with_by_its_twin() {
    let customer = Customer::with_budget_for(1).await;
    let arrived = Arc::new(Notify::new());
    let bell = Arc::clone(&arrived);
    let tries = Arc::new(AtomicUsize::new(0));
    let seller = Seller::with(move |seen| {
        let (bell, tries) = (Arc::clone(&bell), Arc::clone(&tries));
        async move {
            if seen.credential.is_none() {
                return asks();
            }
            if tries.fetch_add(1, Ordering::SeqCst) == 0 {
                bell.notify_one();
                return std::future::pending().await;
            }
            sold(&seen)
        }
    })
    .await;
    let buyer = customer.buyer();
    tokio::select! {
        _ = buyer.fetch(get(&seller.url("/x"))) => panic!("nobody answers"),
        () = arrived.notified() => {}
    }
    assert_eq!(customer.only().await.0, Phase::Sent);
    customer.clock.forward_ms(LEASE_MS);
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
    assert_eq!(seller.shown(), ["credential-0"; 2]);
    assert_eq!(customer.used().await, (PRICE, 0));
}

#[tokio::test]
async fn a_slow_seller_is_waited_for_with_signs_of_life() {
    let customer = Customer::with_budget_for(1).await;
    let ledger = Arc::clone(&customer.ledger);
    let seller = Seller::with(move |seen| {
        let ledger = Arc::clone(&ledger);
        async move {
            if seen.credential.is_none() {
                return asks();
            }
            // Serves once the lease that it finds has been renewed.
            let found = lease_end(&ledger).await;
            while lease_end(&ledger).await == found {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            sold(&seen)
        }
    })
    .await;
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
}

async fn lease_end(ledger: &SqliteLedger) -> u64 {
    let payments = ledger.list(Filter::default()).await.unwrap();
    payments[0].buyer.as_ref().unwrap().lease.until_ms
}

#[tokio::test]
async fn a_twin_that_waits_in_vain_exits_6_and_signs_nothing() {
    let customer = Customer::with_budget_for(5).await;
    let arrived = Arc::new(Notify::new());
    let bell = Arc::clone(&arrived);
    let seller = Seller::with(move |seen| {
        let bell = Arc::clone(&bell);
        async move {
            if seen.credential.is_none() {
                return asks();
            }
            bell.notify_one();
            std::future::pending().await
        }
    })
    .await;
    let first = customer.buyer();
    let url = seller.url("/x");
    let first = tokio::spawn(async move { first.fetch(get(&url)).await.map(|_| ()) });
    arrived.notified().await;
    let mut twin = get(&seller.url("/x"));
    twin.max_time = Duration::from_millis(200);
    let result = customer.fetch(twin).await;
    assert_eq!((exit(&result), code(&result)), (6, "twin_busy"));
    let error = result.err().unwrap();
    assert_eq!(error.payment.unwrap().state.phase, Phase::Sent);
    assert_eq!(customer.signed(), 1);
    first.abort();
}

#[tokio::test]
async fn an_earlier_request_in_flight_is_waited_for_with_the_same_credential() {
    let customer = Customer::with_budget_for(1).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let seller = Seller::answering(move |seen| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => answer(500, None, ""),
        1 | 2 => {
            let mut busy = answer(409, None, "in flight");
            let again = "0".parse().unwrap();
            busy.headers_mut().insert("retry-after", again);
            busy
        }
        _ => sold(&seen),
    })
    .await;
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 5);
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
    assert_eq!(seller.shown(), ["credential-0"; 4]);
}

#[tokio::test]
async fn what_was_served_before_comes_back_as_paid_with_its_first_receipt() {
    let customer = Customer::with_budget_for(1).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let seller = Seller::answering(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => answer(200, None, "served, receipt lost"),
        _ => {
            let mut repeat = answer(409, Some(&receipt()), "already served");
            repeat
                .headers_mut()
                .insert("retry-after", "1".parse().unwrap());
            repeat
        }
    })
    .await;
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
    assert_eq!(customer.only().await, unknown("no_receipt"));
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 7);
    assert_eq!(customer.only().await, (Phase::Settled, None));
    assert_eq!(customer.used().await, (PRICE, 0));
}

#[tokio::test]
async fn after_expiry_the_chain_decides_whether_the_next_call_buys_again() {
    for (finding, exit_code, signed, used) in [
        (Finding::NeverWill, 0, 2, (PRICE, 0)),
        (settled(), 0, 2, (2 * PRICE, 0)),
        (Finding::Open, 6, 1, (0, PRICE)),
        // A node that does not answer is no reason to pay a second time.
        (unanswered(), 6, 1, (0, PRICE)),
    ] {
        let customer = Customer::with_budget_for(2).await;
        let seller = Seller::answering(|seen| match seen.credential.as_deref() {
            Some("credential-0") => answer(500, None, ""),
            _ => sold(&seen),
        })
        .await;
        assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 5);
        customer.clock.forward_ms(61_000);
        customer.find(finding.clone());
        let result = customer.fetch(get(&seller.url("/x"))).await;
        assert_eq!(exit(&result), exit_code, "{finding:?}");
        assert_eq!(customer.signed(), signed, "{finding:?}");
        assert_eq!(customer.used().await, used, "{finding:?}");
    }
}

fn settled() -> Finding {
    Finding::Settled {
        transaction: "0xabc".into(),
        is_final: true,
    }
}

fn unanswered() -> Finding {
    Finding::Unanswered {
        why: "connection refused".into(),
    }
}

#[tokio::test]
async fn a_time_to_wait_that_no_clock_can_count_is_for_ever() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::honest().await;
    let mut call = get(&seller.url("/x"));
    call.max_time = Duration::MAX;
    assert_eq!(exit(&customer.fetch(call).await), 0);
}
