//! The vectors in `conformance/`, one test for each file.

use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::money::{Amount, UsdMicros, UsdRate, parse_decimal};
use farebox_wire::svm::{SvmAddress, SvmSignature};
use farebox_wire::x402::exact_evm::ExactEvmPayload;
use farebox_wire::x402::exact_svm::{ExactSvmExtra, ExactSvmPayload};
use farebox_wire::x402::header::{self, HeaderError};
use farebox_wire::x402::matching;
use farebox_wire::x402::types::{PaymentRequirements, SettleResponse};
use farebox_wire::x402::verdict::Verdict;
use serde_json::{Value, json};

use crate::bodies;
use crate::vectors::{cases, load, text, texts};

#[test]
fn bodies_are_read_and_written_as_the_vectors_say() {
    bodies::assert_written(cases("x402/bodies.json"));
}

#[test]
fn damaged_bodies_are_refused() {
    bodies::assert_refused(cases("x402/refused.json"));
}

#[test]
fn headers_are_read_or_refused_by_the_layer_that_the_vectors_say() {
    for case in cases("x402/headers.json") {
        let read = header::decode::<Value>(text(&case, "text").as_bytes());
        match (read, case["refused"].as_str()) {
            (Ok(json), None) => assert_eq!(json, case["json"]),
            (Err(HeaderError::Base64), Some("base64")) => {}
            (Err(HeaderError::Json(_)), Some("json")) => {}
            (read, _) => panic!("{}: {read:?}", case["name"]),
        }
    }
}

#[test]
fn offers_match_as_the_vectors_say() {
    for case in cases("x402/matching.json") {
        let matches = matching::accepts(&case["offered"], &case["accepted"]);
        assert_eq!(json!(matches), case["matches"], "{}", case["name"]);
    }
}

#[test]
fn receipts_say_what_the_vectors_say() {
    for case in cases("x402/verdicts.json") {
        let text = case["receipt"].to_string();
        let receipt: SettleResponse = header::from_json(text.as_bytes()).expect("readable");
        let said = match receipt.verdict() {
            Verdict::Settled { transaction } => ("settled", transaction, None),
            Verdict::Pending { transaction } => ("pending", Some(transaction), None),
            Verdict::Refused {
                reason,
                transaction,
            } => ("refused", transaction, reason),
        };
        assert_eq!(
            (json!(said.0), json!(said.1), json!(said.2)),
            (
                case["verdict"].clone(),
                case["transaction"].clone(),
                case["reason"].clone()
            ),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn the_signed_payload_of_the_vectors_is_read_as_it_was_signed() {
    for case in cases("x402/exact-evm.json") {
        let input = case["payload"].to_string();
        let payload: ExactEvmPayload = header::from_json(input.as_bytes()).expect("readable");
        let signed = &case["payload"]["authorization"];
        let payer = text(&case, "payer").to_ascii_lowercase();
        assert_eq!(payload.authorization.from.to_string(), payer);
        assert_eq!(payload.authorization.value.to_string(), signed["value"]);
        assert_eq!(payload.authorization.nonce.to_string(), signed["nonce"]);
        assert_eq!(json!(payload)["signature"], case["payload"]["signature"]);
    }
}

#[test]
fn the_signed_transactions_of_the_vectors_are_read_as_they_were_signed() {
    let payer: SvmAddress = text(&load("x402/exact-svm.json"), "payer")
        .parse()
        .expect("an address");
    for case in cases("x402/exact-svm.json") {
        let input = case["payload"].to_string();
        let payload: ExactSvmPayload = header::from_json(input.as_bytes()).expect("readable");
        let bytes = payload.transaction.bytes();
        assert_eq!(json!(bytes.len()), case["bytes"]);
        // Two signatures: none yet of the fee payer, then the payer's.
        let (fee_payer, signed) = (&bytes[1..65], &bytes[65..129]);
        assert_eq!((bytes[0], fee_payer), (2, [0; 64].as_slice()));
        let signature: SvmSignature = text(&case, "payerSignature").parse().expect("a signature");
        assert_eq!(signed, signature.0);
        assert_eq!(bytes[129 + 4 + 33..][..32], payer.0);
        assert_eq!(json!(payload), case["payload"]);
        let offer: PaymentRequirements =
            header::from_json(case["requirements"].to_string().as_bytes()).expect("readable");
        let extra = ExactSvmExtra::read(offer.extra.as_ref()).expect("readable");
        assert_eq!(json!(extra.to_map()), case["requirements"]["extra"]);
        assert_eq!(bytes[129 + 4 + 1..][..32], extra.fee_payer.0);
    }
}

#[test]
fn amounts_are_read_or_refused_as_the_vectors_say() {
    let vectors = load("money.json");
    for text in texts(&vectors["amounts"]["read"]) {
        assert_eq!(Amount::parse(text).expect(text).to_string(), text);
    }
    for text in texts(&vectors["amounts"]["refused"]) {
        assert!(Amount::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn decimals_rates_and_prices_are_as_the_vectors_say() {
    let vectors = load("money.json");
    let list = |name: &str| vectors[name].as_array().expect("a list").clone();
    let decimals =
        |case: &Value| u8::try_from(case["decimals"].as_u64().expect("a number")).expect("a byte");
    let number = |case: &Value, field: &str| text(case, field).parse::<u128>().expect("a number");
    let rate = |case: &Value| UsdRate {
        usd_per_unit: UsdMicros(number(case, "usdMicrosPerUnit")),
        decimals: decimals(case),
    };
    for case in list("decimal") {
        let read = parse_decimal(text(&case, "text"), decimals(&case)).ok();
        assert_eq!(json!(read.map(|n| n.to_string())), case["atomic"], "{case}");
    }
    for case in list("rates") {
        let usd = rate(&case).usd_of(Amount::from_atomic(number(&case, "atomic")));
        assert_eq!(
            json!(usd.map(|u| u.0.to_string())),
            case["usdMicros"],
            "{case}"
        );
    }
    for case in list("prices") {
        let amount = rate(&case).amount_for(UsdMicros(number(&case, "usdMicros")));
        assert_eq!(json!(amount), case["atomic"], "{case}");
    }
}

#[test]
fn identifiers_are_read_or_refused_as_the_vectors_say() {
    let vectors = load("caip.json");
    for text in texts(&vectors["chains"]["read"]) {
        assert_eq!(text.parse::<ChainId>().expect(text).as_str(), text);
    }
    for text in texts(&vectors["chains"]["refused"]) {
        assert!(text.parse::<ChainId>().is_err(), "{text:?}");
    }
    for case in vectors["assets"]["read"].as_array().expect("a list") {
        let asset: AssetId = text(case, "text").parse().expect("an asset");
        assert_eq!(asset.to_string(), text(case, "canonical"));
    }
    for text in texts(&vectors["assets"]["refused"]) {
        assert!(text.parse::<AssetId>().is_err(), "{text:?}");
    }
}
