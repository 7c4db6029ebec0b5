//! The bodies of both versions by the names that the vectors call them: read, and written again.

use farebox_wire::x402::exact_evm::ExactEvmPayload;
use farebox_wire::x402::exact_svm::{ExactSvmExtra, ExactSvmPayload};
use farebox_wire::x402::header;
use farebox_wire::x402::types::{
    FacilitatorRequest, PaymentPayload, PaymentRequired, PaymentRequirements, SettleResponse,
    SupportedResponse, VerifyResponse,
};
use farebox_wire::x402::v1::{
    FacilitatorRequestV1, PaymentPayloadV1, PaymentRequiredV1, PaymentRequirementsV1,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::vectors::text;

/// Each case is read, and written as its `canonical`, or as it came where it has none.
pub(crate) fn assert_written(cases: Vec<Value>) {
    for case in cases {
        let canonical = case.get("canonical").unwrap_or(&case["input"]);
        let input = case["input"].to_string();
        let written = rewrite(text(&case, "body"), input.as_bytes());
        let written = written.unwrap_or_else(|e| panic!("{}: {e}", case["name"]));
        assert_eq!(&written, canonical, "{}", case["name"]);
        let again = rewrite(text(&case, "body"), written.to_string().as_bytes());
        assert_eq!(&again.expect("what we write we read"), canonical);
    }
}

/// Each case is refused, in a short sentence.
pub(crate) fn assert_refused(cases: Vec<Value>) {
    for case in cases {
        let read = rewrite(text(&case, "body"), text(&case, "text").as_bytes());
        let error = read.expect_err(text(&case, "name")).to_string();
        assert!(error.chars().count() < 300, "{error}");
    }
}

/// Reads `text` as the body that the vectors call `name`, and writes it again.
fn rewrite(name: &str, text: &[u8]) -> Result<Value, serde_json::Error> {
    fn through<T: DeserializeOwned + Serialize>(text: &[u8]) -> Result<Value, serde_json::Error> {
        serde_json::to_value(header::from_json::<T>(text)?)
    }
    match name {
        "PaymentRequired" => through::<PaymentRequired>(text),
        "PaymentRequirements" => through::<PaymentRequirements>(text),
        "PaymentPayload" => through::<PaymentPayload>(text),
        "FacilitatorRequest" => through::<FacilitatorRequest>(text),
        "VerifyResponse" => through::<VerifyResponse>(text),
        "SettleResponse" => through::<SettleResponse>(text),
        "SupportedResponse" => through::<SupportedResponse>(text),
        "ExactEvmPayload" => through::<ExactEvmPayload>(text),
        "ExactSvmPayload" => through::<ExactSvmPayload>(text),
        "ExactSvmExtra" => through::<ExactSvmExtra>(text),
        "PaymentRequiredV1" => through::<PaymentRequiredV1>(text),
        "PaymentRequirementsV1" => through::<PaymentRequirementsV1>(text),
        "PaymentPayloadV1" => through::<PaymentPayloadV1>(text),
        "FacilitatorRequestV1" => through::<FacilitatorRequestV1>(text),
        other => panic!("no body is called {other}"),
    }
}
