//! A stranger's bytes, read as a transaction: one message of version 0 with its signatures, and
//! nothing else.
//!
//! Called by the rules before anything is believed. One message has one spelling here: what does not
//! come out byte for byte as it came in is refused, because the message names the payment. Nothing
//! in here signs.

use bincode::Options;
use farebox_core::rail::Refusal;
use farebox_wire::svm::{SvmAddress, SvmBlockhash, SvmSignature, TRANSACTION_BYTES_MAX};
use farebox_wire::x402::reason::Reason;
use solana_message::VersionedMessage;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_transaction::versioned::VersionedTransaction;

use crate::handle::digest_of;
use crate::rules::refusal;

/// A transaction that could be read. Nothing of what it says has been judged.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    signatures: Vec<SvmSignature>,
    keys: Vec<SvmAddress>,
    required_signatures: u8,
    blockhash: SvmBlockhash,
    instructions: Vec<CompiledInstruction>,
    message: Vec<u8>,
}

/// One instruction, with its accounts by name.
pub(crate) struct Instruction<'a> {
    pub(crate) program: SvmAddress,
    pub(crate) accounts: Vec<SvmAddress>,
    pub(crate) data: &'a [u8],
}

impl Transaction {
    /// Reads the bytes of a transaction.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let unreadable = |why: String| refusal(Reason::SvmTransactionUnreadable, why);
        if bytes.is_empty() || bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(unreadable(format!(
                "a transaction has 1 to {TRANSACTION_BYTES_MAX} bytes"
            )));
        }
        let options = bincode::options()
            .with_fixint_encoding()
            .with_limit(LIMIT)
            .reject_trailing_bytes();
        let transaction: VersionedTransaction = options
            .deserialize(bytes)
            .map_err(|_| unreadable("it is no transaction of Solana, or more than one".into()))?;
        if options.serialize(&transaction).ok().as_deref() != Some(bytes) {
            return Err(unreadable("it is not spelled as Solana spells it".into()));
        }
        transaction
            .sanitize()
            .map_err(|e| unreadable(format!("it contradicts itself: {e}")))?;
        let message = transaction.message.serialize();
        let VersionedMessage::V0(parts) = transaction.message else {
            return Err(refusal(
                Reason::SvmTransaction,
                "its message is not of version 0",
            ));
        };
        if !parts.address_table_lookups.is_empty() {
            return Err(refusal(
                Reason::SvmTransaction,
                "it looks up accounts in tables; name them in the message",
            ));
        }
        let keys: Vec<_> = parts
            .account_keys
            .iter()
            .map(|key| SvmAddress(key.to_bytes()))
            .collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != keys.len() {
            return Err(refusal(Reason::SvmTransaction, "it names an account twice"));
        }
        Ok(Self {
            signatures: transaction
                .signatures
                .iter()
                .map(|signature| SvmSignature(*signature.as_array()))
                .collect(),
            keys,
            required_signatures: parts.header.num_required_signatures,
            blockhash: SvmBlockhash(parts.recent_blockhash.to_bytes()),
            instructions: parts.instructions,
            message,
        })
    }

    /// What is signed.
    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// What names the payment: SHA-256 of the message.
    pub(crate) fn digest(&self) -> [u8; 32] {
        digest_of(&self.message)
    }

    /// The block that it names to say when it was made.
    pub(crate) const fn blockhash(&self) -> SvmBlockhash {
        self.blockhash
    }

    /// Every account that it names, each once: those who must sign first, the fee payer first of
    /// all.
    pub(crate) fn keys(&self) -> &[SvmAddress] {
        &self.keys
    }

    /// How many must sign.
    pub(crate) const fn required_signatures(&self) -> u8 {
        self.required_signatures
    }

    /// The signature of the account at this place, zero where it has not signed.
    pub(crate) fn signature(&self, place: usize) -> Option<SvmSignature> {
        self.signatures.get(place).copied()
    }

    /// How many instructions it has.
    pub(crate) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The instructions. An index without an account, which reading has refused, gives no
    /// instruction.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = Instruction<'_>> {
        let key = |index: u8| self.keys.get(usize::from(index)).copied();
        self.instructions.iter().filter_map(move |instruction| {
            Some(Instruction {
                program: key(instruction.program_id_index)?,
                accounts: instruction
                    .accounts
                    .iter()
                    .map(|index| key(*index))
                    .collect::<Option<_>>()?,
                data: &instruction.data,
            })
        })
    }
}

/// [`TRANSACTION_BYTES_MAX`] as bincode wants it: what a list's length may make it take.
const LIMIT: u64 = 1_232;

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
