//! Whether a credential's `accepted` is an offer of ours (ARCHITECTURE law 7).
//!
//! Core fields must be JSON-deep-equal; our `extra` must be a deep subset of theirs; an absent
//! field equals `null`; `60` equals `60.0`, but never `"60"`. Addresses compare as text, because
//! a client echoes what we sent.

use serde_json::Value;

use crate::json::plain_digits;

/// The fields that must be equal; anything else a peer adds is its own business.
const CORE_FIELDS: [&str; 6] = [
    "scheme",
    "network",
    "amount",
    "asset",
    "payTo",
    "maxTimeoutSeconds",
];

/// Whether `accepted` answers `offered` (both as JSON objects of `PaymentRequirements`).
#[must_use]
pub fn accepts(offered: &Value, accepted: &Value) -> bool {
    let (Value::Object(ours), Value::Object(theirs)) = (offered, accepted) else {
        return false;
    };
    let core = CORE_FIELDS.iter().all(|name| {
        deep_equal(
            ours.get(*name).unwrap_or(&Value::Null),
            theirs.get(*name).unwrap_or(&Value::Null),
        )
    });
    let extra = subset(
        ours.get("extra").unwrap_or(&Value::Null),
        theirs.get("extra").unwrap_or(&Value::Null),
    );
    core && extra
}

/// JSON equality that ignores the order of keys, treats an absent field as `null` (an array's
/// `null` is an entry like any other), and compares numbers by value.
#[must_use]
pub fn deep_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || plain_digits(a) == plain_digits(b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| deep_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).all(|k| {
            deep_equal(
                a.get(k).unwrap_or(&Value::Null),
                b.get(k).unwrap_or(&Value::Null),
            )
        }),
        _ => a == b,
    }
}

/// Whether everything in `part` stands in `whole` as well.
fn subset(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Null, _) => true,
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(k, v)| subset(v, whole.get(k).unwrap_or(&Value::Null))),
        (Value::Object(part), Value::Null) => part.values().all(|v| subset(v, &Value::Null)),
        _ => deep_equal(part, whole),
    }
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
