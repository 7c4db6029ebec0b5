//! Strangers' bytes through the reader of transactions and the rules, with what must hold whatever
//! they are.
//!
//! Called by `fuzz/` (feature `fuzzing`) and by the tests of damage, never by the product. A panic
//! in here is a finding.

use farebox_core::rail::Refusal;
use farebox_wire::svm::SvmAddress;

use crate::assets::TokenProgram;
use crate::message::Transaction;
use crate::options::ComputeLimits;
use crate::rules::{Wanted, again, check};

/// Characters of a sentence about a transaction: a line for an answer, whatever it was.
const WHY_CHARS_MAX: usize = 400;

/// A transaction, judged by a facilitator whose key the bytes may choose.
///
/// # Panics
/// Where a rule is broken.
pub fn transaction(bytes: &[u8]) {
    let transaction = match Transaction::read(bytes) {
        Ok(transaction) => transaction,
        Err(refusal) => return assert_short(&refusal),
    };
    assert!(bytes.ends_with(transaction.message()), "one spelling");
    assert_eq!(transaction.instructions().count(), transaction.len());
    let keys = transaction.keys().to_vec();
    let stranger = [SvmAddress([0xee; 32])];
    assert!(again(transaction.clone(), &stranger).is_err(), "not ours");
    let own = keys.first().copied().unwrap_or(SvmAddress::ZERO);
    let managed = [own];
    let wanted = Wanted {
        fee_payer: own,
        managed: &managed,
        mint: SvmAddress::ZERO,
        program: TokenProgram::SplToken,
        decimals: 6,
        payee: SvmAddress::ZERO,
        amount: 1,
        memo: None,
        limits: ComputeLimits::default(),
    };
    if let Err(refusal) = check(transaction.clone(), &wanted) {
        assert_short(&refusal);
    }
    let transfer = match again(transaction.clone(), &managed) {
        Ok(transfer) => transfer,
        Err(refusal) => return assert_short(&refusal),
    };
    // What the fee payer may sign can do nothing to it.
    assert_eq!(transfer.fee_payer(), own);
    assert_ne!(transfer.payer(), own);
    for instruction in transaction.instructions() {
        assert_ne!(instruction.program, own);
        assert!(!instruction.accounts.contains(&own));
    }
}

fn assert_short(refusal: &Refusal) {
    assert!(!refusal.is_ours, "{refusal}");
    assert!(refusal.message.chars().count() < WHY_CHARS_MAX, "{refusal}");
}
