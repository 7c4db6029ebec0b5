//! The calls, byte by byte.

use alloy_primitives::keccak256;
use farebox_wire::evm::Word;
use farebox_wire::money::Amount;

use super::*;
use crate::key::EvmKey;
use crate::settle::batch::costs::Costs;

const TOKEN: EvmAddress = EvmAddress([0x77; 20]);
const AT: EvmAddress = EvmAddress([0x55; 20]);

fn record(seed: u8) -> Record {
    let mut secret = [0; 32];
    secret[31] = seed;
    let key = EvmKey::from_bytes(&secret).unwrap();
    Record {
        transfer: Eip3009Authorization {
            from: key.address(),
            to: EvmAddress([0x42; 20]),
            value: Amount::from_atomic(1_000),
            valid_after: 1,
            valid_before: 2,
            nonce: Word([seed; 32]),
        },
        signature: key.sign(&Word([seed; 32])),
    }
}

fn shared(contract: Contract) -> Shared {
    Shared {
        contract,
        token: TOKEN,
        gas: Costs::default().of(TOKEN),
        gas_estimated: 0,
    }
}

#[test]
fn the_selector_is_the_settlers() {
    assert_eq!(keccak256("settle(address,uint256,bytes)")[..4], SETTLE);
}

#[test]
fn the_settler_gets_whole_records_and_whole_words() {
    for count in 1..4 {
        let records: Vec<Record> = (1..=count).map(record).collect();
        let action = shared(Contract::Settler(AT)).action(&records);
        assert_eq!(action.to, AT);
        assert_eq!(action.data.len() % 32, 4);
        let bytes = usize::from(count) * RECORD_BYTES;
        assert_eq!(
            abi::word_number(&action.data[100..132]),
            Some(bytes as u128)
        );
        let last = &action.data[132 + bytes - RECORD_BYTES..132 + bytes];
        let Record {
            transfer,
            signature,
        } = &records[records.len() - 1];
        assert_eq!(last[..20], transfer.from.0);
        assert_eq!(last[72..104], transfer.nonce.0);
        assert_eq!(last[104], signature.v());
        assert_eq!(last[137..], signature.r_and_s().1.0);
        assert!(action.data[132 + bytes..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn multicall_gets_one_call_for_each_that_may_fail() {
    let records: Vec<Record> = (1..=3).map(record).collect();
    let data = shared(Contract::Multicall(AT)).action(&records).data;
    let word = |at: usize| abi::word_number(&data[at..at + 32]).unwrap() as usize;
    assert_eq!((word(4), word(36)), (32, 3));
    let base = 68;
    for (place, record) in records.iter().enumerate() {
        let call = base + word(base + 32 * place);
        assert_eq!(data[call + 12..call + 32], TOKEN.0);
        assert_eq!((word(call + 32), word(call + 64)), (1, 96));
        let length = word(call + 96);
        assert_eq!(data[call + 128..call + 128 + length], transfer(record));
    }
    assert_eq!(data.len() % 32, 4);
}

#[test]
fn one_payment_is_the_tokens_own_call() {
    let record = record(1);
    let call = transfer(&record);
    let action = shared(Contract::Token(TOKEN)).action(&[record]);
    assert_eq!((action.to, action.data), (TOKEN, call));
}
