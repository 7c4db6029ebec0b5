//! A rate rounds against us, in both directions, and never wraps.

use farebox_wire::money::{Amount, UsdMicros};
use proptest::prelude::*;

use super::{NoRates, Rate, Rates as _};

/// One bitcoin is 10^11 millisatoshi.
const MSAT: u8 = 11;

fn btc(usd: u128) -> Rate {
    Rate::new(UsdMicros(usd * 1_000_000), 0).unwrap()
}

#[test]
fn a_cost_and_a_price_are_rounded_up() {
    let rate = btc(60_000);
    // 1 sat = 0.0006 USD.
    assert_eq!(
        rate.worth(Amount::from_atomic(1_000), MSAT),
        Some(UsdMicros(600))
    );
    assert_eq!(
        rate.worth(Amount::from_atomic(1), MSAT),
        Some(UsdMicros(1)),
        "a thousandth of a satoshi is not free"
    );
    // 0.001 USD = 1.667 sat.
    assert_eq!(
        rate.amount_for(UsdMicros(1_000), MSAT),
        Some(Amount::from_atomic(1_667))
    );
}

#[test]
fn what_does_not_fit_is_no_number() {
    let rate = btc(60_000);
    assert_eq!(rate.worth(Amount::from_atomic(u128::MAX), MSAT), None);
    assert_eq!(rate.amount_for(UsdMicros(u128::MAX), MSAT), None);
    assert_eq!(rate.worth(Amount::from_atomic(1), 39), None);
    assert_eq!(Rate::new(UsdMicros(0), 0), None);
    assert_eq!(NoRates.rate("BTC/USD").unwrap_err().code, "rate_missing");
}

proptest! {
    #[test]
    fn what_is_asked_for_is_worth_at_least_the_price(
        usd in 0..1_000_000_000_000_u128,
        per_unit in 1..1_000_000_000_000_u128,
    ) {
        let rate = Rate::new(UsdMicros(per_unit), 0).unwrap();
        let amount = rate.amount_for(UsdMicros(usd), MSAT).unwrap();
        let worth = rate.worth(amount, MSAT).unwrap();
        prop_assert!(worth.0 >= usd);
        if let Some(less) = amount.checked_sub(Amount::from_atomic(1)) {
            prop_assert!(less.atomic() * per_unit < usd * 100_000_000_000);
        }
    }
}
