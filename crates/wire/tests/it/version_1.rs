//! x402 version 1 against `conformance/x402/v1.json`, and the way to version 2 and back.

use farebox_wire::caip::ChainId;
use farebox_wire::challenge::{BODY_BYTES_MAX, Challenge, ChallengeError, OFFERS_MAX, Offer, read};
use farebox_wire::x402::facilitator::{self, RequestError};
use farebox_wire::x402::header::{self, HeaderError};
use farebox_wire::x402::types::{
    PaymentRequirements, ResourceInfo, SettleResponse, VerifyResponse,
};
use farebox_wire::x402::v1::{self, NETWORKS, PaymentPayloadV1, PaymentRequirementsV1};
use farebox_wire::x402::{PAYMENT_REQUIRED, Version};
use serde_json::{Value, json};

use crate::bodies;
use crate::vectors::{list, text};

fn vectors(name: &str) -> Vec<Value> {
    list("x402/v1.json", name)
}

fn offer() -> Value {
    vectors("offers")[0]["v1"].clone()
}

fn read_body(body: &Value) -> Result<Challenge, ChallengeError> {
    read(|_| None::<&[u8]>, body.to_string().as_bytes())
}

#[test]
fn bodies_are_read_and_written_as_the_vectors_say() {
    bodies::assert_written(vectors("bodies"));
}

#[test]
fn damaged_bodies_are_refused() {
    bodies::assert_refused(vectors("refused"));
}

#[test]
fn every_name_means_one_chain_and_every_chain_has_one_name() {
    let listed = vectors("networks");
    assert_eq!(listed.len(), NETWORKS.len());
    for pair in listed {
        let (name, chain) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        assert_eq!(v1::chain_of(name).expect(name).as_str(), chain);
        let chain: ChainId = chain.parse().expect("a chain");
        assert_eq!(v1::name_of(&chain), Some(name));
    }
    assert_eq!(v1::chain_of("eip155:84532"), None);
    assert_eq!(v1::name_of(&ChainId::eip155(31_337)), None);
}

#[test]
fn offers_mean_in_version_2_what_the_vectors_say() {
    for case in vectors("offers") {
        let offer: PaymentRequirementsV1 = header::from_value(&case["v1"]).expect("readable");
        let translated = offer.to_v2().ok().map(|offer| json!(offer));
        assert_eq!(
            translated.unwrap_or_default(),
            case["v2"],
            "{}",
            case["name"]
        );
    }
}

#[test]
fn our_offer_in_version_1_means_the_same_offer() {
    let resource = ResourceInfo {
        url: "https://h.example/q".to_owned(),
        description: Some("d".to_owned()),
        mime_type: Some("application/json".to_owned()),
        ..ResourceInfo::default()
    };
    let ours: PaymentRequirements = header::from_value(&vectors("offers")[0]["v2"]).unwrap();
    let written = PaymentRequirementsV1::of(&ours, &resource).expect("it has words for it");
    assert_eq!(json!(written), offer());
    assert_eq!(written.to_v2(), Ok(ours));
    assert_eq!(written.resource_info(), Some(resource));
}

#[test]
fn what_version_1_cannot_say_is_not_offered_in_it() {
    let resource = ResourceInfo::default();
    let ours: PaymentRequirements = header::from_value(&vectors("offers")[0]["v2"]).unwrap();
    for (flow, has_words) in [
        (json!("upfront"), false),
        (json!("escrow"), false),
        (json!(1), false),
        (json!("authorization"), true),
        (json!(null), true),
    ] {
        let mut offer = ours.clone();
        let extra = offer.extra.as_mut().expect("extra");
        extra.insert("paymentFlow".to_owned(), flow.clone());
        let written = PaymentRequirementsV1::of(&offer, &resource);
        assert_eq!(written.is_some(), has_words, "{flow}");
    }
    let local = PaymentRequirements {
        network: ChainId::eip155(31_337),
        ..ours
    };
    assert_eq!(PaymentRequirementsV1::of(&local, &resource), None);
}

#[test]
fn questions_are_read_in_either_version_as_the_vectors_say() {
    for case in vectors("requests") {
        let name = text(&case, "name");
        let read = facilitator::read(case["input"].to_string().as_bytes());
        let question = match (read, case["unread"].as_str()) {
            (Ok(question), None) => question,
            (Err(RequestError::Json(_)), Some("json"))
            | (Err(RequestError::Version { .. }), Some("version"))
            | (Err(RequestError::TwoVersions { .. }), Some("two_versions")) => continue,
            (read, _) => panic!("{name}: {read:?}"),
        };
        assert_eq!(
            json!(question.version().number()),
            case["version"],
            "{name}"
        );
        let offer = &case["input"]["paymentRequirements"];
        assert_eq!(question.network(), text(offer, "network"));
        match question.into_v2() {
            Ok(request) => assert_eq!(json!(request), case["v2"], "{name}"),
            Err(why) => assert_eq!(why.reason().code(), text(&case, "reason"), "{name}"),
        }
    }
}

