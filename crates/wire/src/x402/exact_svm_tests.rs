//! Rules of the `exact` payload and offer on Solana.

use serde_json::json;

use super::*;

const FEE_PAYER: &str = "GyGKxMyg1p9SsHfm15MkNUu1u9TN2JtTspcdmrtGUdse";
const BLOCKHASH: &str = "EETubP5AKHgjPAhzPAFcb8BAY1hMH639CWCFTqi3hq1k";

fn extra(body: Value) -> Result<ExactSvmExtra, serde_json::Error> {
    ExactSvmExtra::read(body.as_object())
}

#[test]
fn a_payload_holds_a_transaction_and_nothing_in_its_place() {
    let read = |body: Value| serde_json::from_value::<ExactSvmPayload>(body);
    let payload = read(json!({"transaction": "AQID"})).expect("readable");
    assert_eq!(payload.transaction.bytes(), [1, 2, 3]);
    assert_eq!(json!(payload), json!({"transaction": "AQID"}));
    for odd in [
        json!({}),
        json!({"transaction": null}),
        json!({"transaction": ""}),
        json!({"transaction": 1}),
        json!({"transaction": ["AQID"]}),
        json!({"transaction": [1, 2, 3]}),
        json!({"transaction": "AQID".repeat(411)}),
        json!({"signature": "AQID"}),
    ] {
        assert!(read(odd.clone()).is_err(), "{odd}");
    }
}

#[test]
fn an_offer_names_its_fee_payer() {
    let least = extra(json!({"feePayer": FEE_PAYER, "features": {"a": 1}})).expect("readable");
    assert_eq!(least.fee_payer.to_string(), FEE_PAYER);
    assert_eq!((&least.memo, least.recent_blockhash), (&None, None));
    assert_eq!(json!(least.to_map()), json!({"feePayer": FEE_PAYER}));
    assert!(ExactSvmExtra::read(None).is_err());
    for odd in [
        json!({}),
        json!({"feePayer": null}),
        json!({"feePayer": ""}),
        json!({"feePayer": "0x036cbd53842c5426634e7929541ec2318f3dcf7e"}),
        json!({"feePayer": [FEE_PAYER]}),
    ] {
        assert!(extra(odd.clone()).is_err(), "{odd}");
    }
}

#[test]
fn a_memo_has_a_limit_in_bytes() {
    let memo = |memo: Value| extra(json!({"feePayer": FEE_PAYER, "memo": memo}));
    let most = "é".repeat(128);
    assert_eq!(memo(json!(most)).expect("readable").memo, Some(most));
    assert_eq!(memo(json!("")).expect("readable").memo, None);
    assert_eq!(memo(json!(null)).expect("readable").memo, None);
    for odd in [json!("é".repeat(129)), json!(1), json!(["a"]), json!({})] {
        assert!(memo(odd.clone()).is_err(), "{odd}");
    }
    let long = memo(json!({"a": "b".repeat(10_000)})).expect_err("no memo");
    assert!(long.to_string().chars().count() < 300);
}

#[test]
fn a_hint_that_cannot_be_read_is_none() {
    let hints = |hash: Value, height: Value| {
        let read = extra(json!({
            "feePayer": FEE_PAYER, "recentBlockhash": hash, "lastValidBlockHeight": height
        }));
        let read = read.expect("readable");
        (read.recent_blockhash, read.last_valid_block_height)
    };
    let hash = BLOCKHASH.parse().ok();
    assert!(hash.is_some());
    assert_eq!(hints(json!(BLOCKHASH), json!("151")), (hash, Some(151)));
    assert_eq!(hints(json!(BLOCKHASH), json!(151)), (hash, Some(151)));
    for odd in [
        json!(""),
        json!("x"),
        json!(-1),
        json!(1.5),
        json!("+1"),
        json!("18446744073709551616"),
        json!(null),
        json!([BLOCKHASH]),
        json!({"a": 1}),
    ] {
        assert_eq!(hints(odd.clone(), odd.clone()), (None, None), "{odd}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let written = ExactSvmExtra {
        fee_payer: FEE_PAYER.parse().expect("an address"),
        memo: Some("order 7".into()),
        recent_blockhash: BLOCKHASH.parse().ok(),
        last_valid_block_height: Some(u64::MAX),
    };
    let map = written.to_map();
    assert_eq!(map["lastValidBlockHeight"], "18446744073709551615");
    assert_eq!(ExactSvmExtra::read(Some(&map)).expect("readable"), written);
}
