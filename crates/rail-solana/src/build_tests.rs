//! Transactions against those of npm `@x402/svm`, in `conformance/x402/exact-svm.json`.

use serde_json::Value;

use super::*;
use crate::handle::{digest_of, join, split};
use crate::key::{SolanaKey, has_signed};

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../conformance/x402/exact-svm.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

fn payment<'a>(case: &'a Value, payer: SvmAddress) -> Payment<'a> {
    let offer = &case["requirements"];
    Payment {
        payer,
        fee_payer: text(&offer["extra"], "feePayer").parse().unwrap(),
        payee: text(offer, "payTo").parse().unwrap(),
        mint: text(offer, "asset").parse().unwrap(),
        program: match text(case, "tokenProgram") {
            "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA" => TokenProgram::SplToken,
            _ => TokenProgram::Token2022,
        },
        decimals: u8::try_from(case["decimals"].as_u64().unwrap()).unwrap(),
        amount: text(offer, "amount").parse().unwrap(),
        memo: text(case, "memo"),
        blockhash: text(case, "blockhash").parse().unwrap(),
        budget: Budget::USUAL,
    }
}

#[test]
fn a_transaction_is_byte_for_byte_that_of_the_official_client() {
    let vectors = vectors();
    let key = SolanaKey::parse(text(&vectors, "seed")).unwrap();
    assert_eq!(key.address().to_string(), text(&vectors, "payer"));
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let message = payment(case, key.address()).message().unwrap();
        assert_eq!(
            hex::encode(digest_of(&message)),
            text(case, "messageSha256")
        );
        let signature = key.sign(&message);
        assert_eq!(signature.to_string(), text(case, "payerSignature"));
        assert!(has_signed(key.address(), &message, &signature));
        let unsigned = farebox_wire::svm::SvmSignature::ZERO;
        let whole = join(&[unsigned, signature], &message).unwrap();
        assert_eq!(
            whole.to_string(),
            text(&case["payload"], "transaction"),
            "{}",
            case["name"]
        );
        assert_eq!(split(whole.bytes()).unwrap().1, message);
    }
}

#[test]
fn accounts_stand_in_the_order_of_a_dictionary() {
    // Made so that bytes, letters with case and letters without it give three orders.
    let mut keys: Vec<Address> = (0..=u8::MAX)
        .map(|b| Address::new_from_array([b; 32]))
        .collect();
    keys.sort_by(by_text);
    let texts: Vec<String> = keys.iter().map(Address::to_string).collect();
    assert!(texts.is_sorted_by_key(|text| text.to_ascii_lowercase()));
    assert!(!texts.is_sorted());
    assert!(!keys.is_sorted());
}

#[test]
fn a_payment_in_which_one_account_plays_two_parts_is_not_written() {
    let vectors = vectors();
    let case = &vectors["cases"][0];
    let payer = SvmAddress([9; 32]);
    let good = payment(case, payer);
    let (source, destination) = (good.source(), good.destination());
    assert!(good.message().is_some());
    for fee_payer in [payer, good.mint, source, destination, account::svm(&MEMO)] {
        let odd = Payment {
            fee_payer,
            ..payment(case, payer)
        };
        assert!(odd.message().is_none(), "{fee_payer}");
    }
    let to_itself = Payment {
        payee: payer,
        ..payment(case, payer)
    };
    assert!(to_itself.message().is_none());
}

#[test]
fn budgets_differ_for_a_long_time_and_never_cost_more_than_a_lamport() {
    let numbers = || (0..48_128).map(Budget::varied);
    let all: std::collections::HashSet<Budget> = numbers().collect();
    assert_eq!(all.len(), 48_128);
    assert!(all.contains(&Budget::USUAL));
    for budget in numbers() {
        let microlamports = u64::from(budget.units) * budget.microlamports_per_unit;
        assert!(
            budget.units < 40_000 && microlamports <= 1_000_000,
            "{budget:?}"
        );
    }
    // Its numbers go round.
    assert_eq!(Budget::varied(48_128), Budget::varied(0));
    Budget::varied(u32::MAX);
}
