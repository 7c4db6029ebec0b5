//! The endpoints of the facilitator, and what they say to whatever comes.

use farebox_devnet_evm::{ANY_METHOD, Fault};
use http::StatusCode;
use serde_json::{Value, json};

use crate::station::{AMOUNT, NETWORK, Signed, Station, lower};
use crate::support::eventually;
use alloy_primitives::{Address, U256};

#[tokio::test]
async fn a_payment_is_verified_and_settled() {
    let station = Station::open().await;
    let signed = station.payment();
    let payer = lower(signed.transfer.from);
    assert_eq!(
        station.verify(&signed).await,
        json!({"isValid": true, "payer": payer})
    );
    assert_eq!(station.received(), 0, "verifying moves nothing");
    let settled = station.settle(&signed).await;
    let transaction = settled["transaction"].as_str().expect("a hash").to_owned();
    assert_eq!(
        settled,
        json!({"success": true, "transaction": transaction, "network": NETWORK, "payer": payer})
    );
    assert_eq!(station.received(), AMOUNT);
    assert_eq!(
        station.verify(&signed).await["invalidReason"],
        "invalid_exact_evm_nonce_already_used"
    );
}

#[tokio::test]
async fn verify_writes_nothing() {
    let station = Station::open().await;
    assert_eq!(station.verify(&station.payment()).await["isValid"], true);
    assert!(station.payments().await.is_empty());
}

#[tokio::test]
async fn supported_lists_kinds_and_signers() {
    let station = Station::open().await;
    let (status, body) = station.get("/supported").await;
    assert_eq!(status, StatusCode::OK);
    let kind = json!({"x402Version": 2, "scheme": "exact", "network": NETWORK});
    let kinds = body["kinds"].as_array().expect("a list");
    assert!(kinds.contains(&kind), "{body}");
    let old = json!({"x402Version": 1, "scheme": "exact", "network": "base-sepolia"});
    assert!(kinds.contains(&old), "{body}");
    assert_eq!(body["extensions"], json!([]));
    assert_eq!(
        body["signers"],
        json!({"eip155:*": [station.account(0).address_hex()]})
    );
}

#[tokio::test]
async fn every_answer_is_json_that_nobody_keeps() {
    let station = Station::open().await;
    for (method, path) in [
        ("GET", "/supported"),
        ("GET", "/health"),
        ("POST", "/verify"),
        ("GET", "/nowhere"),
    ] {
        let seen = station.send(method, path, &[], "{}").await;
        assert_eq!(seen.headers["content-type"], "application/json", "{path}");
        assert_eq!(seen.headers["cache-control"], "no-store", "{path}");
    }
}

#[tokio::test]
async fn paths_and_methods_are_the_documented_ones() {
    let station = Station::open().await;
    for path in ["/", "/verify/", "/Verify", "/discovery/resources"] {
        let seen = station.send("GET", path, &[], "").await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(seen.code(), "not_found");
    }
    for (method, path, allowed) in [
        ("GET", "/verify", "POST"),
        ("PUT", "/settle", "POST"),
        ("POST", "/supported", "GET, HEAD"),
        ("DELETE", "/health", "GET, HEAD"),
    ] {
        let seen = station.send(method, path, &[], "").await;
        assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(seen.headers["allow"], allowed);
    }
}

/// Applies a change to the question of a good payment.
fn changed(signed: &Signed, pointer: &str, value: Value) -> String {
    let mut body = signed.json();
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    let parent = body.pointer_mut(parent).expect("it is there");
    let parent = parent.as_object_mut().expect("an object");
    match value {
        Value::Null => drop(parent.remove(last)),
        value => drop(parent.insert(last.to_owned(), value)),
    }
    body.to_string()
}

