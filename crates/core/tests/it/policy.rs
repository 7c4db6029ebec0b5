//! Budgets: what is allowed, to the last millionth.

use farebox_core::policy::{Denial, Level, Limits, Usage, decide};
use farebox_wire::money::UsdMicros;
use proptest::prelude::*;

fn limits(payment: u128, day: u128, total: u128) -> Limits {
    Limits {
        per_payment: Some(UsdMicros(payment)),
        per_day: Some(UsdMicros(day)),
        total: Some(UsdMicros(total)),
    }
}

fn used(day: u128, total: u128) -> Usage {
    Usage {
        day: UsdMicros(day),
        total: UsdMicros(total),
    }
}

#[test]
fn a_buyer_without_a_budget_spends_nothing() {
    let denial = decide(None, &Limits::default(), &used(0, 0), UsdMicros(1)).unwrap_err();
    assert_eq!(denial.rule(), "no_budget");
    assert!(denial.to_string().contains("farebox budget set"));
}

#[test]
fn the_limit_itself_is_allowed_and_one_more_is_not() {
    assert!(decide(None, &limits(5, 10, 20), &used(5, 15), UsdMicros(5)).is_ok());
    let over = |limits: Limits, usage: Usage, cost| {
        decide(None, &limits, &usage, UsdMicros(cost))
            .unwrap_err()
            .rule()
    };
    assert_eq!(over(limits(5, 10, 20), used(0, 0), 6), "per_payment");
    assert_eq!(over(limits(5, 10, 20), used(6, 6), 5), "per_day");
    assert_eq!(over(limits(5, 10, 20), used(0, 16), 5), "total");
}

#[test]
fn a_refusal_says_whose_limit_how_much_is_left_and_what_to_do() {
    let denial = decide(
        Some("crawler"),
        &limits(1_000_000, 2_000_000, 3_000_000),
        &used(1_500_000, 0),
        UsdMicros(600_000),
    )
    .unwrap_err();
    let Denial::OverLimit {
        level: Level::Day,
        left: UsdMicros(500_000),
        ..
    } = &denial
    else {
        panic!("{denial:?}");
    };
    let text = denial.to_string();
    assert!(
        text.contains("0.6 USD") && text.contains("0.5 USD left"),
        "{text}"
    );
    assert!(
        text.contains("farebox budget set --agent crawler"),
        "{text}"
    );
}

#[test]
fn replacing_one_limit_keeps_the_others() {
    let change = Limits {
        per_day: Some(UsdMicros(7)),
        ..Limits::default()
    };
    assert_eq!(limits(1, 2, 3).replaced_by(change), limits(1, 7, 3));
}

proptest! {
    #[test]
    fn what_is_allowed_never_passes_a_limit(
        limit in any::<u128>(), day in any::<u128>(), total in any::<u128>(), cost in any::<u128>()
    ) {
        if decide(None, &limits(limit, limit, limit), &used(day, total), UsdMicros(cost)).is_ok() {
            prop_assert!(cost <= limit);
            prop_assert!(day.checked_add(cost).is_some_and(|sum| sum <= limit));
            prop_assert!(total.checked_add(cost).is_some_and(|sum| sum <= limit));
        }
    }
}
