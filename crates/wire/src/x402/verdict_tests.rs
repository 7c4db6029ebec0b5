//! Rules of receipts: settled, pending or refused.

use super::*;

fn verdict(success: bool, reason: Option<&str>, transaction: &str) -> String {
    let receipt = SettleResponse {
        success,
        transaction: transaction.to_owned(),
        network: "eip155:84532".to_owned(),
        error_reason: reason.map(str::to_owned),
        error_message: None,
        payer: None,
        amount: None,
        extensions: None,
        extra: None,
    };
    format!("{:?}", receipt.verdict())
}

#[test]
fn pending_is_a_failure_with_the_code_and_a_hash() {
    let pending = Some("settlement_pending");
    assert_eq!(
        verdict(false, pending, "0x11"),
        "Pending { transaction: \"0x11\" }"
    );
    assert_eq!(
        verdict(false, pending, ""),
        "Refused { reason: Some(\"settlement_pending\"), transaction: None }"
    );
    assert_eq!(
        verdict(false, Some("settlement_pending: not mined yet"), "0x11"),
        "Pending { transaction: \"0x11\" }"
    );
    assert_eq!(
        verdict(false, Some("settlement_pending_not"), "0x11"),
        "Refused { reason: Some(\"settlement_pending_not\"), transaction: Some(\"0x11\") }"
    );
}

#[test]
fn success_alone_decides_that_it_is_settled() {
    assert_eq!(
        verdict(true, None, "0x11"),
        "Settled { transaction: Some(\"0x11\") }"
    );
    assert_eq!(verdict(true, None, ""), "Settled { transaction: None }");
    assert_eq!(
        verdict(true, Some("settlement_pending"), "0x11"),
        "Settled { transaction: Some(\"0x11\") }"
    );
}

#[test]
fn a_refusal_keeps_its_reason_and_hash() {
    assert_eq!(
        verdict(false, Some("invalid_exact_evm_nonce_already_used"), ""),
        "Refused { reason: Some(\"invalid_exact_evm_nonce_already_used\"), transaction: None }"
    );
    assert_eq!(
        verdict(false, Some(""), ""),
        "Refused { reason: None, transaction: None }"
    );
    assert_eq!(
        verdict(false, None, "0x11"),
        "Refused { reason: None, transaction: Some(\"0x11\") }"
    );
}
