//! Equality of offers: `[offered, accepted]` as JSON.
#![no_main]

use farebox_wire::x402::matching::{accepts, deep_equal};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok((offered, accepted)) = serde_json::from_slice::<(Value, Value)>(data) else {
        return;
    };
    assert!(deep_equal(&offered, &offered));
    assert_eq!(
        deep_equal(&offered, &accepted),
        deep_equal(&accepted, &offered)
    );
    assert_eq!(accepts(&offered, &offered), offered.is_object());
    if accepts(&offered, &accepted) {
        for field in [
            "scheme",
            "network",
            "amount",
            "asset",
            "payTo",
            "maxTimeoutSeconds",
        ] {
            let (ours, theirs) = (&offered[field], &accepted[field]);
            assert!(deep_equal(ours, theirs));
        }
        // Whatever they add, ours is still answered.
        let mut more = accepted.clone();
        more["aFieldOfTheirs"] = Value::Bool(true);
        assert!(accepts(&offered, &more));
    }
});
