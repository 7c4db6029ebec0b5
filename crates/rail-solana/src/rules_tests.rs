//! Each rule by one transaction that breaks exactly it, with the reason that is told. What breaks a
//! rule never becomes a `Transfer`, and nothing else is ever signed.

use farebox_wire::x402::reason::Reason;
use solana_address::Address;
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_message::{VersionedMessage, legacy, v0};
use solana_signature::Signature;
use solana_signer::Signer;

use super::{again, alone};
use crate::account::{self, address_of as address, token_account_of};
use crate::message::Transaction;
use crate::options::ComputeLimits;
use crate::samples::*;

/// What breaks a rule never becomes a [`Transfer`], and nothing else can be signed.
fn refused(bytes: &[u8], offer: &Offer) -> Reason {
    let refusal = judge(bytes, offer).expect_err("it breaks a rule");
    assert!(!refusal.is_ours, "{refusal}");
    refusal.reason
}

fn refused_instructions(instructions: &[Instruction]) -> Reason {
    refused(&bytes(instructions), &Offer::default())
}

fn with_pay(change: impl FnOnce(&mut Pay)) -> Vec<Instruction> {
    let mut pay = Pay::good();
    change(&mut pay);
    vec![limit(20_000), price(1), pay.instruction(), memo("hello")]
}

#[test]
fn what_keeps_every_rule_passes_and_says_what_it_is() {
    let bytes = bytes(&good());
    let transfer = judge(&bytes, &Offer::default()).unwrap();
    assert_eq!(transfer.fee_payer(), of(&fee_payer()));
    assert_eq!(transfer.payer(), of(&buyer()));
    assert_eq!(transfer.amount(), AMOUNT);
    assert_eq!(
        transfer.source(),
        token_account_of(of(&buyer()), MINT, TOKEN)
    );
    assert_eq!(transfer.destination(), token_account_of(PAYEE, MINT, TOKEN));
    // Two signatures, and 20,000 millionths of a lamport.
    assert_eq!(transfer.fee_lamports(), 10_001);
    assert_eq!(transfer.message(), &bytes[129..]);
    // The fee payer has not signed.
    assert_eq!(bytes[1..65], [0; 64]);
    let managed = [of(&fee_payer())];
    let again = again(Transaction::read(&bytes).unwrap(), &managed).unwrap();
    assert_eq!(again.digest(), transfer.digest());
    // Only whose the fee payers are may have changed since.
    assert!(alone(&transfer, &managed).is_ok());
    for managed in [&[][..], &[of(&fee_payer()), of(&buyer())]] {
        let refusal = alone(&transfer, managed).unwrap_err();
        assert!(!refusal.is_ours, "{refusal}");
    }
}

#[test]
fn what_stands_in_the_fee_payers_empty_place_changes_nothing() {
    let mut altered = bytes(&good());
    let first = judge(&altered, &Offer::default()).unwrap();
    altered[1..65].fill(0xab);
    let second = judge(&altered, &Offer::default()).unwrap();
    assert_eq!(first.digest(), second.digest());
}

#[test]
fn three_to_seven_instructions_pass_and_no_more_or_fewer() {
    let offer = Offer::default();
    let mut instructions = vec![limit(20_000), price(1), pay()];
    judge(&bytes(&instructions), &offer).unwrap();
    instructions.extend([lighthouse(), memo("a"), lighthouse(), lighthouse()]);
    judge(&bytes(&instructions), &offer).unwrap();
    instructions.push(lighthouse());
    assert_eq!(
        refused_instructions(&instructions),
        Reason::SvmInstructionsLength
    );
    assert_eq!(
        refused_instructions(&[limit(1), signed_memo()]),
        Reason::SvmInstructionsLength
    );
}

#[test]
fn the_first_two_instructions_are_limit_and_price_in_this_order() {
    let first = |i: Instruction| refused_instructions(&[i, price(1), pay()]);
    let second = |i: Instruction| refused_instructions(&[limit(1), i, pay()]);
    assert_eq!(first(price(1)), Reason::SvmComputeLimit);
    assert_eq!(first(memo("x")), Reason::SvmComputeLimit);
    assert_eq!(second(limit(1)), Reason::SvmComputePrice);
    assert_eq!(second(memo("x")), Reason::SvmComputePrice);
    // One byte too many, one too few.
    for (place, reason) in [(0, Reason::SvmComputeLimit), (1, Reason::SvmComputePrice)] {
        let mut instructions = good();
        instructions[place].data.push(0);
        assert_eq!(refused_instructions(&instructions), reason);
        let mut instructions = good();
        instructions[place].data.pop();
        assert_eq!(refused_instructions(&instructions), reason);
    }
    // A durable nonce would have to be advanced first: its payments never expire.
    let advance = Instruction::new_with_bytes(Address::default(), &[4, 0, 0, 0], vec![]);
    assert_eq!(
        refused_instructions(&[advance, limit(1), price(1), pay()]),
        Reason::SvmComputeLimit
    );
}

