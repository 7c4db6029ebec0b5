//! The fuzz targets' little brother: every reader meets damaged vectors on the stable toolchain.
//!
//! The damage is drawn from a fixed seed, so a failure is the same on every machine. What a reader
//! accepts it must write and read again; what it refuses it must refuse in a short sentence.

use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::challenge;
use farebox_wire::evm::{EvmAddress, Word, parse_hex};
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::svm::{SvmAddress, SvmSignature, SvmTransaction, TRANSACTION_BYTES_MAX};
use farebox_wire::x402::exact_evm::ExactEvmPayload;
use farebox_wire::x402::exact_svm::{ExactSvmExtra, ExactSvmPayload};
use farebox_wire::x402::types::{
    FacilitatorRequest, PaymentPayload, PaymentRequired, PaymentRequirements, SettleResponse,
    SupportedResponse, VerifyResponse,
};
use farebox_wire::x402::v1::{
    self, FacilitatorRequestV1, PaymentPayloadV1, PaymentRequiredV1, PaymentRequirementsV1,
};
use farebox_wire::x402::{facilitator, header, matching};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::damage::{Dice, damage};
use crate::l402_readers;
use crate::vectors::{cases, list, load, texts};

/// Damaged copies of each vector.
const COPIES: u64 = 100;

fn rewrites<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(json: &[u8]) {
    match header::from_json::<T>(json) {
        Ok(body) => {
            let text = serde_json::to_vec(&body).expect("what we read we write");
            let again: T = header::from_json(&text).expect("what we write we read");
            assert_eq!(again, body);
        }
        Err(error) => assert!(error.to_string().chars().count() < 300),
    }
}

fn reads_body(json: &[u8]) {
    rewrites::<PaymentRequired>(json);
    rewrites::<PaymentRequirements>(json);
    rewrites::<PaymentPayload>(json);
    rewrites::<FacilitatorRequest>(json);
    rewrites::<VerifyResponse>(json);
    rewrites::<SettleResponse>(json);
    rewrites::<SupportedResponse>(json);
    rewrites::<ExactEvmPayload>(json);
    rewrites::<ExactSvmPayload>(json);
    rewrites::<ExactSvmExtra>(json);
    rewrites::<PaymentRequiredV1>(json);
    rewrites::<PaymentRequirementsV1>(json);
    rewrites::<PaymentPayloadV1>(json);
    rewrites::<FacilitatorRequestV1>(json);
    reads_question(json);
    if let Ok(value) = serde_json::from_slice::<Value>(json) {
        assert!(matching::deep_equal(&value, &value));
        assert_eq!(matching::accepts(&value, &value), value.is_object());
        let text = header::encode(&value).expect("JSON");
        reads_header(text.as_bytes());
        reads_header_v1(text.as_bytes());
    }
}

/// What a facilitator understands it can repeat, and understands again.
fn reads_question(json: &[u8]) {
    match facilitator::read(json) {
        Ok(question) => {
            if let Ok(request) = question.into_v2() {
                rewrites::<FacilitatorRequest>(&serde_json::to_vec(&request).expect("JSON"));
            }
        }
        Err(error) => assert!(error.to_string().chars().count() < 300),
    }
}

fn reads_header(text: &[u8]) {
    for name in ["payment-required", "www-authenticate", "none"] {
        let lookup = |asked: &str| (asked == name).then_some(text);
        if let Ok(challenge) = challenge::read(lookup, text) {
            assert!(challenge.offers.len() + challenge.unreadable.len() <= challenge::OFFERS_MAX);
        }
    }
    if let Ok(payment) = header::decode_payment(text) {
        let again = header::encode(&payment).expect("what we read we write");
        if again.len() <= header::HEADER_BYTES_MAX {
            assert_eq!(
                header::decode_payment(again.as_bytes()).expect("readable"),
                payment
            );
        }
    }
}

fn reads_header_v1(text: &[u8]) {
    if let Ok(payment) = PaymentPayloadV1::decode(text) {
        let again = header::encode(&payment).expect("what we read we write");
        if again.len() <= header::HEADER_BYTES_MAX {
            assert_eq!(
                PaymentPayloadV1::decode(again.as_bytes()).expect("readable"),
                payment
            );
        }
    }
    if let Ok(receipt) = v1::decode_receipt(text) {
        let again = header::encode(&receipt.clone().into_v1()).expect("what we read we write");
        let again = v1::decode_receipt(again.as_bytes()).expect("readable");
        assert_eq!(
            (again.success, again.transaction, again.network),
            (receipt.success, receipt.transaction, receipt.network)
        );
    }
}

