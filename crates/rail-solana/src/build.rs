//! The transaction of a payment, byte for byte as the clients of npm `@x402/svm` 2.27 write it.
//!
//! Laid out by hand: which accounts it has and in which order is all there is to it, and a
//! transaction that does anything else could not come out of this file.

use std::cmp::Ordering;

use farebox_wire::svm::{SvmAddress, SvmBlockhash};
use solana_address::Address;
use solana_hash::Hash;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::{MessageHeader, VersionedMessage, v0};

use crate::account::{self, COMPUTE_BUDGET, MEMO, address_of, token_account_of};
use crate::assets::TokenProgram;

/// What the chain may spend on a payment, and what its fee payer offers for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    units: u32,
    microlamports_per_unit: u64,
}

impl Budget {
    /// As the official client sets it. A transfer takes less than 10,000 units, a long memo as much.
    pub(crate) const USUAL: Self = Self {
        units: 20_000,
        microlamports_per_unit: 1,
    };

    /// One that differs a little for each of 48,128 numbers in a row, and costs the fee payer the
    /// same: less than a lamport, which counts as one.
    pub(crate) fn varied(number: u32) -> Self {
        Self {
            units: Self::USUAL.units.saturating_add(number % 1_024),
            microlamports_per_unit: u64::from(number / 1_024 % 47).saturating_add(1),
        }
    }
}

/// `SetComputeUnitLimit` of the compute budget program.
const SET_LIMIT: u8 = 2;
/// `SetComputeUnitPrice` of the compute budget program.
const SET_PRICE: u8 = 3;
/// `TransferChecked` of the token programs.
const TRANSFER_CHECKED: u8 = 12;

/// What a payment does.
pub(crate) struct Payment<'a> {
    pub(crate) payer: SvmAddress,
    pub(crate) fee_payer: SvmAddress,
    pub(crate) payee: SvmAddress,
    pub(crate) mint: SvmAddress,
    pub(crate) program: TokenProgram,
    pub(crate) decimals: u8,
    /// Atomic units.
    pub(crate) amount: u64,
    pub(crate) memo: &'a str,
    pub(crate) blockhash: SvmBlockhash,
    pub(crate) budget: Budget,
}

impl Payment<'_> {
    /// Token account that is paid from.
    pub(crate) fn source(&self) -> SvmAddress {
        token_account_of(self.payer, self.mint, self.program)
    }

    /// Token account that is paid to.
    pub(crate) fn destination(&self) -> SvmAddress {
        token_account_of(self.payee, self.mint, self.program)
    }

    /// The message to be signed; `None` where two of its accounts are the same, so that it would
    /// not do what it says.
    pub(crate) fn message(&self) -> Option<Vec<u8>> {
        let token = account::program_of(self.program);
        let [source, destination] = [self.source(), self.destination()].map(address_of);
        let mint = address_of(self.mint);
        let mut writable = [source, destination];
        let mut readable = [mint, token, COMPUTE_BUDGET, MEMO];
        writable.sort_by(by_text);
        readable.sort_by(by_text);
        let signers = [self.fee_payer, self.payer].map(address_of);
        let keys = [signers.as_slice(), &writable, &readable].concat();
        let place = |key: &Address| {
            let mut places = keys.iter().zip(0u8..).filter(|(other, _)| *other == key);
            match (places.next(), places.next()) {
                (Some((_, place)), None) => Some(place),
                _ => None,
            }
        };
        // Each account once: also those that are not looked up below.
        for key in &keys {
            place(key)?;
        }
        let payer = address_of(self.payer);
        let of = |program: &Address, accounts: Vec<u8>, data: Vec<u8>| {
            Some(CompiledInstruction {
                program_id_index: place(program)?,
                accounts,
                data,
            })
        };
        let moved = [source, mint, destination, payer];
        let moved: Vec<u8> = moved.iter().map(place).collect::<Option<_>>()?;
        let instructions = vec![
            of(
                &COMPUTE_BUDGET,
                vec![],
                with(SET_LIMIT, &self.budget.units.to_le_bytes()),
            )?,
            of(
                &COMPUTE_BUDGET,
                vec![],
                with(SET_PRICE, &self.budget.microlamports_per_unit.to_le_bytes()),
            )?,
            of(&token, moved, self.transfer())?,
            of(&MEMO, vec![], self.memo.as_bytes().to_vec())?,
        ];
        let message = v0::Message {
            header: MessageHeader {
                num_required_signatures: 2,
                num_readonly_signed_accounts: 1,
                num_readonly_unsigned_accounts: 4,
            },
            account_keys: keys,
            recent_blockhash: Hash::new_from_array(self.blockhash.0),
            instructions,
            address_table_lookups: vec![],
        };
        Some(VersionedMessage::V0(message).serialize())
    }

    fn transfer(&self) -> Vec<u8> {
        let mut data = with(TRANSFER_CHECKED, &self.amount.to_le_bytes());
        data.push(self.decimals);
        data
    }
}

fn with(instruction: u8, data: &[u8]) -> Vec<u8> {
    [&[instruction], data].concat()
}

/// The order of accounts of one kind in `@solana/kit`: by their text, as a dictionary has it, so
/// that `a` stands beside `A`, and before it where nothing else differs.
fn by_text(one: &Address, other: &Address) -> Ordering {
    let (one, other) = (one.to_string(), other.to_string());
    let caseless = |text: &str| text.to_ascii_lowercase();
    caseless(&one)
        .cmp(&caseless(&other))
        .then_with(|| other.cmp(&one))
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
