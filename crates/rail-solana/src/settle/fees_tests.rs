//! What is reserved, kept and given back, and which limit says no.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn party(payer: u8, payee: u8) -> Party {
    Party {
        payer: SvmAddress([payer; 32]),
        payee: SvmAddress([payee; 32]),
        fee_payer: SvmAddress([0xfe; 32]),
    }
}

fn book(limits: FeeLimits) -> (Arc<FeeBook>, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    (
        FeeBook::new(limits, Arc::clone(&clock) as Arc<dyn Clock>),
        clock,
    )
}

#[test]
fn what_is_kept_counts_and_what_is_dropped_does_not() {
    let limits = FeeLimits {
        per_day_lamports: Some(100),
        ..FeeLimits::default()
    };
    let (book, _) = book(limits);
    let first = book.reserve(party(1, 2), 60).unwrap();
    assert!(book.reserve(party(1, 2), 41).is_err());
    assert!(book.alarm.now().is_some());
    let second = book.reserve(party(3, 4), 40).unwrap();
    assert_eq!(book.alarm.now(), None);
    drop(second);
    first.keep();
    assert_eq!(book.spent_today(SvmAddress([0xfe; 32])), 60);
    assert_eq!(book.spent_today(SvmAddress([1; 32])), 0);
    assert!(book.reserve(party(5, 6), 41).is_err());
}

#[test]
fn payers_and_payees_have_limits_of_their_own() {
    let limits = FeeLimits {
        per_payer_day_lamports: Some(10),
        per_payee_day_lamports: Some(15),
        ..FeeLimits::default()
    };
    let (book, clock) = book(limits);
    book.reserve(party(1, 9), 10).unwrap().keep();
    let payer = book.reserve(party(1, 8), 1).map(drop).unwrap_err();
    assert!(payer.contains("payer"), "{payer}");
    let payee = book.reserve(party(2, 9), 6).map(drop).unwrap_err();
    assert!(payee.contains("payee"), "{payee}");
    book.reserve(party(2, 9), 5).unwrap().keep();
    clock.0.store(DAY_S * 1_000, Ordering::SeqCst);
    book.reserve(party(1, 9), 10).unwrap().keep();
}

#[test]
fn yesterdays_reserve_is_not_given_back_today() {
    let (book, clock) = book(FeeLimits::default());
    let hold = book.reserve(party(1, 2), 60).unwrap();
    clock.0.store(DAY_S * 1_000, Ordering::SeqCst);
    book.reserve(party(1, 2), 5).unwrap().keep();
    drop(hold);
    assert_eq!(book.spent_today(SvmAddress([0xfe; 32])), 5);
}
