//! Selectors, topics and words of the token's interface.

use alloy_primitives::keccak256;

use super::*;

#[test]
fn selectors_and_topics_are_the_hashes_of_their_signatures() {
    for (selector, signature) in [
        (BALANCE_OF, "balanceOf(address)"),
        (AUTHORIZATION_STATE, "authorizationState(address,bytes32)"),
        (
            TRANSFER_WITH_AUTHORIZATION,
            "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
        ),
        (
            TRANSFER_WITH_AUTHORIZATION_BYTES,
            "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)",
        ),
        (IS_VALID_SIGNATURE, "isValidSignature(bytes32,bytes)"),
        (
            SETTLE_COUNTERFACTUAL,
            "settleCounterfactual(address,uint256,bytes,address,uint256,bytes)",
        ),
        (AGGREGATE3, "aggregate3((address,bool,bytes)[])"),
        (NAME, "name()"),
        (VERSION, "version()"),
        (DECIMALS, "decimals()"),
        (DOMAIN_SEPARATOR, "DOMAIN_SEPARATOR()"),
    ] {
        assert_eq!(selector, keccak256(signature)[..4], "{signature}");
    }
    for (topic, signature) in [
        (TRANSFER_TOPIC, "Transfer(address,address,uint256)"),
        (USED_TOPIC, "AuthorizationUsed(address,bytes32)"),
        (CANCELED_TOPIC, "AuthorizationCanceled(address,bytes32)"),
    ] {
        assert_eq!(topic.0, keccak256(signature).0, "{signature}");
    }
}

#[test]
fn numbers_survive_as_words_and_larger_ones_are_refused() {
    for number in [0, 1, u128::MAX] {
        assert_eq!(word_number(&number_word(number)), Some(number));
    }
    let mut large = number_word(0);
    large[15] = 1;
    assert_eq!(word_number(&large), None);
    assert_eq!(word_number(&[0; 31]), None);
    assert_eq!(word_number(&[]), None);
}

#[test]
fn a_string_is_read_whole_or_not_at_all() {
    let returned = encode(&[Arg::Dynamic(bytes("USD Coin".as_bytes()))]);
    assert_eq!(read_string(&returned, 64), Some("USD Coin".to_owned()));
    assert_eq!(read_string(&returned, 7), None, "longer than wanted");
    let empty = encode(&[Arg::Dynamic(bytes(b""))]);
    assert_eq!(read_string(&empty, 64), Some(String::new()));
    let no_text = encode(&[Arg::Dynamic(bytes(&[0xff, 0xfe]))]);
    assert_eq!(read_string(&no_text, 64), None);
    for cut in 0..returned.len() - 24 {
        assert_eq!(read_string(&returned[..cut], 64), None, "{cut} bytes");
    }
    for word in [number_word(u128::MAX), [0xff; 32], number_word(1 << 63)] {
        assert_eq!(read_string(&word, 64), None, "an offset beyond the end");
        let length = [number_word(32), word].concat();
        assert_eq!(read_string(&length, 64), None, "a length beyond the end");
    }
}