#[test]
fn a_question_of_an_unknown_version_is_told_with_its_network_cut() {
    let body = json!({
        "x402Version": 9, "paymentPayload": {"x402Version": 9},
        "paymentRequirements": {"network": "x".repeat(20_000)},
    });
    match facilitator::read(body.to_string().as_bytes()) {
        Err(RequestError::Version { version, network }) => {
            assert_eq!((version, network.len()), (9, 64));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn receipts_are_written_in_version_1_as_the_vectors_say() {
    for case in vectors("receipts") {
        let receipt: SettleResponse = header::from_value(&case["v2"]).expect("readable");
        assert_eq!(json!(receipt.into_v1()), case["v1"], "{}", case["name"]);
    }
    let answer = json!({"isValid": true, "payer": "0xa", "extensions": {}, "extra": {}});
    let answer: VerifyResponse = header::from_value(&answer).expect("readable");
    assert_eq!(
        json!(answer.into_v1()),
        json!({"isValid": true, "payer": "0xa"})
    );
}

#[test]
fn receipts_of_version_1_are_read_as_the_vectors_say() {
    use base64::Engine;
    for case in vectors("received") {
        let text = base64::engine::general_purpose::STANDARD.encode(text(&case, "text"));
        let receipt = v1::decode_receipt(text.as_bytes());
        let receipt = receipt.ok().map(|receipt| json!(receipt));
        assert_eq!(receipt.unwrap_or_default(), case["v2"], "{}", case["name"]);
    }
}

#[test]
fn a_credential_of_another_version_is_told_from_a_damaged_one() {
    for (body, is_version) in [
        (
            json!({"x402Version": 2, "accepted": {}, "payload": {}}),
            true,
        ),
        (json!({"x402Version": 1}), false),
        (json!({"scheme": "exact"}), false),
        (json!([1]), false),
    ] {
        let text = header::encode(&body).expect("JSON");
        let error = PaymentPayloadV1::decode(text.as_bytes()).expect_err("damaged");
        assert_eq!(
            matches!(error, HeaderError::Version(2)),
            is_version,
            "{body}"
        );
    }
}

#[test]
fn a_credential_keeps_its_signature_out_of_logs() {
    let question = &vectors("requests")[0]["input"];
    let signature = question["paymentPayload"]["payload"]["signature"].as_str();
    let signature = signature.expect("a signature");
    let question = facilitator::read(question.to_string().as_bytes()).expect("readable");
    assert!(!format!("{question:?}").contains(&signature[2..20]));
}

#[test]
fn a_challenge_in_the_body_is_read_offer_by_offer() {
    let mut nameless = offer();
    nameless["network"] = json!("ropsten");
    let mut dear = offer();
    dear["maxAmountRequired"] = json!("0.01");
    let body = json!({
        "x402Version": 1, "error": "X-PAYMENT header is required",
        "accepts": [null, nameless, offer(), dear],
    });
    let challenge = read_body(&body).expect("readable");
    let [Offer::X402(read)] = challenge.offers.as_slice() else {
        panic!("one offer");
    };
    assert_eq!(read.version, Version::V1);
    assert_eq!(read.requirements.network, ChainId::eip155(84_532));
    assert_eq!(read.requirements.amount.atomic(), 10_000);
    assert_eq!(read.raw, offer());
    let places: Vec<_> = challenge.unreadable.iter().map(|(at, _)| *at).collect();
    assert_eq!(places, [0, 1, 3]);
    assert!(challenge.unreadable[1].1.contains("ropsten"));
    assert_eq!(
        challenge.error.as_deref(),
        Some("X-PAYMENT header is required")
    );
    let resource = challenge.resource.expect("of the first readable offer");
    assert_eq!(resource.url, "https://h.example/q");
    assert_eq!(challenge.extensions, None);
}

#[test]
fn the_newer_version_wins_where_a_seller_speaks_both() {
    let v2 = json!({
        "x402Version": 2, "resource": {"url": "https://h.example/q"},
        "accepts": [vectors("offers")[0]["v2"]],
    });
    let v2 = header::encode(&v2).expect("JSON");
    let v1 = json!({"x402Version": 1, "accepts": [offer(), offer()]}).to_string();
    let challenge = read(
        |asked| (asked == PAYMENT_REQUIRED).then_some(v2.as_bytes()),
        v1.as_bytes(),
    );
    let challenge = challenge.expect("readable");
    let [Offer::X402(read)] = challenge.offers.as_slice() else {
        panic!("one offer");
    };
    assert_eq!(read.version, Version::V2);
}

#[test]
fn a_challenge_in_the_body_wins_over_dialects_that_are_not_spoken() {
    let v1 = json!({"x402Version": 1, "accepts": [offer()]}).to_string();
    let mpp: &[u8] = b"Payment id=\"x\"";
    let challenge = read(
        |asked| (asked == "www-authenticate").then_some(mpp),
        v1.as_bytes(),
    );
    assert_eq!(challenge.expect("readable").offers.len(), 1);
}

#[test]
fn a_challenge_in_the_body_is_bounded_and_strict() {
    let many = vec![json!({}); OFFERS_MAX + 1];
    assert!(matches!(
        read_body(&json!({"x402Version": 1, "accepts": many})),
        Err(ChallengeError::TooManyOffers(65))
    ));
    assert!(matches!(
        read_body(&json!({"x402Version": 1, "accepts": offer()})),
        Err(ChallengeError::Body(_))
    ));
    let long = json!({"x402Version": 1, "accepts": [offer()], "x": "x".repeat(BODY_BYTES_MAX)});
    assert!(matches!(read_body(&long), Err(ChallengeError::Unknown)));
    // Two readers would see two challenges.
    let twice = format!(
        r#"{{"x402Version":1,"accepts":[],"accepts":[{}]}}"#,
        offer()
    );
    assert!(matches!(
        read(|_| None::<&[u8]>, twice.as_bytes()),
        Err(ChallengeError::Unknown)
    ));
    let empty = read_body(&json!({"x402Version": 1, "accepts": []}));
    assert!(empty.expect("readable").offers.is_empty());
}