fn reads_text(text: &str) {
    if let Ok(amount) = Amount::parse(text) {
        assert_eq!(amount.to_string(), text);
    }
    if let Ok(usd) = UsdMicros::parse(text) {
        assert_eq!(UsdMicros::parse(&usd.to_string()), Ok(usd));
    }
    if let Ok(chain) = text.parse::<ChainId>() {
        assert_eq!(chain.as_str(), text);
    }
    if let Ok(asset) = text.parse::<AssetId>() {
        assert_eq!(asset.to_string().parse(), Ok(asset));
    }
    if let Ok(word) = text.parse::<Word>() {
        assert_eq!(word.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(address) = text.parse::<EvmAddress>() {
        assert_eq!(address.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(address) = text.parse::<SvmAddress>() {
        assert_eq!(address.to_string(), text);
    }
    if let Ok(signature) = text.parse::<SvmSignature>() {
        assert_eq!(signature.to_string(), text);
    }
    if let Ok(transaction) = text.parse::<SvmTransaction>() {
        assert_eq!(transaction.to_string(), text);
        assert!(transaction.bytes().len() <= TRANSACTION_BYTES_MAX);
    }
    if let Ok(bytes) = parse_hex(text, 64) {
        assert!(bytes.len() <= 64);
    }
}

#[test]
fn damaged_bodies_never_panic_and_never_change_when_rewritten() {
    let mut dice = Dice::new(402);
    let bodies = cases("x402/bodies.json");
    let mut inputs: Vec<String> = bodies.iter().map(|c| c["input"].to_string()).collect();
    inputs.extend(
        cases("x402/exact-evm.json")
            .iter()
            .map(|c| c["payload"].to_string()),
    );
    inputs.extend(inputs_v1());
    for case in cases("x402/exact-svm.json") {
        inputs.push(case["payload"].to_string());
        inputs.push(case["requirements"]["extra"].to_string());
    }
    for input in inputs {
        for _ in 0..COPIES {
            reads_body(&damage(&mut dice, input.as_bytes()));
        }
    }
}

fn inputs_v1() -> Vec<String> {
    let vectors = load("x402/v1.json");
    let of = |list: &str, field: &str| -> Vec<String> {
        let cases = vectors[list].as_array().expect("a list");
        cases.iter().map(|case| case[field].to_string()).collect()
    };
    [
        of("bodies", "input"),
        of("requests", "input"),
        of("receipts", "v1"),
    ]
    .concat()
}

#[test]
fn damaged_headers_never_panic() {
    let mut dice = Dice::new(8402);
    for input in inputs_v1() {
        let json: Value = serde_json::from_str(&input).expect("JSON");
        let text = header::encode(&json).expect("JSON");
        for _ in 0..COPIES {
            reads_header_v1(&damage(&mut dice, text.as_bytes()));
        }
    }
    for case in cases("x402/bodies.json") {
        let text = header::encode(&case["input"]).expect("JSON");
        for _ in 0..COPIES {
            reads_header(&damage(&mut dice, text.as_bytes()));
        }
    }
    for case in cases("x402/headers.json") {
        for _ in 0..COPIES {
            let text = case["text"].as_str().expect("a text");
            reads_header(&damage(&mut dice, text.as_bytes()));
        }
    }
}

#[test]
fn damaged_texts_never_panic_and_are_read_one_way() {
    let mut dice = Dice::new(84_532);
    let (money, caip) = (load("money.json"), load("caip.json"));
    let mut inputs = texts(&money["amounts"]["read"]);
    inputs.extend(texts(&caip["chains"]["read"]));
    inputs.extend([
        "0.05 USD",
        "$12.5",
        "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e",
    ]);
    inputs.extend(["0x036cbd53842c5426634e7929541ec2318f3dcf7e"]);
    let svm = cases("x402/exact-svm.json");
    for case in &svm {
        inputs.push(case["payerSignature"].as_str().expect("a text"));
        inputs.push(case["payload"]["transaction"].as_str().expect("a text"));
        inputs.push(case["requirements"]["payTo"].as_str().expect("a text"));
    }
    inputs.extend(["solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1/token:4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU"]);
    inputs.extend(["0x1111111111111111111111111111111111111111111111111111111111111111"]);
    for input in inputs {
        reads_text(input);
        for _ in 0..COPIES * 10 {
            let damaged = damage(&mut dice, input.as_bytes());
            reads_text(&String::from_utf8_lossy(&damaged));
        }
    }
}

/// The texts of a field, or of a list that a field is.
fn field(case: &Value, name: &str) -> Vec<u8> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match &case[name] {
        Value::Array(entries) => {
            let lines: Vec<String> = entries.iter().map(text).collect();
            lines.join("\n").into_bytes()
        }
        one => text(one).into_bytes(),
    }
}

#[test]
fn damaged_challenges_and_credentials_of_l402_never_panic_and_are_read_one_way() {
    let mut dice = Dice::new(402_402);
    let challenges = ["l402/challenges.json", "l402/auth.json"]
        .map(load)
        .map(|file| file.get("read").or(file.get("cases")).cloned());
    for case in challenges
        .iter()
        .flatten()
        .flat_map(|list| list.as_array())
        .flatten()
    {
        let values = field(case, "values");
        l402_readers::www_authenticate(&values);
        for _ in 0..COPIES {
            l402_readers::www_authenticate(&damage(&mut dice, &values));
        }
    }
    for case in list("l402/credentials.json", "read") {
        let mut inputs = vec![field(&case, "authorization")];
        let metadata = case["metadata"].as_object().into_iter().flatten();
        inputs.extend(metadata.map(|(name, _)| field(&case["metadata"], name)));
        for input in inputs {
            l402_readers::l402_credential(&input);
            for _ in 0..COPIES {
                l402_readers::l402_credential(&damage(&mut dice, &input));
            }
        }
    }
}

#[test]
fn damaged_macaroons_never_panic_and_are_never_believed() {
    use base64::Engine;
    let mut dice = Dice::new(66);
    for name in ["read", "refused"] {
        for case in list("l402/macaroons.json", name) {
            let text = field(&case, "text");
            let copies = if text.len() > 5000 { 5 } else { COPIES };
            let bytes = base64::engine::general_purpose::STANDARD.decode(&text);
            for input in [Some(text), bytes.ok()].into_iter().flatten() {
                l402_readers::macaroon(&input);
                for _ in 0..copies {
                    l402_readers::macaroon(&damage(&mut dice, &input));
                }
            }
        }
    }
}

#[test]
fn damaged_caveats_never_widen_a_token() {
    let mut dice = Dice::new(8);
    for case in list("l402/conditions.json", "cases") {
        let input = field(&case, "caveats");
        l402_readers::caveats(&input);
        for _ in 0..COPIES {
            l402_readers::caveats(&damage(&mut dice, &input));
        }
    }
}
