//! Reads out of logs what an authorization did: the token's own word, whoever sent the
//! transaction (ARCHITECTURE law 4).

use std::collections::HashMap;

use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::x402::exact_evm::Eip3009Authorization;

use crate::abi::{CANCELED_TOPIC, TRANSFER_TOPIC, USED_TOPIC, address_word, number_word};
use crate::rpc::{Log, Receipt};

/// What the token says in a receipt, indexed: a transaction may carry hundreds of payments.
pub(crate) struct Paid<'a> {
    said: Vec<&'a Log>,
    /// Where it says that an authorization was used, by payer and nonce.
    uses: HashMap<(Word, Word), usize>,
}

impl<'a> Paid<'a> {
    /// Reads the logs of `token`; a transaction that failed has paid nothing.
    pub(crate) fn of(receipt: &'a Receipt, token: EvmAddress) -> Self {
        let logs = match receipt.status {
            1 => receipt.logs.as_slice(),
            _ => &[],
        };
        let said: Vec<&Log> = logs
            .iter()
            .filter(|log| log.address == token && !log.removed)
            .collect();
        let mut uses = HashMap::new();
        for (place, log) in said.iter().enumerate() {
            if topic(log, 0) == Some(USED_TOPIC)
                && let (Some(payer), Some(nonce)) = (topic(log, 1), topic(log, 2))
            {
                uses.entry((payer, nonce)).or_insert(place);
            }
        }
        Self { said, uses }
    }

    /// Whether the transaction has carried out `transfer`: the token says both that the
    /// authorization was used and that exactly its money moved.
    pub(crate) fn has(&self, transfer: &Eip3009Authorization) -> bool {
        let name = (Word(address_word(transfer.from)), transfer.nonce);
        let Some(place) = self.uses.get(&name) else {
            return false;
        };
        if self.uses.len() == 1 {
            return self.said.iter().any(|log| is_transfer(log, transfer));
        }
        // Several authorizations in one transaction: each one's transfer follows its use, and
        // another's must not be taken for it.
        self.said
            .get(place.saturating_add(1))
            .is_some_and(|log| is_transfer(log, transfer))
    }
}

/// Whether the receipt's transaction has carried out `transfer`.
pub(crate) fn carries_out(
    receipt: &Receipt,
    token: EvmAddress,
    transfer: &Eip3009Authorization,
) -> bool {
    Paid::of(receipt, token).has(transfer)
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
