//! Text is read as it stands in whatever carries it.

use serde_json::json;

use crate::evm::Word;
use crate::money::Amount;

#[test]
fn escaped_and_owned_strings_are_read_like_plain_ones() {
    let amount = Amount::from_atomic(12);
    assert_eq!(serde_json::from_str::<Amount>(r#""12""#).unwrap(), amount);
    assert_eq!(
        serde_json::from_str::<Amount>(r#""\u00312""#).unwrap(),
        amount
    );
    assert_eq!(
        serde_json::from_value::<Amount>(json!("12")).unwrap(),
        amount
    );
    assert_eq!(
        serde_json::from_reader::<_, Amount>(&br#""12""#[..]).unwrap(),
        amount
    );
}

#[test]
fn what_is_no_string_is_refused_with_the_place() {
    for text in ["12", "null", "[\"12\"]", "{}"] {
        let error = serde_json::from_str::<Amount>(text).unwrap_err();
        assert!(error.to_string().contains("a string"), "{error}");
    }
    let error = serde_json::from_str::<Word>(r#""0x12""#).unwrap_err();
    assert!(error.to_string().contains("column"), "{error}");
}
