//! What a person may write, and what it means.

use std::time::Duration;

use super::{Listen, Timespan, Usd};

#[test]
fn spans_of_time_carry_their_unit() {
    let rows = [
        ("500ms", 500),
        ("60s", 60_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("0s", 0),
    ];
    for (text, ms) in rows {
        assert_eq!(
            text.parse(),
            Ok(Timespan(Duration::from_millis(ms))),
            "{text}"
        );
    }
    for text in [
        "",
        "60",
        "s",
        "-1s",
        "1.5s",
        "1 s",
        "60S",
        "1w",
        "99999999999999999999s",
        "18446744073709551615d",
    ] {
        assert!(text.parse::<Timespan>().is_err(), "{text:?}");
    }
}

#[test]
fn seconds_on_the_wire_are_never_rounded() {
    let seconds = |text: &str| text.parse::<Timespan>().expect("a span").whole_seconds();
    assert_eq!(seconds("2m"), Some(120));
    assert_eq!(seconds("1000ms"), Some(1));
    assert_eq!(seconds("1500ms"), None);
    assert_eq!(seconds("0s"), None);
}

#[test]
fn dollars_are_exact() {
    assert_eq!("0.05 USD".parse::<Usd>().map(|usd| usd.0.0), Ok(50_000));
    assert!("0.0000001 USD".parse::<Usd>().is_err());
    assert!("0.05 EUR".parse::<Usd>().is_err());
}

#[test]
fn an_address_to_listen_on_has_a_port() {
    assert!("127.0.0.1:8402".parse::<Listen>().is_ok());
    assert!("[::1]:0".parse::<Listen>().is_ok());
    for text in ["8402", "127.0.0.1", "localhost:8402", ":8402", ""] {
        assert!(text.parse::<Listen>().is_err(), "{text:?}");
    }
}
