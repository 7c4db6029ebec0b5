//! Rules of the bodies: null is absent where a field is optional, and nowhere else.

use serde_json::{Value, json};

use super::*;
use crate::x402::header::from_json;

fn read<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, serde_json::Error> {
    from_json(body.to_string().as_bytes())
}

fn requirements() -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": "10000", "asset": "0xa",
        "payTo": "0xb", "maxTimeoutSeconds": 300
    })
}

fn payment() -> Value {
    json!({"x402Version": 2, "accepted": requirements(), "payload": {"signature": "0x"}})
}

fn receipt() -> Value {
    json!({"success": true, "transaction": "0x11", "network": "eip155:84532"})
}

#[test]
fn null_is_absent_in_every_optional_field() {
    let cases = [
        (
            "error extensions",
            json!({"x402Version": 2, "resource": {"url": "u"}, "accepts": []}),
        ),
        ("resource extensions", payment()),
    ];
    let required: PaymentRequired = read(&with_nulls(&cases[0])).expect("readable");
    assert_eq!(serde_json::to_value(required).expect("JSON"), cases[0].1);
    let payload: PaymentPayload = read(&with_nulls(&cases[1])).expect("readable");
    assert_eq!(serde_json::to_value(payload).expect("JSON"), cases[1].1);

    let case = (
        "errorReason errorMessage payer amount extensions extra",
        receipt(),
    );
    let read_back: SettleResponse = read(&with_nulls(&case)).expect("readable");
    assert_eq!(serde_json::to_value(read_back).expect("JSON"), case.1);

    let case = (
        "invalidReason invalidMessage payer extensions extra",
        json!({"isValid": true}),
    );
    let read_back: VerifyResponse = read(&with_nulls(&case)).expect("readable");
    assert_eq!(serde_json::to_value(read_back).expect("JSON"), case.1);

    let case = ("extra", requirements());
    let read_back: PaymentRequirements = read(&with_nulls(&case)).expect("readable");
    assert_eq!(serde_json::to_value(read_back).expect("JSON"), case.1);

    let case = (
        "description mimeType serviceName tags iconUrl",
        json!({"url": "u"}),
    );
    let read_back: ResourceInfo = read(&with_nulls(&case)).expect("readable");
    assert_eq!(serde_json::to_value(read_back).expect("JSON"), case.1);

    let case = ("extensions signers", json!({"kinds": []}));
    let read_back: SupportedResponse = read(&with_nulls(&case)).expect("readable");
    assert_eq!(read_back, SupportedResponse::default());
}

fn with_nulls((fields, body): &(&str, Value)) -> Value {
    let mut body = body.clone();
    for field in fields.split(' ') {
        body[field] = Value::Null;
    }
    body
}

#[test]
fn null_or_absent_is_refused_in_every_required_field() {
    assert_required::<PaymentRequirements>(&requirements());
    assert_required::<PaymentPayload>(&payment());
    assert_required::<SettleResponse>(&receipt());
    assert_required::<VerifyResponse>(&json!({"isValid": true}));
    assert_required::<ResourceInfo>(&json!({"url": "https://h.example/q"}));
    assert_required::<PaymentRequired>(
        &json!({"x402Version": 2, "resource": {"url": "u"}, "accepts": []}),
    );
    assert_required::<FacilitatorRequest>(&json!({
        "x402Version": 2, "paymentPayload": payment(), "paymentRequirements": requirements()
    }));
    assert_required::<SupportedResponse>(&json!({"kinds": []}));
}

fn assert_required<T: serde::de::DeserializeOwned>(body: &Value) {
    assert!(read::<T>(body).is_ok(), "{body}");
    for field in body.as_object().expect("an object").keys() {
        let mut absent = body.clone();
        absent.as_object_mut().expect("an object").remove(field);
        assert!(read::<T>(&absent).is_err(), "{field} absent");
        let mut null = body.clone();
        null[field] = Value::Null;
        assert!(read::<T>(&null).is_err(), "{field} null");
        let mut wrong = body.clone();
        wrong[field] = json!([7.5]);
        assert!(
            read::<T>(&wrong).is_err() || field == "accepts" || field == "kinds",
            "{field}"
        );
    }
}

