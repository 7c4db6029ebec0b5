//! Sums and names as they are written on the command line.

use super::*;

#[test]
fn a_sum_of_satoshis_is_whole_and_says_what_it_is() {
    for text in ["200000sat", "200000 sat"] {
        assert_eq!(text.parse(), Ok(Sats(200_000)), "{text}");
    }
    assert_eq!("18446744073709551615sat".parse(), Ok(Sats(u64::MAX)));
    for text in [
        "200000",
        "sat",
        "",
        "-1sat",
        "1.5sat",
        "1e3sat",
        "200000 msat",
        "2 BTC",
        "18446744073709551616sat",
        "200,000sat",
    ] {
        let refused = text.parse::<Sats>();
        assert!(refused.is_err(), "{text:?}: {refused:?}");
    }
}
