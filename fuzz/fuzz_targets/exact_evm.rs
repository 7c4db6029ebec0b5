//! The payload of scheme `exact` on EVM chains, and the entry of `accepts` that it answers.
#![no_main]

use farebox_wire::x402::exact_evm::ExactEvmPayload;
use farebox_wire::x402::types::PaymentRequirements;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    farebox_fuzz::body::<ExactEvmPayload>(data);
    farebox_fuzz::body::<PaymentRequirements>(data);
});
