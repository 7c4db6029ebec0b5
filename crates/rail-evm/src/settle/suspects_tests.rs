//! Payers whose settlements revert.

use farebox_core::clock::SystemClock;

use super::*;

const PAYER: EvmAddress = EvmAddress([1; 20]);

#[test]
fn after_one_revert_a_payer_is_suspect_and_after_a_few_refused() {
    let suspects = Suspects::new(Arc::new(SystemClock));
    assert!(!suspects.has(PAYER));
    suspects.note(PAYER);
    assert!(suspects.has(PAYER));
    assert!(suspects.refusal(PAYER).is_none());
    for _ in 1..REVERTS_PER_DAY {
        suspects.note(PAYER);
    }
    let refusal = suspects.refusal(PAYER).unwrap();
    assert!(refusal.is_ours, "the credential is not burned");
    assert!(refusal.message.contains("reverted today"));
    assert!(suspects.refusal(EvmAddress([2; 20])).is_none());
}

#[test]
fn the_longest_known_is_forgotten_first() {
    let suspects = Suspects::new(Arc::new(SystemClock));
    let payer = |number: usize| {
        let mut address = EvmAddress::ZERO;
        address.0[..8].copy_from_slice(&number.to_be_bytes());
        address
    };
    for number in 0..=SUSPECTS_MAX {
        suspects.note(payer(number));
    }
    assert!(!suspects.has(payer(0)));
    assert!(suspects.has(payer(1)));
    assert!(suspects.has(payer(SUSPECTS_MAX)));
    assert_eq!(suspects.lock().by_payer.len(), SUSPECTS_MAX);
}
