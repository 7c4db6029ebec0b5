//! EIP-712 digests of EIP-3009 authorizations: what a payer signs and a token checks.
//!
//! Written out word by word: the message has six static fields, so encoding it is laying 32-byte
//! words side by side (EIP-712, `encodeData`).

use alloy_primitives::keccak256;
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::x402::exact_evm::Eip3009Authorization;

use crate::abi::{address_word, number_word};

const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const TRANSFER_TYPE: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";

/// What separates one token's signatures from every other's. Computed once per asset.
pub(crate) fn domain_separator(
    name: &str,
    version: &str,
    chain_id: u64,
    token: EvmAddress,
) -> Word {
    hash_words(&[
        keccak256(DOMAIN_TYPE).0,
        keccak256(name).0,
        keccak256(version).0,
        number_word(u128::from(chain_id)),
        address_word(token),
    ])
}

/// The digest of a `TransferWithAuthorization` under a token's domain.
pub(crate) fn transfer_digest(domain: &Word, transfer: &Eip3009Authorization) -> Word {
    let message = hash_words(&[
        keccak256(TRANSFER_TYPE).0,
        address_word(transfer.from),
        address_word(transfer.to),
        number_word(transfer.value.atomic()),
        number_word(u128::from(transfer.valid_after)),
        number_word(u128::from(transfer.valid_before)),
        transfer.nonce.0,
    ]);
    let mut bytes = [0; 66];
    let (prefix, words) = bytes.split_at_mut(2);
    prefix.copy_from_slice(&[0x19, 0x01]);
    let (left, right) = words.split_at_mut(32);
    left.copy_from_slice(&domain.0);
    right.copy_from_slice(&message.0);
    Word(keccak256(bytes).0)
}

fn hash_words(words: &[[u8; 32]]) -> Word {
    Word(keccak256(words.as_flattened()).0)
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
