//! Which logs prove a payment, and which only look like it.

use farebox_wire::money::Amount;

use super::*;
use crate::rpc::Data;

const TOKEN: EvmAddress = EvmAddress([1; 20]);

fn transfer() -> Eip3009Authorization {
    Eip3009Authorization {
        from: EvmAddress([2; 20]),
        to: EvmAddress([3; 20]),
        value: Amount::from_atomic(1_000),
        valid_after: 0,
        valid_before: 100,
        nonce: Word([4; 32]),
    }
}

fn log(topics: [Word; 3], data: Vec<u8>) -> Log {
    Log {
        address: TOKEN,
        topics: topics.to_vec(),
        data: Data(data),
        transaction_hash: Word::ZERO,
        block_number: 1,
        removed: false,
    }
}

fn used(transfer: &Eip3009Authorization) -> Log {
    let from = Word(address_word(transfer.from));
    log([USED_TOPIC, from, transfer.nonce], vec![])
}

fn moved(transfer: &Eip3009Authorization) -> Log {
    let (from, to) = (address_word(transfer.from), address_word(transfer.to));
    let value = number_word(transfer.value.atomic());
    log([TRANSFER_TOPIC, Word(from), Word(to)], value.to_vec())
}

fn carried_out(logs: Vec<Log>) -> bool {
    let receipt = Receipt {
        transaction_hash: Word::ZERO,
        block_number: 1,
        status: 1,
        logs,
        gas_used: None,
        effective_gas_price: None,
        l1_fee: None,
    };
    carries_out(&receipt, TOKEN, &transfer())
}

#[test]
fn both_logs_are_needed() {
    let t = transfer();
    assert!(carried_out(vec![used(&t), moved(&t)]));
    assert!(carried_out(vec![moved(&t), used(&t)]));
    assert!(!carried_out(vec![used(&t)]));
    assert!(!carried_out(vec![moved(&t)]));
    assert!(!carried_out(vec![]));
}

#[test]
fn a_failed_transaction_has_moved_nothing() {
    let t = transfer();
    let receipt = Receipt {
        transaction_hash: Word::ZERO,
        block_number: 1,
        status: 0,
        logs: vec![used(&t), moved(&t)],
        gas_used: None,
        effective_gas_price: None,
        l1_fee: None,
    };
    assert!(!carries_out(&receipt, TOKEN, &t));
}

#[test]
fn another_amount_payee_token_or_nonce_is_another_payment() {
    let t = transfer();
    let mut less = t.clone();
    less.value = Amount::from_atomic(999);
    assert!(!carried_out(vec![used(&t), moved(&less)]));
    let mut elsewhere = t.clone();
    elsewhere.to = EvmAddress([9; 20]);
    assert!(!carried_out(vec![used(&t), moved(&elsewhere)]));
    let mut other = t.clone();
    other.nonce = Word([9; 32]);
    assert!(!carried_out(vec![used(&other), moved(&t)]));
    let mut foreign = moved(&t);
    foreign.address = EvmAddress([9; 20]);
    assert!(!carried_out(vec![used(&t), foreign]));
    let mut removed = moved(&t);
    removed.removed = true;
    assert!(!carried_out(vec![used(&t), removed]));
}

#[test]
fn anothers_transfer_in_the_same_transaction_is_not_taken_for_ours() {
    // One signer, two authorizations in one batch: ours was used up by a twin that paid
    // somebody else, the second one pays us the same amount.
    let ours = transfer();
    let mut twin = ours.clone();
    twin.to = EvmAddress([9; 20]);
    let mut second = ours.clone();
    second.nonce = Word([5; 32]);
    assert!(!carried_out(vec![
        used(&ours),
        moved(&twin),
        used(&second),
        moved(&second),
    ]));
    assert!(carried_out(vec![
        used(&second),
        moved(&second),
        used(&ours),
        moved(&ours),
    ]));
}

#[test]
fn a_cancellation_is_told_from_a_use() {
    let t = transfer();
    let from = Word(address_word(t.from));
    let canceled = log([CANCELED_TOPIC, from, t.nonce], vec![]);
    assert!(is_canceled(&canceled, &t) && !is_used(&canceled, &t));
    assert!(is_used(&used(&t), &t) && !is_canceled(&used(&t), &t));
}
