//! What a transaction must be before a fee payer of ours signs it: every rule of scheme `exact` on
//! Solana that needs no chain (x402 specification, `scheme_exact_svm`), cheapest first, the
//! payer's signature last.
//!
//! Called when a credential is examined, and again for what was stored before it is signed. Only a
//! [`Transfer`] is ever signed, and only [`check`] and [`again`] make one.

use farebox_core::rail::Refusal;
use farebox_wire::svm::{SvmAddress, SvmBlockhash, SvmSignature};
use farebox_wire::x402::reason::Reason;

use crate::account::{self, program_of, svm, token_account_of};
use crate::assets::TokenProgram;
use crate::key::has_signed;
use crate::message::{Instruction, Transaction};
use crate::options::ComputeLimits;

const COMPUTE_BUDGET: SvmAddress = svm(&account::COMPUTE_BUDGET);
const MEMO: SvmAddress = svm(&account::MEMO);
const LIGHTHOUSE: SvmAddress = svm(&account::LIGHTHOUSE);

/// The fee payer and the payer.
const SIGNERS: u8 = 2;
/// Where the payer stands among the accounts: behind the fee payer, the only other signer.
const PAYER: usize = 1;
/// Limit, price and transfer.
const INSTRUCTIONS_MIN: usize = 3;
/// Four more: a memo, and what wallets add (three of Lighthouse at most).
const INSTRUCTIONS_MAX: usize = 7;
/// `SetComputeUnitLimit`, before its number.
const SET_LIMIT: u8 = 2;
/// `SetComputeUnitPrice`, before its number.
const SET_PRICE: u8 = 3;
/// `TransferChecked`, before its amount and decimals.
const TRANSFER_CHECKED: u8 = 12;

/// What an offer asks of a transaction.
pub(crate) struct Wanted<'a> {
    /// The fee payer that the offer names; it is one of `managed`.
    pub(crate) fee_payer: SvmAddress,
    /// Every fee payer of ours.
    pub(crate) managed: &'a [SvmAddress],
    pub(crate) mint: SvmAddress,
    /// The mint's program, from our table.
    pub(crate) program: TokenProgram,
    /// The mint's decimals, likewise.
    pub(crate) decimals: u8,
    /// The account whose token account is paid.
    pub(crate) payee: SvmAddress,
    /// Atomic units.
    pub(crate) amount: u64,
    pub(crate) memo: Option<&'a str>,
    pub(crate) limits: ComputeLimits,
}

/// A transfer that a fee payer of ours may pay for: well formed, harmless to us, and signed by its
/// payer.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    transaction: Transaction,
    parts: Parts,
}

/// What a transaction says, read by the rules of its layout.
#[derive(Clone, Debug)]
struct Parts {
    fee_payer: SvmAddress,
    payer: SvmAddress,
    payer_signature: SvmSignature,
    units: u32,
    /// Millionths of a lamport for each unit.
    price: u64,
    program: TokenProgram,
    source: SvmAddress,
    mint: SvmAddress,
    destination: SvmAddress,
    amount: u64,
    decimals: u8,
    memos: Vec<Vec<u8>>,
}

/// Checks a transaction against every rule that needs no chain.
pub(crate) fn check(transaction: Transaction, wanted: &Wanted<'_>) -> Result<Transfer, Refusal> {
    let parts = layout(&transaction, wanted.managed)?;
    if parts.fee_payer != wanted.fee_payer {
        return Err(refusal(
            Reason::SvmFeePayerMismatch,
            format!(
                "its fee payer is {}, not {}",
                parts.fee_payer, wanted.fee_payer
            ),
        ));
    }
    costs(&parts, wanted.limits)?;
    answers(&parts, wanted)?;
    signed(transaction, parts)
}

/// Checks what was examined before and stored, so that nothing is ever signed that is not safe for
/// us. What it had to pay to whom was decided then.
pub(crate) fn again(transaction: Transaction, managed: &[SvmAddress]) -> Result<Transfer, Refusal> {
    let parts = layout(&transaction, managed)?;
    signed(transaction, parts)
}