#[test]
fn the_third_instruction_is_one_plain_transfer() {
    let third = |i: Instruction| refused_instructions(&[limit(1), price(1), i]);
    assert_eq!(third(signed_memo()), Reason::SvmNoTransfer);
    // Transfer without mint and decimals, approval, burn, closing of an account.
    for discriminator in [3, 4, 8, 9, 13, 15] {
        let mut other = pay();
        other.data[0] = discriminator;
        assert_eq!(third(other), Reason::SvmNoTransfer);
    }
    let mut long = pay();
    long.data.push(0);
    assert_eq!(third(long), Reason::SvmNoTransfer);
    // Signers of a multisig stand behind the authority.
    let mut multisig = pay();
    multisig
        .accounts
        .push(AccountMeta::new_readonly(address(STRANGER), false));
    assert_eq!(third(multisig), Reason::SvmNoTransfer);
    let stranger = with_pay(|pay| pay.program = address(STRANGER));
    assert_eq!(refused_instructions(&stranger), Reason::SvmNoTransfer);
}

#[test]
fn only_memos_and_assertions_follow_and_the_place_is_told() {
    let reasons = [
        Reason::SvmUnknownFourth,
        Reason::SvmUnknownFifth,
        Reason::SvmUnknownSixth,
        Reason::SvmUnknownSeventh,
    ];
    for (after, reason) in reasons.into_iter().enumerate() {
        let mut instructions = vec![limit(1), price(1), pay()];
        instructions.extend((0..after).map(|_| lighthouse()));
        // A second transfer, of the same tokens.
        instructions.push(pay());
        assert_eq!(refused_instructions(&instructions), reason);
    }
}

#[test]
fn what_it_costs_is_limited() {
    let offer = Offer::default();
    let judged = |units, microlamports, offer: &Offer| {
        let it = bytes(&[limit(units), price(microlamports), pay()]);
        judge(&it, offer)
            .map(|t| t.fee_lamports())
            .map_err(|r| r.reason)
    };
    assert_eq!(judged(40_000, 1, &offer), Ok(10_001));
    assert_eq!(
        judged(40_001, 1, &offer),
        Err(Reason::SvmComputeLimitTooHigh)
    );
    assert_eq!(judged(20_000, 5_000_000, &offer), Ok(110_000));
    assert_eq!(
        judged(20_000, 5_000_001, &offer),
        Err(Reason::SvmComputePriceTooHigh)
    );
    // Each is allowed, and together they cost too much.
    assert_eq!(
        judged(40_000, 5_000_000, &offer),
        Err(Reason::SvmComputePriceTooHigh)
    );
    assert_eq!(
        judged(u32::MAX, 1, &offer),
        Err(Reason::SvmComputeLimitTooHigh)
    );
    assert_eq!(
        judged(1, u64::MAX, &offer),
        Err(Reason::SvmComputePriceTooHigh)
    );
    let limits = ComputeLimits {
        units: u32::MAX,
        microlamports_per_unit: u64::MAX,
        fee_lamports: u64::MAX,
    };
    let unlimited = Offer {
        limits,
        ..Offer::default()
    };
    // More than a u64 holds is taken as the most that it holds, never as little.
    assert_eq!(judged(u32::MAX, u64::MAX, &unlimited), Ok(u64::MAX));
}

#[test]
fn the_transfer_is_of_the_offers_mint_amount_and_payee() {
    let other_mint = with_pay(|pay| {
        pay.mint = STRANGER;
        pay.source = token_account_of(pay.authority, STRANGER, TOKEN);
        pay.destination = token_account_of(PAYEE, STRANGER, TOKEN);
    });
    assert_eq!(refused_instructions(&other_mint), Reason::SvmMintMismatch);
    let other_program = with_pay(|pay| {
        pay.program = account::TOKEN_2022;
        pay.source = token_account_of(pay.authority, MINT, TOKEN_2022);
        pay.destination = token_account_of(PAYEE, MINT, TOKEN_2022);
    });
    assert_eq!(
        refused_instructions(&other_program),
        Reason::SvmMintMismatch
    );
    let decimals = with_pay(|pay| pay.decimals = 9);
    assert_eq!(refused_instructions(&decimals), Reason::SvmMintMismatch);
    for destination in [PAYEE, STRANGER, token_account_of(STRANGER, MINT, TOKEN)] {
        let elsewhere = with_pay(|pay| pay.destination = destination);
        assert_eq!(
            refused_instructions(&elsewhere),
            Reason::SvmRecipientMismatch
        );
    }
    for amount in [0, AMOUNT - 1, AMOUNT + 1, u64::MAX] {
        let other = with_pay(|pay| pay.amount = amount);
        assert_eq!(refused_instructions(&other), Reason::SvmAmountMismatch);
    }
}

