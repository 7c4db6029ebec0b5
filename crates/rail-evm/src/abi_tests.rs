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
