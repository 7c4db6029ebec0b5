//! A macaroon in binary, packets or JSON, as bytes, base64 or hex.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| farebox_fuzz::macaroon(data));
