//! Rules of reading a 402: strict about offers, patient with a seller's texts, bounded.

use serde_json::json;

use super::*;

fn offer(amount: &str) -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": amount, "asset": "0xa",
        "payTo": "0xb", "maxTimeoutSeconds": 60, "extra": {"name": "USDC", "version": "2"}
    })
}

fn challenge(accepts: Value) -> Value {
    json!({"x402Version": 2, "resource": {"url": "https://h.example/q"}, "accepts": accepts})
}

fn read_header(body: &Value) -> Result<Challenge, ChallengeError> {
    let text = header::encode(body).expect("it is JSON");
    read_with("payment-required", text.as_bytes(), b"")
}

fn read_with(name: &str, value: &[u8], body: &[u8]) -> Result<Challenge, ChallengeError> {
    read(|asked| (asked == name).then_some(value), body)
}

#[test]
fn offers_come_in_the_sellers_order_with_the_entry_as_it_came() {
    let mut first = offer("2");
    first["vendor"] = json!({"b": 1, "a": null});
    let challenge = read_header(&challenge(json!([first, offer("1")]))).expect("readable");
    let [Offer::X402(one), Offer::X402(two)] = challenge.offers.as_slice() else {
        panic!("two offers");
    };
    assert_eq!(one.raw, first);
    assert_eq!(two.requirements.amount.atomic(), 1);
}

#[test]
fn an_unreadable_offer_does_not_hide_the_others() {
    let mut timeless = offer("1");
    timeless["maxTimeoutSeconds"] = json!("60");
    let mut named = offer("1");
    named["network"] = json!("base-sepolia");
    let bad = [
        json!(null),
        json!([]),
        json!("exact"),
        json!({}),
        offer("-1"),
        offer("1e3"),
        offer(""),
        offer("007"),
        offer(" 1"),
        offer("340282366920938463463374607431768211456"),
        timeless,
        named,
        json!(["exact", "eip155:1", "1", "0xa", "0xb", 60, null]),
    ];
    let mut accepts = bad.to_vec();
    accepts.push(offer("5"));
    let challenge = read_header(&challenge(json!(accepts))).expect("readable");
    assert_eq!(challenge.offers.len(), 1);
    let places: Vec<_> = challenge
        .unreadable
        .iter()
        .map(|(place, _)| *place)
        .collect();
    assert_eq!(places, (0..bad.len()).collect::<Vec<_>>());
    assert!(challenge.unreadable.iter().all(|(_, why)| !why.is_empty()));
}