#[tokio::test]
async fn a_body_that_is_no_question_is_400_and_never_500() {
    let station = Station::open().await;
    let signed = station.payment();
    let good = signed.body();
    let twice = good.replacen('{', "{\"x402Version\":2,", 1);
    let inner = good.replacen("\"accepted\":{", "\"accepted\":{\"scheme\":\"exact\",", 1);
    assert_ne!(good, inner);
    let bodies = [
        String::new(),
        "null".into(),
        "[]".into(),
        "{".into(),
        "{}".into(),
        "\u{0}".into(),
        format!("{}1{}", "[".repeat(200), "]".repeat(200)),
        format!("[{good}]"),
        twice,
        inner,
        changed(&signed, "/x402Version", Value::Null),
        changed(&signed, "/x402Version", json!("2")),
        changed(&signed, "/paymentPayload", Value::Null),
        changed(&signed, "/paymentPayload", json!([])),
        changed(&signed, "/paymentPayload/accepted", Value::Null),
        changed(&signed, "/paymentPayload/payload", json!("x")),
        changed(&signed, "/paymentRequirements", Value::Null),
        changed(&signed, "/paymentRequirements/amount", json!(1000)),
        changed(&signed, "/paymentRequirements/amount", json!("-1")),
        changed(&signed, "/paymentRequirements/amount", json!("1e3")),
        changed(&signed, "/paymentRequirements/amount", Value::Null),
        changed(&signed, "/paymentRequirements/maxTimeoutSeconds", json!(0)),
        changed(&signed, "/paymentRequirements/network", json!("base")),
        changed(&signed, "/paymentRequirements/extra", json!([])),
    ];
    for body in bodies {
        for path in ["/verify", "/settle"] {
            let seen = station.send("POST", path, &[], body.clone()).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert_eq!(seen.code(), "invalid_payload", "{path} {body}");
        }
    }
    let status = |body: Vec<u8>| station.send("POST", "/verify", &[], body);
    assert_eq!(status(vec![0xff; 9]).await.status, StatusCode::BAD_REQUEST);
    let long = status(vec![b' '; 128 * 1024 + 1]).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(station.payments().await.is_empty());
}

#[tokio::test]
async fn optional_fields_may_be_null() {
    let station = Station::open().await;
    let signed = station.payment();
    let mut body = signed.json();
    body["paymentPayload"]["resource"] = Value::Null;
    body["paymentPayload"]["extensions"] = Value::Null;
    body["somethingNew"] = json!({"a": [1]});
    let seen = station.send("POST", "/settle", &[], body.to_string()).await;
    assert_eq!(seen.json()["success"], true, "{seen:?}");
}

/// Payments that are wrong in themselves.
fn wrong_payments(station: &Station, signed: &Signed) -> Vec<(&'static str, String)> {
    let payer = station.account(1);
    let against = |other: Signed| {
        let mut body = other.json();
        body["paymentRequirements"] = signed.requirements();
        body.to_string()
    };
    let mut forged = signed.clone();
    forged.signature[10] ^= 1;
    let other_value = signed.changed(payer, |t| t.value = U256::from(7));
    let other_payee = signed.changed(payer, |t| t.to = station.account(8).address);
    let too_much = signed.changed(payer, |t| t.value = U256::from(u64::MAX));
    let late = signed.changed(payer, |t| t.validBefore = U256::from(1));
    let early = signed.changed(payer, |t| t.validAfter = t.validBefore);
    vec![
        ("invalid_exact_evm_signature", forged.body()),
        (
            "invalid_exact_evm_payload_authorization_value_mismatch",
            against(other_value),
        ),
        ("invalid_exact_evm_recipient_mismatch", against(other_payee)),
        ("invalid_exact_evm_insufficient_balance", too_much.body()),
        (
            "invalid_exact_evm_payload_authorization_valid_before",
            late.body(),
        ),
        (
            "invalid_exact_evm_payload_authorization_valid_after",
            early.body(),
        ),
    ]
}

/// Questions that are wrong around a good payment.
fn wrong_questions(signed: &Signed) -> Vec<(&'static str, String)> {
    let with = |pointer, value| changed(signed, pointer, value);
    let stranger = Address::repeat_byte(7).to_string();
    vec![
        (
            "invalid_exact_evm_signature",
            with("/paymentPayload/payload/signature", json!("0x1234")),
        ),
        (
            "invalid_network",
            with("/paymentRequirements/network", json!("eip155:1")),
        ),
        (
            "invalid_exact_evm_network_mismatch",
            with("/paymentPayload/accepted/network", json!("eip155:1")),
        ),
        (
            "unsupported_scheme",
            with("/paymentRequirements/scheme", json!("upto")),
        ),
        (
            "invalid_exact_evm_scheme",
            with("/paymentPayload/accepted/scheme", json!("upto")),
        ),
        (
            "invalid_payment_requirements",
            with("/paymentRequirements/asset", json!(stranger)),
        ),
        (
            "invalid_payload",
            with("/paymentPayload/payload", json!({"transaction": "AAAA"})),
        ),
        (
            "invalid_x402_version",
            with("/paymentPayload/x402Version", json!(3)),
        ),
    ]
}

