//! Reads out of logs what an authorization did: the token's own word, whoever sent the
//! transaction (ARCHITECTURE law 4).

use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::x402::exact_evm::Eip3009Authorization;

use crate::abi::{CANCELED_TOPIC, TRANSFER_TOPIC, USED_TOPIC, address_word, number_word};
use crate::rpc::{Log, Receipt};

/// Whether the receipt's transaction has carried out `transfer`: it succeeded, and the token says
/// both that the authorization was used and that exactly its money moved.
pub(crate) fn carries_out(
    receipt: &Receipt,
    token: EvmAddress,
    transfer: &Eip3009Authorization,
) -> bool {
    if receipt.status != 1 {
        return false;
    }
    let said: Vec<&Log> = receipt
        .logs
        .iter()
        .filter(|log| log.address == token && !log.removed)
        .collect();
    let Some(place) = said.iter().position(|log| is_used(log, transfer)) else {
        return false;
    };
    let uses = said.iter().filter(|log| topic(log, 0) == Some(USED_TOPIC));
    if uses.count() == 1 {
        return said.iter().any(|log| is_transfer(log, transfer));
    }
    // Several authorizations in one transaction: each one's transfer follows its use, and
    // another's must not be taken for it.
    said.get(place.saturating_add(1))
        .is_some_and(|log| is_transfer(log, transfer))
}

/// Whether the log says that the authorization was used.
pub(crate) fn is_used(log: &Log, transfer: &Eip3009Authorization) -> bool {
    names(log, USED_TOPIC, transfer)
}

/// Whether the log says that the authorization was cancelled by its signer.
pub(crate) fn is_canceled(log: &Log, transfer: &Eip3009Authorization) -> bool {
    names(log, CANCELED_TOPIC, transfer)
}

fn names(log: &Log, event: Word, transfer: &Eip3009Authorization) -> bool {
    topic(log, 0) == Some(event)
        && topic(log, 1) == Some(Word(address_word(transfer.from)))
        && topic(log, 2) == Some(transfer.nonce)
}

fn is_transfer(log: &Log, transfer: &Eip3009Authorization) -> bool {
    topic(log, 0) == Some(TRANSFER_TOPIC)
        && topic(log, 1) == Some(Word(address_word(transfer.from)))
        && topic(log, 2) == Some(Word(address_word(transfer.to)))
        && log.data.0 == number_word(transfer.value.atomic())
}

fn topic(log: &Log, place: usize) -> Option<Word> {
    log.topics.get(place).copied()
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
