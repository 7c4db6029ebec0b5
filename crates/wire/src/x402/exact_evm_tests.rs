//! Rules of the `exact` payload: what a digest could not hold is refused.

use serde_json::{Value, json};

use super::*;

fn payload() -> Value {
    json!({
        "signature": format!("0x{}", "ab".repeat(65)),
        "authorization": {
            "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "value": "10000", "validAfter": "0", "validBefore": "2000000000",
            "nonce": format!("0x{}", "11".repeat(32)),
        }
    })
}

fn read(body: &Value) -> Result<ExactEvmPayload, serde_json::Error> {
    ExactEvmPayload::deserialize(body)
}

#[test]
fn the_payload_is_read_into_integers_and_bytes() {
    let read = read(&payload()).expect("readable");
    assert_eq!(read.signature.0.len(), 65);
    assert_eq!(read.authorization.value, Amount::from_atomic(10_000));
    assert_eq!(read.authorization.valid_before, 2_000_000_000);
    assert_eq!(read.authorization.nonce, Word([0x11; 32]));
}

#[test]
fn a_field_that_is_missing_or_of_another_type_is_refused() {
    for field in ["from", "to", "value", "validAfter", "validBefore", "nonce"] {
        for odd in [
            json!(null),
            json!(0),
            json!(""),
            json!("0x"),
            json!(" 1"),
            json!([]),
        ] {
            let mut body = payload();
            body["authorization"][field] = odd.clone();
            assert!(read(&body).is_err(), "{field} = {odd}");
        }
        let mut body = payload();
        body["authorization"]
            .as_object_mut()
            .expect("an object")
            .remove(field);
        assert!(read(&body).is_err(), "{field} absent");
    }
}

#[test]
fn what_a_digest_could_not_hold_is_refused() {
    for (field, odd) in [
        ("value", "340282366920938463463374607431768211456"),
        ("value", "-1"),
        ("value", "1e4"),
        ("value", "010000"),
        ("validBefore", "18446744073709551616"),
        ("validAfter", "-1"),
        ("nonce", "0x11"),
        ("from", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb9226"),
    ] {
        let mut body = payload();
        body["authorization"][field] = json!(odd);
        assert!(read(&body).is_err(), "{field} = {odd}");
    }
}

#[test]
fn a_signature_has_a_limit_and_an_even_number_of_digits() {
    let signed = |hex: String| {
        let mut body = payload();
        body["signature"] = json!(hex);
        read(&body)
    };
    assert!(signed(format!("0x{}", "ab".repeat(SIGNATURE_BYTES_MAX))).is_ok());
    assert!(signed(format!("0x{}", "ab".repeat(SIGNATURE_BYTES_MAX + 1))).is_err());
    assert!(signed("0xabc".to_owned()).is_err());
    assert!(signed("ab".repeat(65)).is_err());
    assert!(signed("0xzz".to_owned()).is_err());
}

#[test]
fn an_array_is_no_authorization() {
    let authorization = payload()["authorization"].clone();
    let mut body = payload();
    body["authorization"] = json!([
        authorization["from"],
        authorization["to"],
        authorization["value"],
        authorization["validAfter"],
        authorization["validBefore"],
        authorization["nonce"]
    ]);
    assert!(read(&body).is_err());
}

#[test]
fn a_signature_is_not_shown_by_debug() {
    let shown = format!("{:?}", read(&payload()).expect("readable"));
    assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
}
