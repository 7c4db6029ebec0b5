//! Amounts, dollars, decimals and rates: a text is read one way or refused, and nothing overflows.
#![no_main]

use farebox_wire::money::{Amount, UsdMicros, UsdRate, parse_decimal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, u8, u128, u128)| {
    let (text, decimals, price, atomic) = input;
    if let Ok(amount) = Amount::parse(text) {
        assert_eq!(amount.to_string(), text);
    }
    if let Ok(usd) = UsdMicros::parse(text) {
        assert_eq!(UsdMicros::parse(&usd.to_string()), Ok(usd));
    }
    if let Ok(read) = parse_decimal(text, decimals) {
        let written = Amount::from_atomic(read).to_decimal_string(decimals);
        if decimals <= farebox_wire::money::DECIMALS_MAX {
            assert_eq!(parse_decimal(&written, decimals), Ok(read));
        }
    }
    let rate = UsdRate {
        usd_per_unit: UsdMicros(price),
        decimals,
    };
    if let Some(amount) = rate.amount_for(UsdMicros(atomic)) {
        // A price is never cut.
        assert!(rate.usd_of(amount).is_none_or(|usd| usd.0 >= atomic));
    }
    if let Some(usd) = rate.usd_of(Amount::from_atomic(atomic)) {
        assert!(atomic == 0 || usd.0 > 0);
    }
});
