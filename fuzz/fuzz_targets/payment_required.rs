//! The `PAYMENT-REQUIRED` header as its typed body.
#![no_main]

use farebox_wire::x402::types::PaymentRequired;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| farebox_fuzz::body::<PaymentRequired>(data));
