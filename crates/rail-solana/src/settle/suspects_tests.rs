//! How often one payer's failures are paid for.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

const PAYER: SvmAddress = SvmAddress([1; 32]);
const OTHER: SvmAddress = SvmAddress([2; 32]);

#[test]
fn the_third_failure_of_a_day_is_the_last_that_is_paid_for() {
    let clock = Arc::new(Hand::default());
    let suspects = Suspects::new(Arc::clone(&clock) as Arc<dyn Clock>);
    for _ in 0..FAILURES_PER_DAY {
        assert_eq!(suspects.refusal(PAYER), None);
        suspects.note(PAYER);
    }
    assert!(
        suspects
            .refusal(PAYER)
            .is_some_and(|refusal| refusal.is_ours)
    );
    assert_eq!(suspects.refusal(OTHER), None);
    clock.0.store(DAY_S * 1_000, Ordering::SeqCst);
    assert_eq!(suspects.refusal(PAYER), None, "another day");
    suspects.note(PAYER);
    assert_eq!(suspects.refusal(PAYER), None, "and another count");
}

#[test]
fn no_more_are_remembered_than_there_is_room_for() {
    let suspects = Suspects::new(Arc::new(Hand::default()));
    for _ in 0..FAILURES_PER_DAY {
        suspects.note(PAYER);
    }
    for number in 0..u32::try_from(SUSPECTS_MAX).unwrap() {
        let mut address = [3; 32];
        address[..4].copy_from_slice(&number.to_le_bytes());
        suspects.note(SvmAddress(address));
    }
    assert_eq!(
        suspects.refusal(PAYER),
        None,
        "the longest known is forgotten"
    );
    assert_eq!(suspects.lock().by_payer.len(), SUSPECTS_MAX);
}
