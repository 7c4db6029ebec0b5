//! Rules of strict JSON: objects are objects, keys are said once, errors are short.

use serde_json::json;

use super::*;

fn strict(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).map(|Strict(value)| value)
}

#[test]
fn an_object_that_says_a_key_twice_is_refused_at_any_depth() {
    assert!(strict(r#"{"amount":"1","amount":"1000"}"#).is_err());
    assert!(strict(r#"[{"a":{"b":1,"b":1}}]"#).is_err());
    // An escape is the same key.
    assert!(strict(r#"{"a":1,"\u0061":2}"#).is_err());
    assert_eq!(
        strict(r#"[{"a":{"b":1}},{"a":2}]"#).expect("keys of different objects may be equal"),
        json!([{"a": {"b": 1}}, {"a": 2}])
    );
}

#[test]
fn strict_json_is_what_serde_json_reads() {
    let text =
        r#"{"n":null,"b":true,"i":-1,"u":18446744073709551615,"f":0.5,"s":"Café ☕","l":[]}"#;
    let plain: Value = serde_json::from_str(text).expect("it is JSON");
    assert_eq!(strict(text).expect("it is JSON"), plain);
}

#[test]
fn nesting_is_bounded() {
    let text = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(strict(&text).is_err());
    let text = format!("{}{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    assert!(strict(&text).is_err());
}

#[test]
fn numbers_have_one_text_each() {
    for (number, digits) in [
        ("60", "60"),
        ("60.0", "60"),
        ("6e1", "60"),
        ("-0.0", "0"),
        ("0", "0"),
        ("1e19", "10000000000000000000"),
        ("10000000000000000000", "10000000000000000000"),
        ("1e21", "1000000000000000000000"),
        ("0.1", "0.1"),
        ("-60.0", "-60"),
    ] {
        let number: Number = serde_json::from_str(number).expect("it is a number");
        assert_eq!(plain_digits(&number), digits);
    }
}

#[test]
fn an_error_keeps_a_line_of_the_peers_text_at_most() {
    let long = format!("\"{}\"", "☕".repeat(10_000));
    let error = serde_json::from_str::<u64>(&long).expect_err("it is no number");
    assert!(error.to_string().len() > 10_000);
    assert!(brief(error).to_string().chars().count() <= ERROR_CHARS_MAX + 40);
}
