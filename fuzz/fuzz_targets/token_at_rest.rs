//! Files of other programs: whatever stands in them, reading ends, and what is read can be shown.
#![no_main]

use farebox_wire::l402::at_rest::TokenAtRest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = TokenAtRest::read(bytes) {
        assert!(token.credential.preimage.payment_hash() == token.payment_hash);
        assert!(token.credential.to_authorization().is_ok());
    }
});
