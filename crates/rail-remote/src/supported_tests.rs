//! Which facilitators an offer fits.

use farebox_wire::money::Amount;
use serde_json::{Value, json};

use super::*;

fn offer(extra: Value) -> PaymentRequirements {
    PaymentRequirements {
        scheme: "exact".to_owned(),
        network: "eip155:84532".parse().expect("a chain"),
        amount: Amount::from_atomic(1),
        asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".to_owned(),
        pay_to: "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720".to_owned(),
        max_timeout_seconds: 60,
        extra: extra.as_object().cloned(),
    }
}

fn kinds(kinds: &Value) -> Vec<SupportedKind> {
    read(json!({ "kinds": kinds }).to_string().as_bytes()).expect("kinds")
}

#[test]
fn version_scheme_and_network_must_be_the_offers_and_strange_kinds_hide_nothing() {
    let read = kinds(&json!([
        {"x402Version": 1, "scheme": "exact", "network": "base-sepolia"},
        "nonsense",
        {"x402Version": 2, "scheme": "upto", "network": "eip155:84532"},
        {"x402Version": 2, "scheme": "exact", "network": "eip155:1"},
        {"x402Version": 2, "scheme": "exact", "network": "eip155:84532", "extra": null},
    ]));
    let offer = offer(json!({"name": "USDC"}));
    let fitting: Vec<bool> = read.iter().map(|kind| fits(kind, &offer)).collect();
    assert_eq!(fitting, [false, false, false, true]);
}

#[test]
fn what_a_facilitator_asks_for_must_stand_in_the_offer() {
    let with = |extra: Value| {
        kinds(&json!([{"x402Version": 2, "scheme": "exact", "network": "eip155:84532", "extra": extra}]))
            .remove(0)
    };
    let plain = offer(json!({"name": "USDC"}));
    assert!(fits(
        &with(json!({"assetTransferMethod": "eip3009"})),
        &plain
    ));
    assert!(!fits(
        &with(json!({"assetTransferMethod": "permit2"})),
        &plain
    ));
    assert!(!fits(&with(json!({"feePayer": "a"})), &plain));
    assert!(fits(
        &with(json!({"feePayer": "a"})),
        &offer(json!({"feePayer": "a"}))
    ));
    assert!(!fits(
        &with(json!({"feePayer": "a"})),
        &offer(json!({"feePayer": "b"}))
    ));
}

#[test]
fn what_is_no_list_of_kinds_is_refused() {
    for bad in ["", "[]", "{}", "<html>", r#"{"kinds":{}}"#] {
        assert!(read(bad.as_bytes()).is_err(), "{bad}");
    }
}