#[test]
fn a_receipt_without_a_boolean_success_is_unreadable() {
    for odd in [
        json!("true"),
        json!(1),
        json!(0),
        json!(null),
        json!({}),
        json!(""),
    ] {
        let mut body = receipt();
        body["success"] = odd;
        assert!(read::<SettleResponse>(&body).is_err(), "{body}");
    }
}

#[test]
fn a_credential_says_which_offer_it_answers() {
    for odd in [json!(null), json!([]), json!("exact"), json!(0)] {
        let mut body = payment();
        body["accepted"] = odd;
        let error = read::<PaymentPayload>(&body)
            .expect_err("no offer")
            .to_string();
        assert!(error.contains("accepted"), "{error}");
    }
    let mut body = payment();
    body.as_object_mut().expect("an object").remove("accepted");
    let error = read::<PaymentPayload>(&body)
        .expect_err("no offer")
        .to_string();
    assert!(error.contains("accepted"), "{error}");
}

#[test]
fn an_array_is_never_read_as_a_body() {
    let list = json!(["exact", "eip155:84532", "10000", "0xa", "0xb", 300, null]);
    assert!(read::<PaymentRequirements>(&list).is_err());
    let mut request = json!({
        "x402Version": 2, "paymentPayload": payment(), "paymentRequirements": requirements()
    });
    request["paymentRequirements"] = list;
    assert!(read::<FacilitatorRequest>(&request).is_err());
    let mut body = payment();
    body["resource"] = json!(["https://h.example/q", null, null, null, null, null]);
    assert!(read::<PaymentPayload>(&body).is_err());
}

#[test]
fn a_body_that_says_a_key_twice_is_refused() {
    for body in [
        r#"{"success":false,"success":true,"transaction":"","network":""}"#,
        r#"{"success":true,"transaction":"","network":"","extra":{"a":1,"a":2}}"#,
    ] {
        assert!(
            from_json::<SettleResponse>(body.as_bytes()).is_err(),
            "{body}"
        );
    }
    let body = r#"{"x402Version":2,"accepted":{"amount":"1","amount":"2"},"payload":{}}"#;
    assert!(from_json::<PaymentPayload>(body.as_bytes()).is_err());
}

#[test]
fn the_timeout_is_a_positive_whole_number() {
    for (number, seconds) in [
        ("60", 60),
        ("60.0", 60),
        ("6e1", 60),
        ("18446744073709551615", u64::MAX),
    ] {
        let text = requirements().to_string().replace("300", number);
        let read: PaymentRequirements = from_json(text.as_bytes()).expect(number);
        assert_eq!(read.max_timeout_seconds, seconds);
    }
    for number in [
        "0",
        "-1",
        "0.0",
        "-0.0",
        "59.5",
        "1e30",
        "\"60\"",
        "null",
        "[60]",
        "18446744073709551616",
    ] {
        let text = requirements().to_string().replace("300", number);
        assert!(
            from_json::<PaymentRequirements>(text.as_bytes()).is_err(),
            "{number}"
        );
    }
}

#[test]
fn tags_are_words() {
    for odd in [json!([null]), json!("finance"), json!([1])] {
        assert!(read::<ResourceInfo>(&json!({"url": "u", "tags": odd})).is_err());
    }
    assert!(read::<ResourceInfo>(&json!({"url": ""})).is_err());
}

#[test]
fn unknown_fields_of_a_peer_are_its_own_business() {
    let mut body = receipt();
    body["extensionResponses"] = json!({"a": 1});
    assert!(read::<SettleResponse>(&body).is_ok());
}

#[test]
fn a_credential_is_not_shown_by_debug() {
    let mut body = payment();
    body["payload"] = json!({"signature": "0x5ec2e7"});
    let payment: PaymentPayload = read(&body).expect("readable");
    let shown = format!("{payment:?}");
    assert!(!shown.contains("5ec2e7"), "{shown}");
    assert!(shown.contains("eip155:84532"));
}
