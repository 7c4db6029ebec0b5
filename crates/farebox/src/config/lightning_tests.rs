//! Fees and parts as a person writes them.

use super::*;

#[test]
fn a_fee_is_gas_money_or_satoshis_or_a_part() {
    let fee = |text: &str| text.parse::<MaxFee>();
    assert_eq!(fee("100 gwei"), Ok(MaxFee::Gas(Wei(100_000_000_000))));
    assert_eq!(fee("10 sat"), Ok(MaxFee::Msat(10_000)));
    assert_eq!(fee("0.5 sat"), Ok(MaxFee::Msat(500)));
    assert_eq!(fee("0 sat"), Ok(MaxFee::Msat(0)));
    assert_eq!(fee("1%"), Ok(MaxFee::Part(10_000)));
    assert_eq!(fee("0.25%"), Ok(MaxFee::Part(2_500)));
    for bad in [
        "",
        "10",
        "sat",
        "-1 sat",
        "1.0005 sat",
        "10 sats",
        "%",
        "-1%",
        "101%",
        "1 %",
        "1e1%",
    ] {
        assert!(fee(bad).is_err(), "{bad}");
    }
}
