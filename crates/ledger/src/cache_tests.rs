//! What is remembered is bounded, and the newest of its kind.

use farebox_core::ledger::SellerSide;
use farebox_core::payment::State;

use super::*;
use crate::conformance::kit;

fn stored(name: &str, state: State) -> Stored {
    let new = kit::claim(name, 5);
    Stored::of_test(Payment {
        id: new.id,
        role: new.role,
        state,
        terms: new.terms,
        identity: Some(new.identity),
        created_ms: new.now_ms,
        updated_ms: new.now_ms,
        valid_before_s: Some(new.valid_before_s),
        handle: Some(new.handle),
        sent: Vec::new(),
        receipt: None,
        buyer: None,
        seller: Some(SellerSide { ..new.side }),
    })
}

fn id(name: &str) -> PaymentId {
    PaymentId(name.to_owned())
}

#[test]
fn a_payment_that_is_taken_is_remembered_no_more() {
    let mut cache = Cache::default();
    cache.keep(stored("one", State::reserved()));
    assert!(cache.take(&id("one")).is_some());
    assert!(cache.take(&id("one")).is_none());
}

#[test]
fn payments_are_bounded_and_the_latest_stay() {
    let mut cache = Cache::default();
    let all = PAYMENTS_MAX * 3;
    for n in 0..all {
        cache.keep(stored(&n.to_string(), State::reserved()));
        assert!(cache.young.len() + cache.old.len() <= 2 * PAYMENTS_MAX);
    }
    assert!(cache.take(&id("0")).is_none());
    assert!(cache.take(&id(&(all - 1).to_string())).is_some());
}

#[test]
fn an_older_copy_never_comes_back() {
    let mut cache = Cache::default();
    cache.keep(stored("one", State::reserved()));
    // One generation later the first copy is among the old.
    for n in 0..PAYMENTS_MAX {
        cache.keep(stored(&format!("other {n}"), State::reserved()));
    }
    let mut newer = stored("one", State::reserved());
    newer.payment.receipt = Some("newer".to_owned());
    cache.keep(newer);
    let newest = cache.take(&id("one")).expect("the newer");
    assert_eq!(newest.payment.receipt.as_deref(), Some("newer"));
    assert!(cache.take(&id("one")).is_none());
}

#[test]
fn buyers_and_what_is_done_are_not_remembered() {
    let mut cache = Cache::default();
    let mut buyers = stored("bought", State::reserved());
    buyers.payment.role = Role::Buyer;
    cache.keep(buyers);
    assert!(cache.take(&id("bought")).is_none());
    let done = State {
        phase: Phase::Settled,
        delivery: Delivery::Delivered,
        is_final: true,
        ..State::reserved()
    };
    cache.keep(stored("sold", State::reserved()));
    cache.keep(stored("sold", done.clone()));
    assert!(cache.take(&id("sold")).is_none());
    let undelivered = State {
        delivery: Delivery::Undelivered,
        ..done
    };
    cache.keep(stored("owed", undelivered));
    assert!(cache.take(&id("owed")).is_some());
}

#[test]
fn accounts_are_bounded_between_transactions() {
    let mut cache = Cache::default();
    for n in 0..=ACCOUNTS_MAX {
        cache.add(&n.to_string(), "asset", Some((1, 1)));
    }
    assert!(cache.slot("0", "asset").is_some());
    cache.trim();
    assert!(cache.slot("0", "asset").is_none());
}

#[test]
fn a_balance_is_written_once_however_often_it_changes() {
    let mut cache = Cache::default();
    let old = cache.add("old", "asset", Some((7, 100)));
    let new = cache.add("new", "asset", None);
    cache.post(old, 7, 90);
    cache.post(new, 8, 10);
    cache.post(old, 7, 80);
    let unwritten: Vec<_> = cache.unwritten().collect();
    assert_eq!(unwritten, [(7, 80), (8, 10)]);
    cache.all_written();
    assert_eq!(cache.unwritten().count(), 0);
    cache.post(old, 7, 70);
    assert_eq!(cache.unwritten().collect::<Vec<_>>(), [(7, 70)]);
}
