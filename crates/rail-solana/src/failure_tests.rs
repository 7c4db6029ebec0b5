//! How a node's words are sorted.

use serde_json::json;

use super::*;

#[test]
fn a_nodes_words_are_sorted_by_what_follows() {
    let cases = [
        (json!("AlreadyProcessed"), Failure::AlreadyProcessed),
        (json!("BlockhashNotFound"), Failure::BlockhashNotFound),
        (json!("AccountNotFound"), Failure::FeePayer),
        (json!("InsufficientFundsForFee"), Failure::FeePayer),
        (
            json!({"InsufficientFundsForRent": {"account_index": 0}}),
            Failure::FeePayer,
        ),
        (
            json!({"InstructionError": [2, {"Custom": 1}]}),
            Failure::Funds,
        ),
    ];
    for (words, failure) in cases {
        assert_eq!(Failure::of(&words), failure, "{words}");
    }
    // The same number of another program means something else.
    let others = [
        json!({"InstructionError": [3, {"Custom": 1}]}),
        json!({"InstructionError": [2, "InvalidAccountData"]}),
        json!({"InstructionError": 2}),
        json!("AccountInUse"),
        json!(7),
        json!(null),
    ];
    for words in others {
        assert!(matches!(Failure::of(&words), Failure::Other(_)), "{words}");
    }
}

#[test]
fn only_an_empty_fee_payer_is_our_own_fault() {
    for failure in [
        Failure::AlreadyProcessed,
        Failure::BlockhashNotFound,
        Failure::FeePayer,
        Failure::Funds,
        Failure::Other("x".into()),
    ] {
        let is_ours = failure == Failure::FeePayer;
        assert_eq!(failure.foreseen().is_ours, is_ours);
        assert_eq!(failure.happened().is_ours, is_ours);
    }
    assert_eq!(
        Failure::AlreadyProcessed.foreseen().reason,
        Reason::NonceAlreadyUsed
    );
    assert_eq!(
        Failure::Funds.foreseen().reason,
        Reason::InsufficientBalance
    );
}

#[test]
fn a_long_answer_is_cut() {
    let Failure::Other(words) = Failure::of(&json!("x".repeat(10_000))) else {
        panic!("not sorted")
    };
    assert!(words.chars().count() <= WORDS_CHARS_MAX);
}
