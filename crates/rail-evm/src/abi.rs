//! The few calls and events of an EIP-3009 token that we speak, as 32-byte words.
//!
//! All arguments are static, so encoding is concatenation; a test recomputes every selector and
//! topic from its signature.

use alloy_primitives::b256;
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::x402::exact_evm::Eip3009Authorization;

use crate::key::EvmSignature;

/// `balanceOf(address)`
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
/// `authorizationState(address,bytes32)`
const AUTHORIZATION_STATE: [u8; 4] = [0xe9, 0x4a, 0x01, 0x02];
/// `transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)`
const TRANSFER_WITH_AUTHORIZATION: [u8; 4] = [0xe3, 0xee, 0x16, 0x0e];

/// `Transfer(address,address,uint256)`
pub(crate) const TRANSFER_TOPIC: Word =
    Word(b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef").0);
/// `AuthorizationUsed(address,bytes32)`
pub(crate) const USED_TOPIC: Word =
    Word(b256!("98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5").0);
/// `AuthorizationCanceled(address,bytes32)`
pub(crate) const CANCELED_TOPIC: Word =
    Word(b256!("1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81").0);

/// An address as an argument or topic: left-padded.
pub(crate) fn address_word(address: EvmAddress) -> [u8; 32] {
    let mut word = [0; 32];
    let (_, tail) = word.split_at_mut(12);
    tail.copy_from_slice(&address.0);
    word
}

/// A number as an argument: big-endian.
pub(crate) fn number_word(number: u128) -> [u8; 32] {
    let mut word = [0; 32];
    let (_, tail) = word.split_at_mut(16);
    tail.copy_from_slice(&number.to_be_bytes());
    word
}

/// A returned word as a number; `None` where it needs more than 128 bits.
pub(crate) fn word_number(word: &[u8]) -> Option<u128> {
    let word: &[u8; 32] = word.try_into().ok()?;
    let (head, tail) = word.split_at(16);
    let tail: [u8; 16] = tail.try_into().ok()?;
    head.iter()
        .all(|b| *b == 0)
        .then(|| u128::from_be_bytes(tail))
}

pub(crate) fn balance_of(account: EvmAddress) -> Vec<u8> {
    call(BALANCE_OF, &[address_word(account)])
}

pub(crate) fn authorization_state(authorizer: EvmAddress, nonce: Word) -> Vec<u8> {
    call(AUTHORIZATION_STATE, &[address_word(authorizer), nonce.0])
}

/// The overload that takes the signature of an ordinary account.
pub(crate) fn transfer_with_authorization(
    transfer: &Eip3009Authorization,
    signature: &EvmSignature,
) -> Vec<u8> {
    let (r, s) = signature.r_and_s();
    call(
        TRANSFER_WITH_AUTHORIZATION,
        &[
            address_word(transfer.from),
            address_word(transfer.to),
            number_word(transfer.value.atomic()),
            number_word(u128::from(transfer.valid_after)),
            number_word(u128::from(transfer.valid_before)),
            transfer.nonce.0,
            number_word(u128::from(signature.v())),
            r.0,
            s.0,
        ],
    )
}

fn call(selector: [u8; 4], words: &[[u8; 32]]) -> Vec<u8> {
    let mut data = selector.to_vec();
    data.extend_from_slice(words.as_flattened());
    data
}

#[cfg(test)]
#[path = "abi_tests.rs"]
mod tests;
