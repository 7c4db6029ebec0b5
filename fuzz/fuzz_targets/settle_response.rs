//! The `PAYMENT-RESPONSE` header: only `success: true` is ever a settlement.
#![no_main]

use farebox_wire::x402::header::from_json;
use farebox_wire::x402::types::{SettleResponse, VerifyResponse};
use farebox_wire::x402::verdict::Verdict;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    farebox_fuzz::body::<SettleResponse>(data);
    farebox_fuzz::body::<VerifyResponse>(data);
    if let Ok(receipt) = from_json::<SettleResponse>(data) {
        let settled = matches!(receipt.verdict(), Verdict::Settled { .. });
        assert_eq!(settled, receipt.success);
    }
});
