//! The `PAYMENT-SIGNATURE` header: a credential always names the offer that it answers.
#![no_main]

use farebox_wire::x402::header::{decode_payment, encode};
use farebox_wire::x402::types::PaymentPayload;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    farebox_fuzz::body::<PaymentPayload>(data);
    // The versioned reader says the same about every body of version 2.
    if let Ok(json) = serde_json::from_slice::<Value>(data) {
        let text = encode(&json).expect("JSON can be written");
        if let Ok(payment) = decode_payment(text.as_bytes()) {
            assert_eq!(payment.x402_version, 2);
            assert!(payment.accepted.is_object() && payment.payload.is_object());
        }
    }
});