/// Checks of what has passed [`check`] what may have changed since: which fee payers are ours.
pub(crate) fn alone(transfer: &Transfer, managed: &[SvmAddress]) -> Result<(), Refusal> {
    let (transaction, fee_payer) = (&transfer.transaction, transfer.fee_payer());
    let others = transaction.keys().get(PAYER..).unwrap_or_default();
    stands_alone(transaction, &fee_payer, others, managed)
}

impl Transfer {
    /// What the fee payer signs, and the payer has.
    pub(crate) fn message(&self) -> &[u8] {
        self.transaction.message()
    }

    /// What names the payment.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.transaction.digest()
    }

    pub(crate) const fn blockhash(&self) -> SvmBlockhash {
        self.transaction.blockhash()
    }

    pub(crate) const fn fee_payer(&self) -> SvmAddress {
        self.parts.fee_payer
    }

    /// Who pays, as wallets know them.
    pub(crate) const fn payer(&self) -> SvmAddress {
        self.parts.payer
    }

    pub(crate) const fn payer_signature(&self) -> SvmSignature {
        self.parts.payer_signature
    }

    /// The token account that pays.
    pub(crate) const fn source(&self) -> SvmAddress {
        self.parts.source
    }

    /// The token account that is paid.
    pub(crate) const fn destination(&self) -> SvmAddress {
        self.parts.destination
    }

    /// Atomic units.
    pub(crate) const fn amount(&self) -> u64 {
        self.parts.amount
    }

    /// What it costs its fee payer, in lamports, whether or not it succeeds.
    pub(crate) fn fee_lamports(&self) -> u64 {
        fee_lamports(self.parts.units, self.parts.price)
    }
}

/// What a transaction with two signatures costs.
fn fee_lamports(units: u32, price: u64) -> u64 {
    let priority = u128::from(units)
        .saturating_mul(price.into())
        .div_ceil(MICROLAMPORTS);
    u64::try_from(priority)
        .unwrap_or(u64::MAX)
        .saturating_add(SIGNATURE_LAMPORTS.saturating_mul(SIGNERS.into()))
}

/// Of a lamport.
const MICROLAMPORTS: u128 = 1_000_000;
/// What the chain takes for each signature.
const SIGNATURE_LAMPORTS: u64 = 5_000;

/// A refusal that the buyer has earned.
pub(crate) fn refusal(reason: Reason, message: impl Into<String>) -> Refusal {
    Refusal {
        reason,
        message: message.into(),
        is_ours: false,
    }
}

/// Reads a transaction by its layout, which is the same for every offer, and makes sure that it can
/// do nothing to a fee payer but cost its fee.
fn layout(transaction: &Transaction, managed: &[SvmAddress]) -> Result<Parts, Refusal> {
    if transaction.required_signatures() != SIGNERS {
        return Err(refusal(
            Reason::SvmExcessiveSigners,
            format!(
                "{} must sign it; it takes two, the fee payer and the payer",
                transaction.required_signatures()
            ),
        ));
    }
    let (Some((fee_payer, others)), Some(payer_signature)) = (
        transaction.keys().split_first(),
        transaction.signature(PAYER),
    ) else {
        return Err(refusal(
            Reason::SvmTransactionUnreadable,
            "it has no signers",
        ));
    };
    let count = transaction.len();
    if !(INSTRUCTIONS_MIN..=INSTRUCTIONS_MAX).contains(&count) {
        return Err(refusal(
            Reason::SvmInstructionsLength,
            format!("it has {count} instructions, not {INSTRUCTIONS_MIN} to {INSTRUCTIONS_MAX}"),
        ));
    }
    stands_alone(transaction, fee_payer, others, managed)?;

    let mut instructions = transaction.instructions();
    let units = limit(instructions.next())?;
    let price = price(instructions.next())?;
    let transfer = instructions.next();
    let memos = others_of(instructions)?;
    let (program, [source, mint, destination, authority], amount, decimals) = moved(transfer)?;
    // The other signer; whoever else had to sign for the tokens has not.
    let payer = others.first().copied().unwrap_or(SvmAddress::ZERO);
    if authority != payer {
        return Err(refusal(
            Reason::SvmInvalidSignature,
            format!("{authority}, whose tokens it moves, has not signed it"),
        ));
    }
    if source != token_account_of(payer, mint, program) {
        return Err(refusal(
            Reason::SvmTransaction,
            format!("{source} is not the token account of {payer}"),
        ));
    }
    Ok(Parts {
        fee_payer: *fee_payer,
        payer,
        payer_signature,
        units,
        price,
        program,
        source,
        mint,
        destination,
        amount,
        decimals,
        memos,
    })
}

