//! The payload of scheme `exact` on Solana, what its offer says besides, and texts in base58.
#![no_main]

use farebox_wire::svm::{SvmAddress, SvmSignature, SvmTransaction};
use farebox_wire::x402::exact_svm::{ExactSvmExtra, ExactSvmPayload};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    farebox_fuzz::body::<ExactSvmPayload>(data);
    farebox_fuzz::body::<ExactSvmExtra>(data);
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(address) = text.parse::<SvmAddress>() {
            assert_eq!(address.to_string(), text);
        }
        if let Ok(signature) = text.parse::<SvmSignature>() {
            assert_eq!(signature.to_string(), text);
        }
        if let Ok(transaction) = text.parse::<SvmTransaction>() {
            assert_eq!(transaction.to_string(), text);
        }
    }
});
