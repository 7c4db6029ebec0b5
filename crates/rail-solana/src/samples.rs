//! Transactions for the tests of this crate: what an honest buyer signs, and parts to make wrong
//! ones of.

use farebox_core::rail::Refusal;
use farebox_wire::svm::SvmAddress;
use solana_address::Address;
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::{VersionedMessage, v0};
use solana_signature::Signature;
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;

use crate::account::{self, COMPUTE_BUDGET, LIGHTHOUSE, MEMO, address_of, token_account_of};
use crate::assets::TokenProgram;
use crate::message::Transaction;
use crate::options::ComputeLimits;
use crate::rules::{Transfer, Wanted, check};

pub(crate) const AMOUNT: u64 = 1_000;
pub(crate) const DECIMALS: u8 = 6;
pub(crate) const MINT: SvmAddress = SvmAddress([7; 32]);
pub(crate) const PAYEE: SvmAddress = SvmAddress([8; 32]);
pub(crate) const TOKEN: TokenProgram = TokenProgram::SplToken;
pub(crate) const TOKEN_2022: TokenProgram = TokenProgram::Token2022;
pub(crate) const SPL: Address = account::SPL_TOKEN;
pub(crate) const STRANGER: SvmAddress = SvmAddress([9; 32]);

pub(crate) fn fee_payer() -> Keypair {
    Keypair::new_from_array([1; 32])
}

pub(crate) fn other_fee_payer() -> Keypair {
    Keypair::new_from_array([2; 32])
}

pub(crate) fn buyer() -> Keypair {
    Keypair::new_from_array([3; 32])
}

pub(crate) fn of(keypair: &Keypair) -> SvmAddress {
    SvmAddress(keypair.pubkey().to_bytes())
}

pub(crate) fn limit(units: u32) -> Instruction {
    let data = [&[2][..], &units.to_le_bytes()].concat();
    Instruction::new_with_bytes(COMPUTE_BUDGET, &data, vec![])
}

pub(crate) fn price(microlamports: u64) -> Instruction {
    let data = [&[3][..], &microlamports.to_le_bytes()].concat();
    Instruction::new_with_bytes(COMPUTE_BUDGET, &data, vec![])
}

pub(crate) fn memo(text: &str) -> Instruction {
    Instruction::new_with_bytes(MEMO, text.as_bytes(), vec![])
}

/// A memo that the buyer signs, where nothing else makes him.
pub(crate) fn signed_memo() -> Instruction {
    let buyer = AccountMeta::new_readonly(buyer().pubkey(), true);
    Instruction::new_with_bytes(MEMO, b"signed", vec![buyer])
}

pub(crate) fn lighthouse() -> Instruction {
    Instruction::new_with_bytes(LIGHTHOUSE, &[1, 2, 3], vec![])
}

pub(crate) struct Pay {
    pub(crate) program: Address,
    pub(crate) source: SvmAddress,
    pub(crate) mint: SvmAddress,
    pub(crate) destination: SvmAddress,
    pub(crate) authority: SvmAddress,
    pub(crate) amount: u64,
    pub(crate) decimals: u8,
}

impl Pay {
    pub(crate) fn good() -> Self {
        let payer = of(&buyer());
        Self {
            program: SPL,
            source: token_account_of(payer, MINT, TOKEN),
            mint: MINT,
            destination: token_account_of(PAYEE, MINT, TOKEN),
            authority: payer,
            amount: AMOUNT,
            decimals: DECIMALS,
        }
    }

    pub(crate) fn instruction(&self) -> Instruction {
        let mut data = vec![12];
        data.extend_from_slice(&self.amount.to_le_bytes());
        data.push(self.decimals);
        Instruction::new_with_bytes(
            self.program,
            &data,
            vec![
                AccountMeta::new(address_of(self.source), false),
                AccountMeta::new_readonly(address_of(self.mint), false),
                AccountMeta::new(address_of(self.destination), false),
                AccountMeta::new_readonly(address_of(self.authority), true),
            ],
        )
    }
}

pub(crate) fn pay() -> Instruction {
    Pay::good().instruction()
}

pub(crate) fn good() -> Vec<Instruction> {
    vec![limit(20_000), price(1), pay(), memo("hello")]
}

pub(crate) fn message(instructions: &[Instruction]) -> v0::Message {
    let hash = Hash::new_from_array([5; 32]);
    v0::Message::try_compile(&fee_payer().pubkey(), instructions, &[], hash).unwrap()
}

/// Signed by the buyer (and by the second fee payer, where it has to sign), the fee payer's place
/// left empty.
pub(crate) fn signed_message(message: VersionedMessage) -> VersionedTransaction {
    let bytes = message.serialize();
    let signers = usize::from(message.header().num_required_signatures);
    let keys = message.static_account_keys();
    let signatures = keys[..signers]
        .iter()
        .map(|key| {
            let signer = [buyer(), other_fee_payer()]
                .into_iter()
                .find(|k| k.pubkey() == *key);
            signer.map_or_else(Signature::default, |signer| signer.sign_message(&bytes))
        })
        .collect();
    VersionedTransaction {
        signatures,
        message,
    }
}

pub(crate) fn signed_v0(message: v0::Message) -> VersionedTransaction {
    signed_message(VersionedMessage::V0(message))
}

pub(crate) fn bytes(instructions: &[Instruction]) -> Vec<u8> {
    bincode::serialize(&signed_v0(message(instructions))).unwrap()
}

pub(crate) struct Offer {
    pub(crate) memo: Option<&'static str>,
    pub(crate) limits: ComputeLimits,
    pub(crate) fee_payer: SvmAddress,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            memo: None,
            limits: ComputeLimits::default(),
            fee_payer: of(&fee_payer()),
        }
    }
}

pub(crate) fn judge(bytes: &[u8], offer: &Offer) -> Result<Transfer, Refusal> {
    let managed = [of(&fee_payer()), of(&other_fee_payer())];
    let wanted = Wanted {
        fee_payer: offer.fee_payer,
        managed: &managed,
        mint: MINT,
        program: TOKEN,
        decimals: DECIMALS,
        payee: PAYEE,
        amount: AMOUNT,
        memo: offer.memo,
        limits: offer.limits,
    };
    check(Transaction::read(bytes)?, &wanted)
}