/// No fee payer of ours stands anywhere but where it pays the fee, so that no program is handed its
/// signature.
fn stands_alone(
    transaction: &Transaction,
    fee_payer: &SvmAddress,
    others: &[SvmAddress],
    managed: &[SvmAddress],
) -> Result<(), Refusal> {
    if !managed.contains(fee_payer) {
        return Err(refusal(
            Reason::SvmFeePayerMismatch,
            format!("its fee payer {fee_payer} is none of this facilitator's"),
        ));
    }
    if let Some(ours) = others.iter().find(|key| managed.contains(key)) {
        return Err(refusal(
            Reason::SvmFeePayerTransfers,
            format!("it names {ours}, a fee payer, for more than its fee"),
        ));
    }
    let is_used = |instruction: Instruction<'_>| {
        instruction.program == *fee_payer || instruction.accounts.contains(fee_payer)
    };
    if transaction.instructions().any(is_used) {
        return Err(refusal(
            Reason::SvmFeePayerTransfers,
            format!("an instruction of it names the fee payer {fee_payer}"),
        ));
    }
    Ok(())
}

/// The number behind an instruction's first byte, where it is one of the compute budget's.
fn budget<const N: usize>(instruction: Option<&Instruction<'_>>, which: u8) -> Option<[u8; N]> {
    let instruction = instruction.filter(|i| i.program == COMPUTE_BUDGET)?;
    let (first, rest) = instruction.data.split_first()?;
    (*first == which).then_some(())?;
    rest.try_into().ok()
}

fn limit(instruction: Option<Instruction<'_>>) -> Result<u32, Refusal> {
    let units = budget(instruction.as_ref(), SET_LIMIT).map(u32::from_le_bytes);
    units.ok_or_else(|| {
        refusal(
            Reason::SvmComputeLimit,
            "its first instruction is not SetComputeUnitLimit",
        )
    })
}

fn price(instruction: Option<Instruction<'_>>) -> Result<u64, Refusal> {
    let price = budget(instruction.as_ref(), SET_PRICE).map(u64::from_le_bytes);
    price.ok_or_else(|| {
        refusal(
            Reason::SvmComputePrice,
            "its second instruction is not SetComputeUnitPrice",
        )
    })
}

/// Program, accounts (source, mint, destination, authority), amount and decimals of a transfer.
type Moved = (TokenProgram, [SvmAddress; 4], u64, u8);

fn moved(instruction: Option<Instruction<'_>>) -> Result<Moved, Refusal> {
    let read = |instruction: &Instruction<'_>| {
        let accounts = instruction.accounts.as_slice().try_into().ok()?;
        let (amount, decimals) = match instruction.data.split_first()? {
            (&TRANSFER_CHECKED, rest) => rest.split_first_chunk::<8>()?,
            _ => return None,
        };
        let [decimals] = decimals.try_into().ok()?;
        Some((accounts, u64::from_le_bytes(*amount), decimals))
    };
    let moved = instruction.and_then(|instruction| {
        let mut programs = [TokenProgram::SplToken, TokenProgram::Token2022].into_iter();
        let program = programs.find(|p| svm(&program_of(*p)) == instruction.program)?;
        let (accounts, amount, decimals) = read(&instruction)?;
        Some((program, accounts, amount, decimals))
    });
    moved.ok_or_else(|| {
        refusal(
            Reason::SvmNoTransfer,
            "its third instruction is not TransferChecked with one authority",
        )
    })
}

