//! The bodies of x402 version 1, and a facilitator's questions in either version.
#![no_main]

use farebox_wire::x402::facilitator;
use farebox_wire::x402::v1::{
    self, FacilitatorRequestV1, PaymentPayloadV1, PaymentRequiredV1, PaymentRequirementsV1,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    farebox_fuzz::body::<PaymentRequiredV1>(data);
    farebox_fuzz::body::<PaymentRequirementsV1>(data);
    farebox_fuzz::body::<PaymentPayloadV1>(data);
    farebox_fuzz::body::<FacilitatorRequestV1>(data);
    if let Ok(question) = facilitator::read(data) {
        let version = question.version();
        if let Ok(request) = question.into_v2() {
            assert_eq!(request.x402_version, 2, "asked in {version:?}");
        }
    }
    if let Ok(receipt) = v1::decode_receipt(data) {
        assert_eq!(receipt.clone().into_v1().success, receipt.success);
    }
});
