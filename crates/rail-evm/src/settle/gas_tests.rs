//! Days, parties and reservations.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

const ONE: Party = Party {
    payer: EvmAddress([1; 20]),
    payee: EvmAddress([9; 20]),
};
const TWO: Party = Party {
    payer: EvmAddress([2; 20]),
    payee: EvmAddress([9; 20]),
};

fn book(limits: GasLimits) -> (Arc<GasBook>, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    (GasBook::new(limits, hand.clone()), hand)
}

fn fits(book: &Arc<GasBook>, party: Party, wei: u128) -> bool {
    let (_hold, answers) = book.reserve(&[party], wei);
    answers.iter().all(Result::is_ok)
}

#[test]
fn what_is_reserved_counts_until_it_is_given_back_or_spent() {
    let limits = GasLimits {
        per_day_wei: Some(100),
        ..GasLimits::default()
    };
    let (book, _) = book(limits);
    let (hold, answers) = book.reserve(&[ONE], 80);
    assert!(answers[0].is_ok());
    let refused = book.reserve(&[TWO], 30).1.remove(0).unwrap_err();
    assert!(refused.contains("max_gas_per_day"), "{refused}");
    hold.spend(20);
    assert!(fits(&book, TWO, 80));
    assert!(!fits(&book, TWO, 81));
}

#[test]
fn a_payer_over_its_limit_keeps_no_neighbour_from_settling() {
    let limits = GasLimits {
        per_payer_day_wei: Some(50),
        ..GasLimits::default()
    };
    let (book, _) = book(limits);
    book.reserve(&[ONE], 50).0.spend(50);
    let (_hold, answers) = book.reserve(&[ONE, TWO], 10);
    assert!(answers[0].as_ref().is_err_and(|why| why.contains("payer")));
    assert!(answers[1].is_ok());
}

#[test]
fn a_payees_payments_count_together_whoever_pays() {
    let limits = GasLimits {
        per_payee_day_wei: Some(50),
        ..GasLimits::default()
    };
    let (book, _) = book(limits);
    book.reserve(&[ONE, TWO], 20).0.spend(40);
    assert!(fits(&book, ONE, 10));
    assert!(!fits(&book, ONE, 11));
}

#[test]
fn a_dearer_version_reserves_the_difference_or_nothing() {
    let limits = GasLimits {
        per_day_wei: Some(100),
        ..GasLimits::default()
    };
    let (book, _) = book(limits);
    let (mut hold, _) = book.reserve(&[ONE, TWO], 30);
    assert!(hold.raise(&[ONE, TWO], 51).is_err());
    assert!(hold.raise(&[ONE, TWO], 50).is_ok());
    assert!(!fits(&book, ONE, 1));
    drop(hold);
    assert!(fits(&book, ONE, 100));
}

#[test]
fn the_book_of_a_day_is_closed_at_midnight() {
    let limits = GasLimits {
        per_day_wei: Some(100),
        ..GasLimits::default()
    };
    let (book, hand) = book(limits);
    let (yesterdays, _) = book.reserve(&[ONE], 100);
    hand.0.store(DAY_S * 1000, Ordering::SeqCst);
    assert!(fits(&book, ONE, 100));
    // What it comes to is paid today.
    yesterdays.spend(40);
    assert!(fits(&book, ONE, 60));
    assert!(!fits(&book, ONE, 61));
}

#[test]
fn a_dearer_version_after_midnight_counts_today_and_is_given_back_whole() {
    let limits = GasLimits {
        per_day_wei: Some(100),
        ..GasLimits::default()
    };
    let (book, hand) = book(limits);
    let (mut hold, _) = book.reserve(&[ONE], 40);
    hand.0.store(DAY_S * 1000, Ordering::SeqCst);
    assert!(hold.raise(&[ONE], 101).is_err());
    assert!(hold.raise(&[ONE], 60).is_ok());
    assert!(fits(&book, TWO, 40));
    assert!(!fits(&book, TWO, 41));
    drop(hold);
    assert!(fits(&book, TWO, 100));
}

#[test]
fn only_payments_that_go_on_are_reserved_more_for() {
    let limits = GasLimits {
        per_day_wei: Some(100),
        per_payer_day_wei: Some(50),
        ..GasLimits::default()
    };
    let (book, _) = book(limits);
    let (mut hold, _) = book.reserve(&[ONE, ONE, TWO], 20);
    // One of the first payer's two goes on; both together would pass its limit.
    assert!(hold.raise(&[ONE], 30).is_ok());
    assert!(hold.raise(&[ONE, ONE], 30).is_err());
    assert!(fits(&book, TWO, 30));
    assert!(!fits(&book, TWO, 31));
    assert!(!fits(&book, ONE, 1));
    drop(hold);
    assert!(fits(&book, ONE, 50));
}