#[test]
fn a_sellers_text_of_the_wrong_shape_does_not_hide_its_offers() {
    for (field, odd) in [
        ("resource", json!(null)),
        ("resource", json!("https://h.example/q")),
        ("resource", json!({"description": "no url"})),
        ("resource", json!({"url": ""})),
        ("resource", json!(["https://h.example/q"])),
        ("error", json!({"code": 7})),
        ("error", json!(null)),
        ("extensions", json!(null)),
        ("extensions", json!([])),
    ] {
        let mut body = challenge(json!([offer("1")]));
        body[field] = odd;
        let challenge = read_header(&body).expect("readable");
        assert_eq!(challenge.offers.len(), 1, "{field}");
        assert_eq!(challenge.resource.is_none(), field == "resource");
        assert_eq!(challenge.extensions, None);
    }
    let mut body = challenge(json!([]));
    body["error"] = json!({"code": 7});
    let error = read_header(&body).expect("readable").error;
    assert_eq!(error.as_deref(), Some(r#"{"code":7}"#));
}

#[test]
fn a_402_with_ten_thousand_offers_is_refused() {
    let many = vec![json!({}); 10_000];
    assert!(matches!(
        read_header(&challenge(json!(many))),
        Err(ChallengeError::TooManyOffers(10_000)
            | ChallengeError::Header(HeaderError::TooLong { .. }))
    ));
    let many = vec![json!({}); OFFERS_MAX + 1];
    assert!(matches!(
        read_header(&challenge(json!(many))),
        Err(ChallengeError::TooManyOffers(65))
    ));
    let most = vec![json!({}); OFFERS_MAX];
    assert!(read_header(&challenge(json!(most))).is_ok());
}

#[test]
fn another_version_in_the_header_is_refused_by_its_number() {
    let mut body = challenge(json!([offer("1")]));
    body["x402Version"] = json!(1);
    assert!(matches!(
        read_header(&body),
        Err(ChallengeError::Version(1))
    ));
    for odd in [json!(null), json!("2"), json!(2.5), json!(-2)] {
        body["x402Version"] = odd;
        assert!(matches!(
            read_header(&body),
            Err(ChallengeError::Header(HeaderError::Json(_)))
        ));
    }
}

#[test]
fn accepts_must_be_a_list() {
    for accepts in [json!(null), json!({}), json!("exact"), offer("1")] {
        assert!(matches!(
            read_header(&challenge(accepts)),
            Err(ChallengeError::Header(HeaderError::Json(_)))
        ));
    }
}

#[test]
fn dialects_that_are_not_spoken_yet_are_named() {
    for value in ["Payment id=\"x\", method=\"tempo\"", "Bearer, payment x=y"] {
        let read = read_with("www-authenticate", value.as_bytes(), b"");
        assert!(
            matches!(read, Err(ChallengeError::Unsupported("MPP"))),
            "{value}"
        );
    }
}

const L402: &str = r#"L402 macaroon="x", invoice="lnbc1""#;

fn read_both(x402: &[&str], l402: &[&str], body: &[u8]) -> Result<Challenge, ChallengeError> {
    let header = |name: &str| {
        let values = match name {
            "payment-required" => x402,
            "www-authenticate" => l402,
            _ => &[],
        };
        values
            .iter()
            .map(|value| value.as_bytes())
            .collect::<Vec<_>>()
    };
    read(header, body)
}

#[test]
fn offers_of_l402_stand_behind_those_of_x402() {
    let x402 = header::encode(&challenge(json!([offer("1"), null]))).expect("JSON");
    let lsat = L402.replace("L402", "LSAT");
    let lines = [
        lsat.as_str(),
        L402,
        "L402 invoice=\"y\"",
        "Payment id=\"x\"",
    ];
    let both = read_both(&[&x402], &lines, b"").expect("readable");
    let [Offer::X402(first), Offer::L402(second)] = both.offers.as_slice() else {
        panic!("two offers, {:?}", both.offers);
    };
    assert_eq!(first.requirements.amount.atomic(), 1);
    assert_eq!(
        (second.token.as_str(), second.invoice.as_str()),
        ("x", "lnbc1")
    );
    assert_eq!(second.scheme, crate::l402::Scheme::L402);
    assert_eq!(both.offers[1].as_x402().map(|offer| &offer.raw), None);
    let places: Vec<_> = both.unreadable.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [1, 2]);
    assert!(both.resource.is_some());
}

#[test]
fn offers_of_l402_stand_alone_or_beside_a_body_of_version_1() {
    let alone = read_both(&[], &[L402], b"<html>").expect("readable");
    assert!(matches!(alone.offers.as_slice(), [Offer::L402(_)]));
    let body = br#"{"x402Version":1,"accepts":[],"error":"pay"}"#;
    let both = read_both(&[], &[L402], body).expect("readable");
    assert!(matches!(both.offers.as_slice(), [Offer::L402(_)]));
    assert_eq!(both.error.as_deref(), Some("pay"));
}

#[test]
fn a_dialect_that_cannot_be_read_hides_no_other() {
    for damaged in [["%%%"].as_slice(), &["e30=", "e30="]] {
        let read = read_both(damaged, &[L402], b"").expect("L402 can be read");
        assert!(matches!(read.offers.as_slice(), [Offer::L402(_)]));
        assert_eq!(read.unreadable.len(), 1);
        assert!(read_both(damaged, &["L402 token=\"x\""], b"").is_err());
    }
    let unreadable = read_both(&[], &["L402 token=\"x\""], b"").expect("it is L402");
    assert!(unreadable.offers.is_empty());
    assert_eq!(unreadable.unreadable.len(), 1);
}

#[test]
fn two_challenges_of_x402_are_none() {
    let one = header::encode(&challenge(json!([offer("1")]))).expect("JSON");
    let two = read_both(&[&one, &one], &[], b"");
    assert!(matches!(two, Err(ChallengeError::TwoChallenges)));
}

#[test]
fn offers_of_all_dialects_are_counted_together() {
    let most = vec![json!({}); OFFERS_MAX];
    let x402 = header::encode(&challenge(json!(most))).expect("JSON");
    assert!(read_both(&[&x402], &[], b"").is_ok());
    let more = read_both(&[&x402], &[L402], b"");
    assert!(matches!(more, Err(ChallengeError::TooManyOffers(65))));
}

#[test]
fn a_402_of_no_known_dialect_says_so() {
    let huge = vec![b' '; BODY_BYTES_MAX + 1];
    for body in [
        b"".as_slice(),
        b"<html>",
        b"{}",
        b"[1]",
        br#"{"x402Version":2}"#,
        b"\xff",
        &huge,
    ] {
        assert!(matches!(
            read_with("none", b"", body),
            Err(ChallengeError::Unknown)
        ));
    }
    let read = read_with("www-authenticate", b"Bearer realm=\"L402x\"", b"");
    assert!(matches!(read, Err(ChallengeError::Unknown)));
}

#[test]
fn the_reason_of_an_unreadable_offer_is_short() {
    let mut long = offer("1");
    long["maxTimeoutSeconds"] = json!("x".repeat(20_000));
    let challenge = read_header(&challenge(json!([long]))).expect("readable");
    assert!(challenge.unreadable[0].1.len() < 300);
}
