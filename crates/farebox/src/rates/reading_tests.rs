//! Prices and what is none.

use super::*;

#[test]
fn a_price_is_read_from_its_digits_wherever_it_stands() {
    for (body, pointer, micros) in [
        (r#"{"price":60000}"#, "/price", 60_000_000_000),
        (r#"{"price":"60000.5"}"#, "/price", 60_000_500_000),
        (
            r#"{"data":[{"last":"0.1"},{"last":61234.987654321}]}"#,
            "/data/1/last",
            61_234_987_654,
        ),
        (r#"{"a/b":{"~":1}}"#, "/a~1b/~0", 1_000_000),
        ("7", "", 7_000_000),
        // A float would read 90071992.54740993 here.
        (r#"{"p":90071992.547409931}"#, "/p", 90_071_992_547_409),
    ] {
        assert_eq!(
            read(body.as_bytes(), pointer),
            Ok(UsdMicros(micros)),
            "{body}"
        );
    }
}

#[test]
fn what_is_no_price_is_refused() {
    for (body, pointer) in [
        ("", "/price"),
        ("<html>", "/price"),
        (r#"{"price":60000"#, "/price"),
        (r#"{"other":1}"#, "/price"),
        (r#"{"price":[1]}"#, "/price"),
        (r#"{"price":{"usd":1}}"#, "/price"),
        (r#"{"price":null}"#, "/price"),
        (r#"{"price":0}"#, "/price"),
        (r#"{"price":"0.0000009"}"#, "/price"),
        (r#"{"price":-60000}"#, "/price"),
        (r#"{"price":6e4}"#, "/price"),
        (r#"{"price":"60,000"}"#, "/price"),
        (r#"{"price":" 60000"}"#, "/price"),
        (r#"{"price":"NaN"}"#, "/price"),
        (r#"{"price":""}"#, "/price"),
        (
            r#"{"price":"1111111111111111111111111111111111111111111"}"#,
            "/price",
        ),
        (r#"[1]"#, "/1"),
        (r#"[1]"#, "/-"),
        (r#"{"price":1}"#, "price"),
    ] {
        assert!(read(body.as_bytes(), pointer).is_err(), "{body} {pointer}");
    }
}
