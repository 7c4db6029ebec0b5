//! The words in which nodes and tokens refuse.

use super::*;

fn refused(message: &str, data: Option<&str>) -> RpcError {
    RpcError::Refused {
        code: 3,
        message: message.into(),
        data: data.map(str::to_owned),
    }
}

#[test]
fn the_words_of_every_common_node_are_understood() {
    for (message, expected) in [
        (
            "nonce too low: next nonce 5, tx nonce 4",
            NotTaken::NonceUsed,
        ),
        ("OldNonce", NotTaken::NonceUsed),
        ("replacement transaction underpriced", NotTaken::Occupied),
        ("Could not replace existing tx", NotTaken::Occupied),
        ("transaction underpriced", NotTaken::Underpriced),
        (
            "max fee per gas less than block base fee: address 0x",
            NotTaken::Underpriced,
        ),
        (
            "insufficient funds for gas * price + value: address 0x",
            NotTaken::Unfunded,
        ),
        (
            "Insufficient funds for gas * price + value",
            NotTaken::Unfunded,
        ),
        ("txpool is full", NotTaken::Other),
        ("already known", NotTaken::Known),
        (
            "the method eth_sendRawTransaction is not available",
            NotTaken::Other,
        ),
        ("internal error", NotTaken::Unclear),
        ("request timed out", NotTaken::Unclear),
        ("", NotTaken::Unclear),
    ] {
        assert_eq!(not_taken(message), expected, "{message}");
    }
}

#[test]
fn a_tokens_words_become_the_codes_of_the_official_sdks() {
    for (text, expected) in [
        ("FiatTokenV2: authorization is expired", Reason::ValidBefore),
        (
            "FiatTokenV2: authorization is not yet valid",
            Reason::ValidAfter,
        ),
        (
            "FiatTokenV2: authorization is used or canceled",
            Reason::NonceAlreadyUsed,
        ),
        (
            "ERC20: transfer amount exceeds balance",
            Reason::InsufficientBalance,
        ),
        ("FiatTokenV2: invalid signature", Reason::InvalidSignature),
        (
            "Blacklistable: account is blacklisted",
            Reason::SimulationFailed,
        ),
    ] {
        let spoken = refused(&format!("execution reverted: {text}"), None);
        assert_eq!(reverted(&spoken), expected, "{text}");
        // Some nodes pass the bytes of Error(string) on and say nothing.
        let mut bytes = vec![0x08, 0xc3, 0x79, 0xa0];
        bytes.extend(abi::number_word(32));
        bytes.extend(abi::number_word(text.len() as u128));
        bytes.extend(text.as_bytes());
        bytes.resize(4 + 64 + text.len().next_multiple_of(32), 0);
        let data = alloy_primitives::hex::encode_prefixed(&bytes);
        let silent = refused("execution reverted", Some(&data));
        assert_eq!(reverted(&silent), expected, "{text}");
    }
}

#[test]
fn damaged_revert_data_is_no_reason() {
    for data in ["", "0x", "0x08c379a0", "0x08c379a0ff", "zz"] {
        assert_eq!(reverted(&refused("", Some(data))), Reason::SimulationFailed);
    }
}
