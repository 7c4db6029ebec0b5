//! What a bucket lets through, with a clock that the test winds.

use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_763_640_000_000;
const COSTS: [Cost; 3] = [Cost::BadSignature, Cost::FirstSight, Cost::Simulation];

fn buckets() -> Buckets<u32> {
    Buckets::new(BucketLimits::default())
}

/// Tries once and is charged: what a client with bad credentials does.
fn attempt(buckets: &Buckets<u32>, key: u32, cost: Cost, now_ms: u64) -> bool {
    let may = buckets.may(&key, cost, now_ms).is_ok();
    if may {
        buckets.charge(&key, cost, now_ms);
    }
    may
}

fn rate(cost: Cost) -> u64 {
    let limits = BucketLimits::default();
    u64::from(match cost {
        Cost::BadSignature => limits.bad_signatures_per_s,
        Cost::FirstSight => limits.first_sight_per_s,
        Cost::Simulation => limits.simulations_per_s,
    })
}

#[test]
fn a_burst_of_one_second_is_free_and_the_next_waits() {
    for cost in COSTS {
        let buckets = buckets();
        for _ in 0..rate(cost) {
            assert!(attempt(&buckets, 1, cost, NOW_MS), "{cost:?}");
        }
        assert_eq!(buckets.may(&1, cost, NOW_MS), Err(RetryAfterS(1)));
        assert_eq!(buckets.may(&1, cost, NOW_MS + 1_000), Ok(()));
    }
}

#[test]
fn looking_costs_nothing() {
    let buckets = buckets();
    for _ in 0..1_000 {
        assert_eq!(buckets.may(&1, Cost::Simulation, NOW_MS), Ok(()));
    }
}

#[test]
fn neighbours_and_other_costs_are_unharmed() {
    let buckets = buckets();
    for _ in 0..1_000 {
        buckets.charge(&1, Cost::BadSignature, NOW_MS);
    }
    assert!(buckets.may(&1, Cost::BadSignature, NOW_MS).is_err());
    assert_eq!(buckets.may(&2, Cost::BadSignature, NOW_MS), Ok(()));
    assert_eq!(buckets.may(&1, Cost::FirstSight, NOW_MS), Ok(()));
}

#[test]
fn a_parallel_burst_waits_for_all_of_it_but_never_longer_than_the_longest_debt() {
    let buckets = buckets();
    for _ in 0..10 {
        buckets.charge(&1, Cost::Simulation, NOW_MS);
    }
    assert_eq!(
        buckets.may(&1, Cost::Simulation, NOW_MS),
        Err(RetryAfterS(10))
    );
    for _ in 0..10_000 {
        buckets.charge(&1, Cost::Simulation, NOW_MS);
    }
    assert_eq!(
        buckets.may(&1, Cost::Simulation, NOW_MS),
        Err(RetryAfterS(DEBT_MAX_S))
    );
    let after_ms = NOW_MS + DEBT_MAX_S * 1_000;
    assert_eq!(buckets.may(&1, Cost::Simulation, after_ms), Ok(()));
}

#[test]
fn a_limit_of_zero_lets_nothing_through() {
    let limits = BucketLimits {
        simulations_per_s: 0,
        ..BucketLimits::default()
    };
    let buckets = Buckets::new(limits);
    let refused = buckets.may(&1, Cost::Simulation, NOW_MS);
    assert_eq!(refused, Err(RetryAfterS(DEBT_MAX_S)));
    assert_eq!(buckets.may(&1, Cost::BadSignature, NOW_MS), Ok(()));
}

#[test]
fn a_clock_that_goes_back_locks_nobody_out() {
    let buckets = buckets();
    for _ in 0..100 {
        buckets.charge(&1, Cost::Simulation, NOW_MS);
    }
    let earlier_ms = NOW_MS - 3_600_000;
    assert_eq!(buckets.may(&1, Cost::Simulation, earlier_ms), Ok(()));
}

#[test]
fn newcomers_beyond_the_last_place_share_one_bucket_until_debts_are_paid() {
    let buckets = buckets();
    let places = u32::try_from(KEYS_MAX).unwrap();
    for key in 0..places {
        buckets.charge(&key, Cost::Simulation, NOW_MS);
    }
    assert!(attempt(&buckets, places, Cost::Simulation, NOW_MS));
    assert!(!attempt(&buckets, places + 1, Cost::Simulation, NOW_MS));
    assert_eq!(buckets.lock().keys.len(), KEYS_MAX);
    // A second later all debts are paid: places are free again, and everybody has their own.
    let later_ms = NOW_MS + 1_000;
    assert!(attempt(&buckets, places, Cost::Simulation, later_ms));
    assert!(attempt(&buckets, places + 1, Cost::Simulation, later_ms));
    assert_eq!(buckets.lock().keys.len(), 2);
}

proptest! {
    /// In no stretch of time does more get through than the rate and one burst.
    #[test]
    fn no_stretch_lets_more_through_than_the_rate_and_one_burst(
        steps in prop::collection::vec((0_usize..3, 0_u32..3, 0_u64..400), 1..400),
    ) {
        let buckets = buckets();
        let mut now_ms = NOW_MS;
        let mut through: HashMap<(u32, Cost), Vec<u64>> = HashMap::new();
        for (cost, key, pause_ms) in steps {
            now_ms += pause_ms;
            if attempt(&buckets, key, COSTS[cost], now_ms) {
                through.entry((key, COSTS[cost])).or_default().push(now_ms);
            }
        }
        for ((_, cost), times) in through {
            for (first, start_ms) in times.iter().enumerate() {
                for (last, end_ms) in times.iter().enumerate().skip(first) {
                    let count = u64::try_from(last - first + 1).unwrap();
                    let free = rate(cost) * (1_000 + end_ms - start_ms);
                    prop_assert!(count * 1_000 <= free, "{count} in {} ms", end_ms - start_ms);
                }
            }
        }
    }

    /// Whoever waits as told gets through, and nobody is told to wait for nothing.
    #[test]
    fn whoever_waits_as_long_as_told_gets_through(
        charges in 0_u64..200,
        cost in 0_usize..3,
    ) {
        let buckets = buckets();
        for _ in 0..charges {
            buckets.charge(&1, COSTS[cost], NOW_MS);
        }
        match buckets.may(&1, COSTS[cost], NOW_MS) {
            Ok(()) => prop_assert!(charges < rate(COSTS[cost])),
            Err(RetryAfterS(seconds)) => {
                prop_assert!(charges >= rate(COSTS[cost]));
                prop_assert!((1..=DEBT_MAX_S).contains(&seconds));
                let later_ms = NOW_MS + seconds * 1_000;
                prop_assert_eq!(buckets.may(&1, COSTS[cost], later_ms), Ok(()));
            }
        }
    }
}
