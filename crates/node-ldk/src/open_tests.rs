//! What is forgotten, and when.

use super::*;

fn hash(number: u8) -> PaymentHash {
    PaymentHash([number; 32])
}

#[test]
fn an_unpaid_invoice_is_forgotten_after_its_time_and_a_paid_one_after_it_cannot_be_paid_again() {
    let mut open = OpenInvoices::default();
    open.insert(hash(1), 5, 1_000, Stage::Open);
    open.insert(hash(2), 5, 1_000, Stage::Open);
    open.insert(hash(3), 5, 1_000, Stage::Hold);
    assert!(open.set(hash(2), Stage::Paid, 6));
    assert!(open.set(hash(3), Stage::Held, 5));
    assert!(!open.set(hash(4), Stage::Paid, 5));
    assert_eq!(open.take_due(1_000 + UNPAID_KEPT_S, 9), []);
    assert_eq!(open.take_due(1_001 + UNPAID_KEPT_S, 9), [hash(1)]);
    assert!(open.get(hash(1)).is_none());
    assert_eq!(open.get(hash(2)).unwrap().amount_msat, 6);
    assert_eq!(open.take_due(1_001 + PAID_KEPT_S, 9), [hash(2)]);
    assert_eq!(open.len(), 1, "what is held stays");
    assert_eq!(open.due.len(), 1);
}

#[test]
fn no_more_are_forgotten_at_once_than_asked_for() {
    let mut open = OpenInvoices::default();
    for number in 0..10 {
        open.insert(hash(number), 5, 1_000, Stage::Open);
    }
    assert_eq!(open.take_due(u64::MAX, 4).len(), 4);
    assert_eq!(open.len(), 6);
    assert_eq!(open.due.len(), 6);
}
