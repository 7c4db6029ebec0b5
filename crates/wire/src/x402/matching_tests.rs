//! Rules of matching: core fields equal, our `extra` within theirs.

use serde_json::json;

use super::*;

fn offer() -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": "10000", "asset": "0xA",
        "payTo": "0xB", "maxTimeoutSeconds": 60,
        "extra": {"name": "USDC", "version": "2", "domain": {"a": [1, {"b": null}]}}
    })
}

fn edited(edit: impl FnOnce(&mut Value)) -> Value {
    let mut value = offer();
    edit(&mut value);
    value
}

#[test]
fn an_echo_is_accepted_and_any_core_change_is_not() {
    assert!(accepts(&offer(), &offer()));
    for field in CORE_FIELDS {
        let accepted = edited(|o| o[field] = json!("other"));
        assert!(!accepts(&offer(), &accepted), "{field}");
        let accepted = edited(|o| {
            o.as_object_mut().expect("an object").remove(field);
        });
        assert!(!accepts(&offer(), &accepted), "{field}");
    }
}

#[test]
fn numbers_compare_by_value_and_never_with_strings() {
    for same in ["60", "60.0", "6e1", "6.0e1"] {
        let number: Value = serde_json::from_str(same).expect("a number");
        assert!(
            accepts(&offer(), &edited(|o| o["maxTimeoutSeconds"] = number)),
            "{same}"
        );
    }
    for other in ["\"60\"", "61", "60.5", "-60", "[60]", "null"] {
        let number: Value = serde_json::from_str(other).expect("JSON");
        assert!(
            !accepts(&offer(), &edited(|o| o["maxTimeoutSeconds"] = number)),
            "{other}"
        );
    }
    assert!(!accepts(&offer(), &edited(|o| o["amount"] = json!(10000))));
    let big = |text| serde_json::from_str::<Value>(text).expect("a number");
    assert!(deep_equal(&big("1e19"), &big("10000000000000000000")));
    assert!(deep_equal(&big("-0.0"), &big("0")));
    assert!(!deep_equal(
        &big("9007199254740993"),
        &big("9007199254740992")
    ));
}

#[test]
fn addresses_compare_as_text() {
    assert!(!accepts(&offer(), &edited(|o| o["payTo"] = json!("0xb"))));
}

#[test]
fn their_extra_may_add_to_ours_but_not_lack_or_change_it() {
    assert!(accepts(
        &offer(),
        &edited(|o| o["extra"]["theirs"] = json!(1))
    ));
    assert!(accepts(
        &offer(),
        &edited(|o| o["extra"]["domain"]["theirs"] = json!(1))
    ));
    assert!(!accepts(
        &offer(),
        &edited(|o| o["extra"]["name"] = json!("USD Coin"))
    ));
    assert!(!accepts(
        &offer(),
        &edited(|o| o["extra"]["name"] = json!(null))
    ));
    assert!(!accepts(&offer(), &edited(|o| o["extra"] = json!(null))));
    assert!(!accepts(&offer(), &edited(|o| o["extra"] = json!("USDC"))));
    assert!(!accepts(
        &offer(),
        &edited(|o| o["extra"]["domain"]["a"] = json!([1]))
    ));
}

#[test]
fn an_absent_field_is_null_in_objects_but_not_in_arrays() {
    let bare = edited(|o| o["extra"] = json!(null));
    let absent = edited(|o| {
        o.as_object_mut().expect("an object").remove("extra");
    });
    assert!(accepts(&bare, &absent) && accepts(&absent, &bare));
    assert!(accepts(&absent, &offer()));
    assert!(deep_equal(&json!({"a": null}), &json!({})));
    assert!(deep_equal(&json!([{"a": null}]), &json!([{}])));
    assert!(!deep_equal(&json!([null]), &json!([])));
    assert!(!deep_equal(&json!({"a": false}), &json!({})));
    let nulls = edited(|o| o["extra"] = json!({"a": {"b": null}}));
    assert!(accepts(&nulls, &absent));
}

#[test]
fn what_is_no_object_matches_nothing() {
    for odd in [json!(null), json!([]), json!("x"), json!(1)] {
        assert!(!accepts(&offer(), &odd));
        assert!(!accepts(&odd, &offer()));
        assert!(!accepts(&odd, &odd));
    }
}
