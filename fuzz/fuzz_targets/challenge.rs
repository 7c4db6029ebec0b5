//! A whole 402 answer, in any dialect.
#![no_main]

use farebox_wire::challenge::{OFFERS_MAX, Offer, read};
use farebox_wire::x402::header::encode;
use farebox_wire::x402::Version;
use farebox_wire::x402::matching::accepts;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    answer("payment-required", data);
    answer("www-authenticate", data);
    answer("none", data);
    if let Ok(json) = serde_json::from_slice::<Value>(data) {
        let text = encode(&json).expect("JSON can be written");
        answer("payment-required", text.as_bytes());
    }
});

fn answer(name: &str, data: &[u8]) {
    let Ok(challenge) = read(|asked| (asked == name).then_some(data), data) else {
        return;
    };
    assert!(challenge.offers.len() + challenge.unreadable.len() <= OFFERS_MAX);
    for offer in challenge.offers.iter().filter_map(Offer::as_x402) {
        if offer.version == Version::V1 {
            continue;
        }
        // Echoing an offer answers it, and so does what we read of it.
        assert!(accepts(&offer.raw, &offer.raw));
        let written = serde_json::to_value(&offer.requirements).expect("JSON");
        assert!(accepts(&offer.raw, &written));
    }
}