#[test]
fn the_tokens_are_the_signers_own() {
    // Moved from an account that the payer may be allowed to use.
    let delegated = with_pay(|pay| pay.source = STRANGER);
    assert_eq!(refused_instructions(&delegated), Reason::SvmTransaction);
    // The payer signs, and somebody else's tokens are moved.
    let mut stolen = with_pay(|pay| pay.authority = STRANGER);
    stolen[2].accounts[3].is_signer = false;
    stolen[3]
        .accounts
        .push(AccountMeta::new_readonly(buyer().pubkey(), true));
    assert_eq!(refused_instructions(&stolen), Reason::SvmInvalidSignature);
}

#[test]
fn a_fee_payer_pays_the_fee_and_stands_nowhere_else() {
    let own = of(&fee_payer());
    let mut cases = Vec::new();
    // As authority of the transfer it would be the only signer: somebody else signs a memo.
    let mut authority = with_pay(|pay| {
        pay.authority = own;
        pay.source = token_account_of(own, MINT, TOKEN);
    });
    authority[3]
        .accounts
        .push(AccountMeta::new_readonly(buyer().pubkey(), true));
    cases.push(authority);
    cases.push(with_pay(|pay| pay.source = own));
    cases.push(with_pay(|pay| pay.destination = own));
    for place in 0..4 {
        for is_signer in [false, true] {
            let mut instructions = good();
            let account = AccountMeta::new(fee_payer().pubkey(), is_signer);
            instructions[place].accounts.push(account);
            cases.push(instructions);
        }
    }
    for instructions in cases {
        assert_eq!(
            refused_instructions(&instructions),
            Reason::SvmFeePayerTransfers
        );
    }
}

#[test]
fn a_fee_payer_is_no_program() {
    let mut program = good();
    program[3].program_id = fee_payer().pubkey();
    assert_eq!(
        refused_instructions(&program),
        Reason::SvmTransactionUnreadable
    );
    let mut other = good();
    other[3].program_id = other_fee_payer().pubkey();
    assert_eq!(refused_instructions(&other), Reason::SvmFeePayerTransfers);
}

#[test]
fn no_other_fee_payer_of_ours_is_used_either() {
    let other = of(&other_fee_payer());
    let authority = with_pay(|pay| {
        pay.authority = other;
        pay.source = token_account_of(other, MINT, TOKEN);
    });
    assert_eq!(
        refused_instructions(&authority),
        Reason::SvmFeePayerTransfers
    );
    let mut account = good();
    account[3]
        .accounts
        .push(AccountMeta::new(other_fee_payer().pubkey(), false));
    assert_eq!(refused_instructions(&account), Reason::SvmFeePayerTransfers);
}

#[test]
fn the_fee_payer_is_the_one_that_the_offer_names() {
    let offer = Offer {
        fee_payer: of(&other_fee_payer()),
        ..Offer::default()
    };
    assert_eq!(
        refused(&bytes(&good()), &offer),
        Reason::SvmFeePayerMismatch
    );
    let hash = Hash::new_from_array([5; 32]);
    let foreign = v0::Message::try_compile(&address(STRANGER), &good(), &[], hash).unwrap();
    let foreign = bincode::serialize(&signed_v0(foreign)).unwrap();
    assert_eq!(
        refused(&foreign, &Offer::default()),
        Reason::SvmFeePayerMismatch
    );
    let managed = [of(&fee_payer())];
    let refusal = again(Transaction::read(&foreign).unwrap(), &managed).unwrap_err();
    assert_eq!(refusal.reason, Reason::SvmFeePayerMismatch);
}

#[test]
fn fee_payer_and_payer_sign_and_nobody_else() {
    let mut third = good();
    third[3]
        .accounts
        .push(AccountMeta::new_readonly(address(STRANGER), true));
    assert_eq!(refused_instructions(&third), Reason::SvmExcessiveSigners);
    let mut nobody = good();
    nobody[2].accounts[3].is_signer = false;
    assert_eq!(refused_instructions(&nobody), Reason::SvmExcessiveSigners);
}

