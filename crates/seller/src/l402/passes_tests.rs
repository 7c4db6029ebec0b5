//! A pass is short, and the memory bounded.

use super::*;

fn hash(n: usize) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&n.to_be_bytes());
    hash
}

#[test]
fn a_pass_ends_and_one_from_the_future_is_none() {
    let passes = Passes::default();
    let payment = PaymentId("one".to_owned());
    passes.keep(hash(1), &payment, 10_000);
    let found = passes.find(&hash(1), 10_000).map(|pass| pass.payment);
    assert_eq!(found, Some(payment));
    assert_eq!(passes.find(&hash(1), 10_000 + PASS_MS), None);
    assert_eq!(passes.find(&hash(1), 0), None, "the clock went back");
    assert_eq!(passes.find(&hash(2), 10_000), None);
}

#[test]
fn what_does_not_fit_is_asked_for_again() {
    let passes = Passes::default();
    let payment = PaymentId("one".to_owned());
    for n in 0..=REMEMBERED_MAX {
        passes.keep(hash(n), &payment, 10_000);
    }
    assert_eq!(passes.find(&hash(REMEMBERED_MAX), 10_000), None);
    assert!(passes.find(&hash(0), 10_000).is_some());
    let later = 10_000 + PASS_MS;
    passes.keep(hash(REMEMBERED_MAX), &payment, later);
    assert!(passes.find(&hash(REMEMBERED_MAX), later).is_some());
}

#[test]
fn a_pass_says_whether_a_delivery_was_told() {
    let passes = Passes::default();
    passes.keep(hash(1), &PaymentId("one".to_owned()), 10_000);
    let is_delivered = || passes.find(&hash(1), 10_000).map(|pass| pass.is_delivered);
    assert_eq!(is_delivered(), Some(false));
    passes.is_first_delivery(hash(1));
    assert_eq!(is_delivered(), Some(true));
}

#[test]
fn a_delivery_is_told_once() {
    let passes = Passes::default();
    assert!(passes.is_first_delivery(hash(1)));
    assert!(!passes.is_first_delivery(hash(1)));
    for n in 0..=REMEMBERED_MAX {
        passes.is_first_delivery(hash(n));
    }
    assert!(
        passes.is_first_delivery(hash(1)),
        "forgotten, and told again"
    );
}
