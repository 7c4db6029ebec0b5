//! What a facilitator is sent, and what it says that it supports.
#![no_main]

use farebox_wire::x402::types::{FacilitatorRequest, SupportedKind, SupportedResponse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    farebox_fuzz::body::<FacilitatorRequest>(data);
    farebox_fuzz::body::<SupportedResponse>(data);
    farebox_fuzz::body::<SupportedKind>(data);
});
