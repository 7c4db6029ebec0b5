//! What proves a settlement, and what proves nothing.

use farebox_wire::x402;
use serde_json::json;

use super::*;

fn terms() -> Terms {
    serde_json::from_value(json!({
        "protocol": "x402", "rail": "evm", "network": "eip155:84532", "scheme": "exact",
        "asset": "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e",
        "symbol": "USDC", "decimals": 6, "amount": "1000", "cost": "0.001",
        "payee": "0xbb", "payer": "0xab"
    }))
    .unwrap()
}

fn said(status: u16, receipts: &[Value]) -> Said {
    let mut headers = HeaderMap::new();
    for receipt in receipts {
        let text = header::encode(receipt).unwrap();
        headers.append(x402::PAYMENT_RESPONSE, text.parse().unwrap());
    }
    read(StatusCode::from_u16(status).unwrap(), &headers, &terms())
}

fn good() -> Value {
    json!({"success": true, "transaction": "0x1", "network": "eip155:84532", "payer": "0xAB"})
}

fn changed(field: &str, value: Value) -> Value {
    let mut receipt = good();
    receipt[field] = value;
    receipt
}

#[test]
fn a_receipt_for_this_payment_is_proof_whatever_the_status() {
    for status in [200, 409, 500] {
        let said = said(status, &[good()]);
        let transaction = "0x1".to_owned();
        assert_eq!(said.word, Word::Settled { transaction }, "{status}");
        let stored: Value = serde_json::from_str(&said.receipt.unwrap()).unwrap();
        assert_eq!(stored, good());
    }
}

#[test]
fn a_receipt_for_something_else_proves_nothing() {
    for (field, other) in [
        ("network", json!("eip155:8453")),
        ("payer", json!("0xac")),
        ("transaction", json!("")),
        ("transaction", json!("0x1\u{1b}[2J")),
        ("transaction", json!("a".repeat(129))),
    ] {
        let said = said(200, &[changed(field, other)]);
        assert_eq!(
            said.word,
            Word::Nothing {
                reason: "receipt_mismatch"
            },
            "{field}"
        );
        assert!(said.receipt.is_some(), "kept for the books");
    }
}

#[test]
fn what_cannot_be_read_is_no_receipt() {
    let nothing = Word::Nothing {
        reason: "no_receipt",
    };
    assert_eq!(said(200, &[]).word, nothing);
    assert_eq!(said(200, &[good(), good()]).word, nothing, "two receipts");
    for (field, odd) in [
        ("success", json!("true")),
        ("success", json!(1)),
        ("network", json!(7)),
    ] {
        assert_eq!(said(200, &[changed(field, odd)]).word, nothing, "{field}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        x402::PAYMENT_RESPONSE,
        http::HeaderValue::from_bytes(b"\xff\xfe").unwrap(),
    );
    assert_eq!(read(StatusCode::OK, &headers, &terms()).word, nothing);
}

#[test]
fn pending_is_neither_a_refusal_nor_proof() {
    let mut pending = changed("success", json!(false));
    pending["errorReason"] = json!("settlement_pending");
    assert_eq!(said(402, &[pending.clone()]).word, Word::Pending);
    assert_eq!(said(200, &[pending]).word, Word::Pending);
}

#[test]
fn a_refusal_carries_the_sellers_reason_cut_and_cleaned() {
    let refused = |reason: &str| Word::Refused {
        reason: reason.to_owned(),
    };
    let mut receipt = changed("success", json!(false));
    assert_eq!(said(402, &[receipt.clone()]).word, refused("refused"));
    receipt["errorReason"] = json!(format!("\u{1b}[2Jno\n{}", "x".repeat(10_000)));
    let Word::Refused { reason } = said(402, &[receipt]).word else {
        panic!("a refusal")
    };
    assert!(reason.starts_with("[2Jnoxxx") && reason.len() == REASON_CHARS_MAX);
    assert_eq!(said(500, &[]).word, refused("http_500"));
    let again = json!({"x402Version": 2, "error": "payment_already_used", "accepts": [],
        "resource": {"url": "https://h.example/"}});
    let mut headers = HeaderMap::new();
    headers.insert(
        x402::PAYMENT_REQUIRED,
        header::encode(&again).unwrap().parse().unwrap(),
    );
    let said = read(StatusCode::PAYMENT_REQUIRED, &headers, &terms());
    assert_eq!(said.word, refused("payment_already_used"));
}

#[test]
fn a_receipt_of_version_1_names_the_network_in_its_way() {
    let of_version_1 = |network: &str| {
        let receipt = json!({"success": true, "transaction": "0x1", "network": network});
        let mut headers = HeaderMap::new();
        let text = header::encode(&receipt).unwrap();
        headers.append(x402::X_PAYMENT_RESPONSE, text.parse().unwrap());
        let said = read(StatusCode::OK, &headers, &terms());
        let stored: Value = serde_json::from_str(&said.receipt.clone().unwrap()).unwrap();
        assert_eq!(stored, receipt, "kept as it came");
        said.word
    };
    let transaction = "0x1".to_owned();
    assert_eq!(of_version_1("base-sepolia"), Word::Settled { transaction });
    for other in ["base", "ropsten", ""] {
        let reason = "receipt_mismatch";
        assert_eq!(of_version_1(other), Word::Nothing { reason }, "{other}");
    }
}

#[test]
fn of_receipts_in_two_versions_the_newer_counts_and_two_of_one_are_none() {
    let mut headers = HeaderMap::new();
    let good = header::encode(&good()).unwrap();
    let bad = header::encode(&json!({"success": false, "transaction": "", "network": "base"}));
    headers.append(x402::PAYMENT_RESPONSE, good.parse().unwrap());
    headers.append(x402::X_PAYMENT_RESPONSE, bad.unwrap().parse().unwrap());
    let both = read(StatusCode::OK, &headers, &terms());
    assert!(matches!(both.word, Word::Settled { .. }));
    headers.remove(x402::PAYMENT_RESPONSE);
    headers.append(x402::X_PAYMENT_RESPONSE, good.parse().unwrap());
    let twice = read(StatusCode::OK, &headers, &terms());
    let reason = "no_receipt";
    assert_eq!(twice.word, Word::Nothing { reason });
}
