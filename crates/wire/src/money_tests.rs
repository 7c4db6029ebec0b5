//! Rules of amounts, dollars and rates: canonical, checked, rounded against the spender.

use super::*;

#[test]
fn an_amount_is_canonical_digits_and_nothing_else() {
    use ParseAmountError::{Empty, LeadingZero, NotDigits, TooLarge};
    let too_many_digits = "9".repeat(40);
    let megabyte = "1".repeat(1_000_000);
    for (text, why) in [
        ("", Empty),
        (" ", NotDigits),
        (" 1", NotDigits),
        ("1 ", NotDigits),
        ("1\n", NotDigits),
        ("-1", NotDigits),
        ("+1", NotDigits),
        ("1e3", NotDigits),
        ("1.0", NotDigits),
        ("1_000", NotDigits),
        ("1,000", NotDigits),
        ("0x10", NotDigits),
        ("\u{0661}", NotDigits),
        ("007", LeadingZero),
        ("00", LeadingZero),
        ("340282366920938463463374607431768211456", TooLarge),
        (&too_many_digits, TooLarge),
        (&megabyte, TooLarge),
    ] {
        assert_eq!(Amount::parse(text), Err(why), "{:.20}", text);
    }
    assert_eq!(Amount::parse("0"), Ok(Amount::ZERO));
    assert_eq!(
        Amount::parse("340282366920938463463374607431768211455"),
        Ok(Amount::from_atomic(u128::MAX))
    );
}

#[test]
fn an_amount_in_json_is_a_string() {
    for json in ["1000", "1000.0", "null", "true", "[\"1\"]", "\"1e3\""] {
        assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
    }
    let amount: Amount = serde_json::from_str("\"1000\"").expect("a string of digits");
    assert_eq!(amount, Amount::from_atomic(1000));
}

#[test]
fn dollars_are_read_in_three_spellings_only() {
    for text in ["0.05 USD", "0.05", "$0.05"] {
        assert_eq!(UsdMicros::parse(text), Ok(UsdMicros(50_000)));
    }
    for text in [
        "",
        " ",
        "$",
        " USD",
        "USD",
        "-1",
        "+1",
        "1e3",
        ".5",
        "5.",
        "1.2.3",
        "01",
        "$0.05 USD",
        "0.05USD",
        "0.05  USD",
        "0.05 USD ",
        "1,5",
        "$-1",
        "0.05 EUR",
        "0.05 usd",
        "\u{0661}",
    ] {
        assert!(UsdMicros::parse(text).is_err(), "{text:?}");
    }
    assert!(matches!(
        UsdMicros::parse("0.05 EUR"),
        Err(ParseUsdError::Currency(_))
    ));
    assert!(matches!(
        UsdMicros::parse("0.0000001 USD"),
        Err(ParseUsdError::Range(_))
    ));
    assert!(matches!(
        UsdMicros::parse("340282366920938463463374607431768.211456"),
        Err(ParseUsdError::Range(_))
    ));
}

#[test]
fn dollars_in_json_are_a_decimal_string() {
    let json = serde_json::to_string(&UsdMicros(50_000)).expect("it is a string");
    assert_eq!(json, "\"0.05\"");
    assert!(serde_json::from_str::<UsdMicros>("0.05").is_err());
    assert!(serde_json::from_str::<UsdMicros>("5").is_err());
}

#[test]
fn decimals_are_exact_or_refused() {
    assert_eq!(parse_decimal("12.5", 6), Ok(12_500_000));
    assert_eq!(parse_decimal("0.000001", 6), Ok(1));
    assert_eq!(parse_decimal("0.0000001", 6), Err(DecimalError::Range));
    assert_eq!(parse_decimal("1.0", 0), Err(DecimalError::Range));
    assert_eq!(parse_decimal("1", 255), Err(DecimalError::Range));
    assert_eq!(parse_decimal("00.5", 6), Err(DecimalError::Form));
    assert_eq!(parse_decimal(".5", 6), Err(DecimalError::Form));
    assert_eq!(parse_decimal("5.", 6), Err(DecimalError::Form));
}

#[test]
fn a_rate_rounds_against_the_spender() {
    let bitcoin = UsdRate {
        usd_per_unit: UsdMicros(60_000_000_001),
        decimals: 8,
    };
    // One satoshi is 600.00000001 millionths of a dollar.
    assert_eq!(bitcoin.usd_of(Amount::from_atomic(1)), Some(UsdMicros(601)));
    // A price of one millionth needs a whole satoshi.
    assert_eq!(
        bitcoin.amount_for(UsdMicros(1)),
        Some(Amount::from_atomic(1))
    );
}

#[test]
fn a_rate_of_zero_prices_nothing() {
    let worthless = UsdRate {
        usd_per_unit: UsdMicros(0),
        decimals: 6,
    };
    assert_eq!(worthless.usd_of(Amount::from_atomic(u128::MAX)), None);
    assert_eq!(worthless.amount_for(UsdMicros(1)), None);
}

#[test]
fn more_decimals_than_a_power_of_ten_holds_are_refused() {
    let rate = UsdRate {
        usd_per_unit: UsdMicros(1),
        decimals: DECIMALS_MAX + 1,
    };
    assert_eq!(rate.usd_of(Amount::from_atomic(1)), None);
    assert_eq!(rate.amount_for(UsdMicros(1)), None);
}

#[test]
fn decimal_texts_drop_trailing_zeros_only() {
    assert_eq!(Amount::from_atomic(1_000).to_decimal_string(6), "0.001");
    assert_eq!(Amount::from_atomic(1_000_000).to_decimal_string(6), "1");
    assert_eq!(Amount::from_atomic(100).to_decimal_string(0), "100");
    assert_eq!(Amount::ZERO.to_decimal_string(18), "0");
}