#[tokio::test]
async fn what_is_wrong_with_a_payment_has_its_code_and_verify_predicts_settle() {
    let station = Station::open().await;
    let signed = station.payment();
    let mut rows = wrong_payments(&station, &signed);
    rows.extend(wrong_questions(&signed));
    for (reason, body) in rows {
        let verified = station.send("POST", "/verify", &[], body.clone()).await;
        assert_eq!(verified.status, StatusCode::OK, "{reason}");
        assert_eq!(verified.json()["isValid"], false, "{reason}");
        assert_eq!(verified.json()["invalidReason"], reason);
        let settled = station.send("POST", "/settle", &[], body).await;
        assert_eq!(settled.status, StatusCode::OK, "{reason}");
        assert_eq!(settled.json()["success"], false, "{reason}");
        assert_eq!(settled.json()["errorReason"], reason);
        assert_eq!(settled.json()["transaction"], "");
    }
    assert!(
        station.payments().await.is_empty(),
        "nothing is kept of them"
    );
    assert_eq!(station.transactions(), 0);
    let good = station.settle(&signed).await;
    assert_eq!(good["success"], true, "the good one was not burnt");
}

#[tokio::test]
async fn version_1_is_answered_in_version_1() {
    let station = Station::open().await;
    let signed = station.payment();
    let payer = lower(signed.transfer.from);
    let ask = |path, body: Value| station.send("POST", path, &[], body.to_string());
    let verified = ask("/verify", signed.json_v1()).await.json();
    assert_eq!(verified, json!({"isValid": true, "payer": payer}));
    let settled = ask("/settle", signed.json_v1()).await.json();
    let transaction = settled["transaction"].as_str().expect("a hash").to_owned();
    let network = "base-sepolia";
    assert_eq!(
        settled,
        json!({"success": true, "transaction": transaction, "network": network, "payer": payer})
    );
    assert_eq!(station.received(), AMOUNT);
    let again = station.settle(&signed).await;
    assert_eq!(
        again["errorReason"], "invalid_exact_evm_nonce_already_used",
        "one payment in both versions"
    );
    assert_eq!(again["transaction"], settled["transaction"]);
}

#[tokio::test]
async fn what_is_wrong_in_version_1_has_the_codes_of_version_1() {
    let station = Station::open().await;
    let signed = station.payment();
    let with = |pointer: &str, value: Value| {
        let mut body = signed.json_v1();
        *body.pointer_mut(pointer).expect("it is there") = value;
        body.to_string()
    };
    let rows = [
        (
            "invalid_exact_evm_authorization_value",
            with("/paymentRequirements/maxAmountRequired", json!("7")),
        ),
        (
            "invalid_exact_evm_network_mismatch",
            with("/paymentPayload/network", json!("base")),
        ),
        (
            "invalid_exact_evm_scheme",
            with("/paymentPayload/scheme", json!("upto")),
        ),
    ];
    for (reason, body) in rows {
        let seen = station.send("POST", "/verify", &[], body.clone()).await;
        assert_eq!(seen.json()["invalidReason"], reason);
        let seen = station.send("POST", "/settle", &[], body).await;
        assert_eq!(seen.json()["errorReason"], reason);
        assert_eq!(seen.json()["network"], "base-sepolia");
    }
    let mut moon = signed.json_v1();
    moon["paymentPayload"]["network"] = json!("moon");
    moon["paymentRequirements"]["network"] = json!("moon");
    let seen = station.send("POST", "/settle", &[], moon.to_string()).await;
    assert_eq!(seen.json()["errorReason"], "invalid_network");
    let both = with("/x402Version", json!(2));
    let seen = station.send("POST", "/verify", &[], both).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST, "two versions in one");
}

#[tokio::test]
async fn health_tells_what_a_person_should_look_at() {
    let station = Station::open().await;
    let (status, well) = station.get("/health").await;
    assert_eq!((status, &well["status"]), (StatusCode::OK, &json!("ok")));
    assert_eq!(well["networks"][0]["network"], NETWORK);
    assert!(
        !well
            .to_string()
            .contains(&station.account(0).key_hex()[2..])
    );
    let gas = station.account(0).address;
    station.devnet.set_ether_balance(gas, U256::from(1));
    let station = &station;
    eventually(|| async {
        let (status, poor) = station.get("/health").await;
        status == StatusCode::OK && poor["status"] == "degraded"
    })
    .await;
    station
        .devnet
        .faults()
        .set(ANY_METHOD, Fault::HttpStatus(500));
    eventually(|| async {
        let (status, down) = station.get("/health").await;
        status == StatusCode::SERVICE_UNAVAILABLE && down["status"] == "degraded"
    })
    .await;
}
