//! When to renew and when to try again.

use proptest::prelude::*;

use super::*;

const DAY_S: u64 = 24 * 3600;
const LIFE: Life = Life {
    not_before_s: 1_000 * DAY_S,
    not_after_s: 1_090 * DAY_S,
};

#[test]
fn without_a_suggestion_a_certificate_is_renewed_at_two_thirds_of_its_life() {
    assert_eq!(renew_at_s(&LIFE, None, 0), 1_060 * DAY_S);
    assert_eq!(renew_at_s(&LIFE, None, u32::MAX), 1_060 * DAY_S);
}

#[test]
fn a_suggested_window_is_kept_and_holders_of_other_certificates_spread_over_it() {
    let window = Window {
        start_s: 1_030 * DAY_S,
        end_s: 1_032 * DAY_S,
    };
    assert_eq!(renew_at_s(&LIFE, Some(window), 0), 1_030 * DAY_S);
    assert_eq!(renew_at_s(&LIFE, Some(window), 1 << 31), 1_031 * DAY_S);
    // In the past: the authority is about to take the certificate back.
    let past = Window {
        start_s: 5,
        end_s: 6,
    };
    assert_eq!(renew_at_s(&LIFE, Some(past), 7), 5);
}

#[test]
fn a_window_that_makes_no_sense_is_passed_over() {
    let window = Window {
        start_s: 1_032 * DAY_S,
        end_s: 1_030 * DAY_S,
    };
    assert_eq!(renew_at_s(&LIFE, Some(window), 9), 1_060 * DAY_S);
}

#[test]
fn failures_are_tried_again_later_and_later_and_never_given_up() {
    let waits: Vec<u64> = (1..=9)
        .map(|failures| retry_after_s(failures, None))
        .collect();
    assert_eq!(
        waits,
        [300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 21_600, 21_600]
    );
    assert_eq!(retry_after_s(u32::MAX, None), 21_600);
    // Let's Encrypt takes five failed proofs an hour.
    let within_an_hour = waits.iter().scan(0, |at, wait| {
        *at += wait;
        Some(*at)
    });
    assert!(within_an_hour.filter(|at| *at < 3_600).count() < 5);
}

#[test]
fn an_authority_that_wants_to_be_left_alone_is_but_not_for_ever() {
    assert_eq!(retry_after_s(1, Some(100_000)), 100_000);
    assert_eq!(retry_after_s(1, Some(1)), 300);
    assert_eq!(retry_after_s(1, Some(u64::MAX)), 7 * DAY_S);
}

#[test]
fn an_authority_that_always_says_now_is_not_asked_for_ever() {
    assert_eq!(rest_s(&LIFE), 3_600);
    let short = Life {
        not_before_s: 100,
        not_after_s: 130,
    };
    assert_eq!(rest_s(&short), 7);
    assert!(short.not_before_s + rest_s(&short) < renew_at_s(&short, None, 0));
}

proptest! {
    #[test]
    fn whatever_is_suggested_it_is_renewed_before_its_end(
        from_s: u64, whole_s in 1_u64..u64::MAX, start_s: u64, end_s: u64, place: u32,
    ) {
        let life = Life { not_before_s: from_s, not_after_s: from_s.saturating_add(whole_s) };
        let window = Window { start_s, end_s };
        for window in [None, Some(window)] {
            prop_assert!(renew_at_s(&life, window, place) <= life.not_after_s);
        }
    }
}
