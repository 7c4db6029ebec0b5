//! The few calls and events of EIP-3009 tokens and contract wallets that we speak, as 32-byte
//! words. A test recomputes every selector and topic from its signature.

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
/// `transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)`
const TRANSFER_WITH_AUTHORIZATION_BYTES: [u8; 4] = [0xcf, 0x09, 0x29, 0x95];
/// `isValidSignature(bytes32,bytes)`
const IS_VALID_SIGNATURE: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];
/// `settleCounterfactual(address,uint256,bytes,address,uint256,bytes)`
const SETTLE_COUNTERFACTUAL: [u8; 4] = [0x4f, 0xcd, 0x91, 0x77];
/// `name()`
pub(crate) const NAME: [u8; 4] = [0x06, 0xfd, 0xde, 0x03];
/// `version()`
pub(crate) const VERSION: [u8; 4] = [0x54, 0xfd, 0x4d, 0x50];
/// `decimals()`
pub(crate) const DECIMALS: [u8; 4] = [0x31, 0x3c, 0xe5, 0x67];
/// `DOMAIN_SEPARATOR()`
pub(crate) const DOMAIN_SEPARATOR: [u8; 4] = [0x36, 0x44, 0xe5, 0x15];
/// `aggregate3((address,bool,bytes)[])` of Multicall3
pub(crate) const AGGREGATE3: [u8; 4] = [0x82, 0xad, 0x56, 0xcb];

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

/// A returned `string`; `None` where the bytes are none, or longer than `bytes_max`.
pub(crate) fn read_string(returned: &[u8], bytes_max: usize) -> Option<String> {
    let at = |from: usize, bytes: usize| returned.get(from..from.checked_add(bytes)?);
    let offset = usize::try_from(word_number(at(0, 32)?)?).ok()?;
    let length = usize::try_from(word_number(at(offset, 32)?)?).ok()?;
    let text = at(offset.checked_add(32)?, length).filter(|text| text.len() <= bytes_max)?;
    String::from_utf8(text.to_vec()).ok()
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

/// The overload that takes any signature, and asks the payer where it has code.
pub(crate) fn transfer_with_signature(
    transfer: &Eip3009Authorization,
    signature: &[u8],
) -> Vec<u8> {
    let arguments = [
        Arg::Word(address_word(transfer.from)),
        Arg::Word(address_word(transfer.to)),
        Arg::Word(number_word(transfer.value.atomic())),
        Arg::Word(number_word(u128::from(transfer.valid_after))),
        Arg::Word(number_word(u128::from(transfer.valid_before))),
        Arg::Word(transfer.nonce.0),
        Arg::Dynamic(bytes(signature)),
    ];
    call_with(TRANSFER_WITH_AUTHORIZATION_BYTES, &arguments)
}

/// What ERC-1271 asks a wallet.
pub(crate) fn is_valid_signature(digest: Word, signature: &[u8]) -> Vec<u8> {
    let arguments = [Arg::Word(digest.0), Arg::Dynamic(bytes(signature))];
    call_with(IS_VALID_SIGNATURE, &arguments)
}

/// A call of another contract with a gas limit of its own.
pub(crate) struct Inner<'a> {
    pub(crate) to: EvmAddress,
    pub(crate) gas: u64,
    pub(crate) data: &'a [u8],
}

/// Our settler's deployment of a wallet, and its payment.
pub(crate) fn settle_counterfactual(deploy: &Inner<'_>, pay: &Inner<'_>) -> Vec<u8> {
    let mut arguments = Vec::with_capacity(6);
    for inner in [deploy, pay] {
        arguments.push(Arg::Word(address_word(inner.to)));
        arguments.push(Arg::Word(number_word(u128::from(inner.gas))));
        arguments.push(Arg::Dynamic(bytes(inner.data)));
    }
    call_with(SETTLE_COUNTERFACTUAL, &arguments)
}

/// The same through Multicall3, which limits no gas: the first may fail, the second may not.
pub(crate) fn multicall_of_two(first: &Inner<'_>, second: &Inner<'_>) -> Vec<u8> {
    let tuple = |inner: &Inner<'_>, may_fail: bool| {
        encode(&[
            Arg::Word(address_word(inner.to)),
            Arg::Word(number_word(u128::from(may_fail))),
            Arg::Dynamic(bytes(inner.data)),
        ])
    };
    let two = encode(&[
        Arg::Dynamic(tuple(first, true)),
        Arg::Dynamic(tuple(second, false)),
    ]);
    let array = [number_word(2).to_vec(), two].concat();
    call_with(AGGREGATE3, &[Arg::Dynamic(array)])
}

/// An argument: a word that stands in its place, or what stands behind all places.
pub(crate) enum Arg {
    /// A static value.
    Word([u8; 32]),
    /// A dynamic value, encoded.
    Dynamic(Vec<u8>),
}

/// Arguments, a tuple's fields or an array's items, without the count.
pub(crate) fn encode(arguments: &[Arg]) -> Vec<u8> {
    let mut places = Vec::new();
    let mut behind: Vec<u8> = Vec::new();
    let places_bytes = arguments.len().saturating_mul(32);
    for argument in arguments {
        match argument {
            Arg::Word(word) => places.extend_from_slice(word),
            Arg::Dynamic(value) => {
                let offset = places_bytes.saturating_add(behind.len());
                places.extend_from_slice(&length_word(offset));
                behind.extend_from_slice(value);
            }
        }
    }
    places.append(&mut behind);
    places
}

/// `bytes`: their number, then they, filled up to a whole word.
pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    let mut encoded = length_word(value.len()).to_vec();
    encoded.extend_from_slice(value);
    encoded.resize(encoded.len().next_multiple_of(32), 0);
    encoded
}

fn length_word(length: usize) -> [u8; 32] {
    // Nothing in memory is longer than 2^64 bytes.
    number_word(u128::from(u64::try_from(length).unwrap_or(u64::MAX)))
}

fn call_with(selector: [u8; 4], arguments: &[Arg]) -> Vec<u8> {
    let mut data = selector.to_vec();
    data.append(&mut encode(arguments));
    data
}

fn call(selector: [u8; 4], words: &[[u8; 32]]) -> Vec<u8> {
    let mut data = selector.to_vec();
    data.extend_from_slice(words.as_flattened());
    data
}

#[cfg(test)]
#[path = "abi_tests.rs"]
mod tests;