#[test]
fn the_payers_signature_is_there_and_right() {
    let with = |signature: Signature| {
        let mut transaction = signed_v0(message(&good()));
        transaction.signatures[1] = signature;
        refused(
            &bincode::serialize(&transaction).unwrap(),
            &Offer::default(),
        )
    };
    let message = message(&good()).serialize();
    assert_eq!(with(Signature::default()), Reason::SvmInvalidSignature);
    // Somebody else's, and the payer's own of something else.
    assert_eq!(
        with(fee_payer().sign_message(&message)),
        Reason::SvmInvalidSignature
    );
    assert_eq!(
        with(buyer().sign_message(b"another")),
        Reason::SvmInvalidSignature
    );
    // The payer's, with the group's order added to its scalar: the same to a careless reader.
    let mut twisted = <[u8; 64]>::from(buyer().sign_message(&message));
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in twisted[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(with(Signature::from(twisted)), Reason::SvmInvalidSignature);
}

#[test]
fn a_memo_that_is_asked_for_stands_there_once_and_word_for_word() {
    let asks = Offer {
        memo: Some("order 7"),
        ..Offer::default()
    };
    let with = |memos: &[&str]| {
        let mut instructions = vec![limit(1), price(1), pay()];
        instructions.extend(memos.iter().map(|text| memo(text)));
        judge(&bytes(&instructions), &asks)
            .map(drop)
            .map_err(|r| r.reason)
    };
    assert_eq!(with(&["order 7"]), Ok(()));
    assert_eq!(with(&[]), Err(Reason::SvmMemoCount));
    assert_eq!(with(&["order 7", "order 7"]), Err(Reason::SvmMemoCount));
    for wrong in ["order 8", "order 7 ", "", "ORDER 7"] {
        assert_eq!(with(&[wrong]), Err(Reason::SvmMemoMismatch));
    }
    // Nobody asked: as many as one likes.
    judge(
        &bytes(&[limit(1), price(1), pay(), memo("a"), memo("b")]),
        &Offer::default(),
    )
    .unwrap();
}

#[test]
fn lookup_tables_are_refused() {
    let mut looked_up = message(&good());
    looked_up
        .address_table_lookups
        .push(v0::MessageAddressTableLookup {
            account_key: address(STRANGER),
            writable_indexes: vec![],
            readonly_indexes: vec![0],
        });
    let looked_up = bincode::serialize(&signed_v0(looked_up)).unwrap();
    assert_eq!(
        refused(&looked_up, &Offer::default()),
        Reason::SvmTransaction
    );
}

#[test]
fn a_legacy_message_is_refused() {
    let legacy = legacy::Message::new_with_blockhash(
        &good(),
        Some(&fee_payer().pubkey()),
        &Hash::new_from_array([5; 32]),
    );
    let legacy = signed_message(VersionedMessage::Legacy(legacy));
    let legacy = bincode::serialize(&legacy).unwrap();
    assert_eq!(refused(&legacy, &Offer::default()), Reason::SvmTransaction);
}

#[test]
fn an_account_that_stands_there_twice_is_refused() {
    // The fee payer once more, under another number.
    let mut twice = message(&good());
    let last = twice.account_keys.len() - 1;
    twice.account_keys[last] = fee_payer().pubkey();
    let twice = bincode::serialize(&signed_v0(twice)).unwrap();
    assert_eq!(refused(&twice, &Offer::default()), Reason::SvmTransaction);
}

#[test]
fn what_is_no_transaction_is_unreadable() {
    let good = bytes(&good());
    let mut trailing = good.clone();
    trailing.push(0);
    let mut too_long = good.clone();
    too_long.resize(1_233, 0);
    let twice = [good.clone(), good.clone()].concat();
    for bytes in [
        &[][..],
        &[0],
        &trailing,
        &too_long,
        &twice,
        &good[..good.len() - 1],
    ] {
        assert_eq!(
            refused(bytes, &Offer::default()),
            Reason::SvmTransactionUnreadable
        );
    }
}

#[test]
fn a_transaction_of_the_largest_size_passes_and_a_longer_one_does_not() {
    let padded = |length: usize| {
        let text = "x".repeat(length);
        bytes(&[limit(1), price(1), pay(), memo(&text)])
    };
    let room = 1_232 - padded(200).len() + 200;
    assert_eq!(padded(room).len(), 1_232);
    judge(&padded(room), &Offer::default()).unwrap();
    assert_eq!(
        refused(&padded(room + 1), &Offer::default()),
        Reason::SvmTransactionUnreadable
    );
}

#[test]
fn a_length_that_is_spelled_longer_than_it_needs_is_unreadable() {
    let good = bytes(&good());
    // Two signatures, written in two bytes.
    let longer = [&[0x82, 0x00][..], &good[1..]].concat();
    assert_eq!(
        refused(&longer, &Offer::default()),
        Reason::SvmTransactionUnreadable
    );
}
