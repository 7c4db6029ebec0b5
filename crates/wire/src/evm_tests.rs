//! Rules of hex: exactly the right digits.

use super::*;

#[test]
fn words_are_0x_and_the_right_number_of_digits() {
    let word = |digits: &str| format!("0x{digits}").parse::<Word>();
    assert!(word(&"aA".repeat(32)).is_ok());
    for digits in [0, 63, 65, 66, 1_000_000] {
        let error = word(&"a".repeat(digits)).expect_err("the length is wrong");
        assert_eq!(
            error,
            ParseHexError::Length {
                expected: 32,
                digits
            }
        );
    }
    assert_eq!(word(&"g".repeat(64)), Err(ParseHexError::Digit));
    assert_eq!(word(&"é".repeat(32)), Err(ParseHexError::Digit));
    assert_eq!("aA".repeat(32).parse::<Word>(), Err(ParseHexError::Prefix));
    let upper = format!("0X{}", "a".repeat(64));
    assert_eq!(upper.parse::<Word>(), Err(ParseHexError::Prefix));
}

#[test]
fn an_address_is_read_in_any_case_and_written_in_lower_case() {
    let address: EvmAddress = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        .parse()
        .expect("an address");
    assert_eq!(
        address.to_string(),
        "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    );
    assert!(
        " 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
            .parse::<EvmAddress>()
            .is_err()
    );
}

#[test]
fn byte_strings_have_a_limit() {
    assert_eq!(parse_hex("0x", 2), Ok(vec![]));
    assert_eq!(parse_hex("0xABcd", 2), Ok(vec![0xab, 0xcd]));
    assert_eq!(
        parse_hex("0xabcdef", 2),
        Err(ParseHexError::Length {
            expected: 2,
            digits: 6
        })
    );
    assert_eq!(parse_hex("0xabc", 2), Err(ParseHexError::Digit));
    assert_eq!(parse_hex("", 2), Err(ParseHexError::Prefix));
}
