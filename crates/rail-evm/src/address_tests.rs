//! Spellings of an address.

use super::*;

const GOOD: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

#[test]
fn a_checked_address_survives_the_round_trip() {
    assert_eq!(checksummed(parse_address(GOOD).unwrap()), GOOD);
}

#[test]
fn one_wrong_letter_case_is_refused() {
    let wrong = GOOD.replace("dc3A", "dc3a");
    assert!(matches!(
        parse_address(&wrong),
        Err(ParseAddressError::Checksum { expected }) if expected == GOOD
    ));
}

#[test]
fn unchecked_spellings_are_taken_as_they_are() {
    let lower = GOOD.to_lowercase();
    let upper = format!("0x{}", GOOD[2..].to_uppercase());
    assert_eq!(parse_address(&lower), parse_address(GOOD));
    assert_eq!(parse_address(&upper), parse_address(GOOD));
}

#[test]
fn names_and_short_texts_are_no_addresses() {
    for text in ["", "merchant", "0x", "0x7099", &GOOD[2..]] {
        assert!(matches!(
            parse_address(text),
            Err(ParseAddressError::Hex(_))
        ));
    }
}
