//! Verdicts of strangers: which are taken, and which are no answer.

use farebox_wire::money::{Amount, UsdMicros};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::*;

const PAYER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

fn terms() -> Terms {
    Terms {
        protocol: "x402".into(),
        rail: "evm".into(),
        network: "eip155:84532".parse().expect("a chain"),
        scheme: "exact".into(),
        asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e"
            .parse()
            .expect("an asset"),
        symbol: "USDC".into(),
        decimals: 6,
        amount: Amount::from_atomic(1_000),
        fee_max: Amount::ZERO,
        cost: UsdMicros(1_000),
        payee: "0xa0ee7a142d267c1f36714e4a8f75612f20a79720".into(),
        payer: Some(PAYER.into()),
    }
}

fn said(status: u16, body: &Value) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).expect("a status"),
        retry_after: None,
        body: body.to_string().into_bytes(),
    }
}

fn success() -> Value {
    json!({"success": true, "transaction": "0xabc", "network": "eip155:84532", "payer": PAYER.to_uppercase().replace("0X", "0x")})
}

#[test]
fn a_verdict_is_read_whatever_status_carries_it() {
    for status in [200, 400, 402, 409, 500, 503] {
        let no = json!({"isValid": false, "invalidReason": "x"});
        assert!(verify(&said(status, &no), &terms()).is_ok_and(|v| !v.is_valid));
        let no = json!({"success": false, "errorReason": "x", "transaction": "", "network": "n"});
        assert!(settle(&said(status, &no), &terms()).is_ok_and(|v| !v.success));
    }
}

#[test]
fn a_success_is_for_this_payment_or_it_is_no_answer() {
    assert!(settle(&said(200, &success()), &terms()).is_ok());
    for (field, value) in [
        ("network", json!("eip155:1")),
        ("network", json!("base-sepolia")),
        ("payer", json!("0x0000000000000000000000000000000000000001")),
        ("amount", json!("999")),
        ("transaction", json!("")),
        ("transaction", Value::Null),
        ("success", json!("true")),
        ("success", json!(1)),
    ] {
        let mut lie = success();
        lie[field] = value;
        assert!(settle(&said(200, &lie), &terms()).is_err(), "{lie}");
    }
    let other = json!({"isValid": true, "payer": "0x0000000000000000000000000000000000000001"});
    assert!(verify(&said(200, &other), &terms()).is_err());
}

#[test]
fn what_has_no_shape_of_a_verdict_is_no_answer() {
    for body in [
        json!({}),
        json!([]),
        json!("yes"),
        json!({"error": "busy"}),
        json!({"isValid": null, "success": null}),
    ] {
        assert!(verify(&said(200, &body), &terms()).is_err(), "{body}");
        assert!(settle(&said(200, &body), &terms()).is_err(), "{body}");
    }
    let twice = Answer {
        status: StatusCode::OK,
        retry_after: None,
        body: br#"{"success":true,"success":false,"transaction":"0x1","network":"eip155:84532"}"#
            .to_vec(),
    };
    assert!(settle(&twice, &terms()).is_err());
}

#[test]
fn texts_of_strangers_are_one_short_line() {
    let long = format!("a\n\u{1b}[31m{}", "b".repeat(1_000_000));
    assert!(plain(&long).chars().count() <= TEXT_CHARS_MAX);
    assert!(!plain(&long).contains(['\n', '\u{1b}']));
    assert_eq!(code(Some("settlement_pending: 12 s")), "settlement_pending");
    assert_eq!(code(None), "no reason");
}

#[test]
fn a_used_nonce_and_a_failed_transaction_are_not_the_buyers_fault_by_word_alone() {
    for code in [
        "invalid_exact_evm_nonce_already_used",
        "invalid_exact_evm_transaction_failed",
        "unexpected_settle_error",
        "settlement_pending",
        "something_new",
    ] {
        assert_eq!(fault_of_buyer(code), None, "{code}");
    }
    let poor = "invalid_exact_evm_insufficient_balance";
    assert_eq!(fault_of_buyer(poor), Some(Reason::InsufficientBalance));
}

#[test]
fn an_account_of_solana_is_another_one_in_another_case() {
    let payer = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM";
    let terms = Terms {
        payer: Some(payer.into()),
        ..terms()
    };
    let named = |payer: &str| {
        verify(
            &said(200, &json!({"isValid": true, "payer": payer})),
            &terms,
        )
    };
    assert!(named(payer).is_ok());
    assert!(named(&payer.to_lowercase()).is_err());
}

#[test]
fn on_solana_what_was_signed_may_be_at_fault_and_what_the_chain_thinks_is_not() {
    let wrong = "invalid_exact_svm_payload_amount_mismatch";
    assert_eq!(fault_of_buyer(wrong), Some(Reason::SvmAmountMismatch));
    for code in [
        "invalid_exact_svm_transaction_simulation_failed",
        "invalid_exact_svm_transaction_failed",
        "invalid_exact_svm_fee_payer_not_managed_by_facilitator",
        "duplicate_settlement",
    ] {
        assert_eq!(fault_of_buyer(code), None, "{code}");
    }
}