/// What may follow the transfer; returns the memos.
fn others_of<'a>(
    instructions: impl Iterator<Item = Instruction<'a>>,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let places = [
        Reason::SvmUnknownFourth,
        Reason::SvmUnknownFifth,
        Reason::SvmUnknownSixth,
        Reason::SvmUnknownSeventh,
    ];
    let mut memos = Vec::new();
    let reasons = places
        .into_iter()
        .chain(std::iter::repeat(Reason::SvmUnknownOptional));
    for (instruction, reason) in instructions.zip(reasons) {
        match instruction.program {
            MEMO => memos.push(instruction.data.to_vec()),
            LIGHTHOUSE => {}
            program => {
                return Err(refusal(
                    reason,
                    format!("only memos and assertions may follow the transfer, not {program}"),
                ));
            }
        }
    }
    Ok(memos)
}

/// What it may cost us.
fn costs(parts: &Parts, limits: ComputeLimits) -> Result<(), Refusal> {
    if parts.units > limits.units {
        return Err(refusal(
            Reason::SvmComputeLimitTooHigh,
            format!(
                "its limit is {} compute units; at most {} are paid for",
                parts.units, limits.units
            ),
        ));
    }
    if parts.price > limits.microlamports_per_unit {
        return Err(refusal(
            Reason::SvmComputePriceTooHigh,
            format!(
                "it pays {} microlamports for a compute unit; at most {} are paid",
                parts.price, limits.microlamports_per_unit
            ),
        ));
    }
    let fee = fee_lamports(parts.units, parts.price);
    if fee > limits.fee_lamports {
        return Err(refusal(
            Reason::SvmComputePriceTooHigh,
            format!(
                "its fee is {fee} lamports; at most {} are paid",
                limits.fee_lamports
            ),
        ));
    }
    Ok(())
}

/// Whether it is what the offer asks for.
fn answers(parts: &Parts, wanted: &Wanted<'_>) -> Result<(), Refusal> {
    if parts.mint != wanted.mint || parts.program != wanted.program {
        return Err(refusal(
            Reason::SvmMintMismatch,
            format!(
                "it moves {} of program {}, not {} of {}",
                parts.mint,
                svm(&program_of(parts.program)),
                wanted.mint,
                svm(&program_of(wanted.program))
            ),
        ));
    }
    if parts.decimals != wanted.decimals {
        return Err(refusal(
            Reason::SvmMintMismatch,
            format!(
                "it counts {} decimals; {} has {}",
                parts.decimals, parts.mint, wanted.decimals
            ),
        ));
    }
    let destination = token_account_of(wanted.payee, wanted.mint, wanted.program);
    if parts.destination != destination {
        return Err(refusal(
            Reason::SvmRecipientMismatch,
            format!(
                "it pays {}, not {destination}, the token account of {}",
                parts.destination, wanted.payee
            ),
        ));
    }
    // To the unit: a larger one is a mistake of the buyer that we do not profit from.
    if parts.amount != wanted.amount {
        return Err(refusal(
            Reason::SvmAmountMismatch,
            format!(
                "it moves {} atomic units, not {}",
                parts.amount, wanted.amount
            ),
        ));
    }
    match (wanted.memo, parts.memos.as_slice()) {
        (None, _) => Ok(()),
        (Some(wanted), [memo]) if memo == wanted.as_bytes() => Ok(()),
        (Some(_), [_]) => Err(refusal(
            Reason::SvmMemoMismatch,
            "its memo is not the one that the offer asks for",
        )),
        (Some(_), memos) => Err(refusal(
            Reason::SvmMemoCount,
            format!("it has {} memos, and the offer asks for one", memos.len()),
        )),
    }
}

/// The payer's own signature, over every byte of the message.
fn signed(transaction: Transaction, parts: Parts) -> Result<Transfer, Refusal> {
    if !has_signed(parts.payer, transaction.message(), &parts.payer_signature) {
        return Err(refusal(
            Reason::SvmInvalidSignature,
            format!("the signature is not that of {}", parts.payer),
        ));
    }
    Ok(Transfer { transaction, parts })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "damage_tests.rs"]
mod damage;
