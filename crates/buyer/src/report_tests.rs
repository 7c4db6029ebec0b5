//! The shape of the one object, in every ending.

use farebox_core::fault::{Blame, Kind};
use farebox_core::ledger::{BuyerSide, CallKey, Lease, PaymentId};
use farebox_core::payment::{Phase, Role, State};
use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::answer::Body;
use crate::ending::Facts;

fn payment(phase: Phase, hold: Hold) -> Payment {
    let mut state = State::reserved();
    (state.phase, state.hold) = (phase, hold);
    state.transaction = (phase == Phase::Settled).then(|| "0x1".to_owned());
    Payment {
        id: PaymentId("pay_1".into()),
        role: Role::Buyer,
        state,
        terms: serde_json::from_value(json!({
            "protocol": "x402", "rail": "evm", "network": "eip155:84532", "scheme": "exact",
            "asset": "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e",
            "symbol": "USDC", "decimals": 6, "amount": "1000", "cost": "0.001",
            "payee": "0xbb", "payer": "0xab"
        }))
        .unwrap(),
        identity: None,
        created_ms: 0,
        updated_ms: 0,
        valid_before_s: Some(1_800_000_000),
        handle: None,
        sent: Vec::new(),
        receipt: Some("{\"success\":true}".to_owned()),
        buyer: Some(BuyerSide {
            call: CallKey("c".into()),
            agent: None,
            method: None,
            url: "https://h.example/".into(),
            credential: None,
            lease: Lease {
                owner: "o".into(),
                until_ms: 0,
            },
            actual: None,
        }),
        seller: None,
    }
}

fn fetched(facts: Facts, headers: &[(&'static str, &[u8])]) -> Fetched {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, http::HeaderValue::from_bytes(value).unwrap());
    }
    let status = StatusCode::from_u16(facts.status.unwrap()).unwrap();
    let url = Url::parse("https://u:p@h.example/x").unwrap();
    let body = Body::after(Bytes::new(), None, std::time::Duration::ZERO);
    Fetched::with_head(&url, status, map, body, Ending::new(facts))
}

fn json_of(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

fn paid() -> Facts {
    Facts {
        credential_sent: true,
        status: Some(200),
        is_settled: true,
        ..Facts::default()
    }
}

#[test]
fn a_paid_answer_is_reported_in_the_promised_shape() {
    let mut fetched = fetched(paid(), &[("x-a", b"1"), ("X-A", b"2"), ("x-raw", b"\xff")]);
    fetched.payment = Some(payment(Phase::Settled, Hold::Spent));
    let report = json_of(&Report::of(&fetched, Shown::Inline("{}".into())));
    assert_eq!(
        report,
        json!({
            "ok": true, "exit": 0, "url": "https://h.example/x", "status": 200,
            "headers": {"x-a": ["1", "2"], "x-raw": ["\u{fffd}"]},
            "body": "{}",
            "payment": {
                "id": "pay_1", "state": "settled", "outcome": "settled", "reason": null,
                "reserved_until": null, "protocol": "x402", "rail": "evm",
                "network": "eip155:84532",
                "amount": {
                    "atomic": "1000",
                    "asset": "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e",
                    "decimals": 6, "symbol": "USDC"
                },
                "payee": "0xbb", "transaction": "0x1", "receipt": {"success": true}
            },
            "cost": {"amount": "0.001", "currency": "USD"},
            "error": null
        })
    );
}

#[test]
fn a_body_is_text_or_base64_or_where_it_was_written() {
    let fetched = fetched(paid(), &[]);
    let shown = |shown| json_of(&Report::of(&fetched, shown));
    assert_eq!(
        shown(Shown::Inline(Bytes::from_static(b"\xff\x00")))["body_base64"],
        "/wA="
    );
    let file = shown(Shown::File("out.bin".into()));
    assert_eq!(
        (&file["output"], file.get("body")),
        (&json!("out.bin"), None)
    );
    assert_eq!(shown(Shown::Nothing)["body"], Value::Null);
}

#[test]
fn a_call_without_a_reply_still_gets_its_object() {
    let fault = Fault::harmless("no_answer", Kind::Network, Blame::Peer, "gone");
    let facts = Facts {
        credential_sent: true,
        ..Facts::default()
    };
    let error = FetchError {
        url: "https://h.example/".into(),
        ending: Box::new(Ending::stopped(facts, fault)),
        payment: Some(Box::new(payment(Phase::Unknown, Hold::Held))),
    };
    let report = json_of(&Report::failed(&error));
    assert_eq!((&report["ok"], &report["exit"]), (&json!(false), &json!(6)));
    assert_eq!(report["status"], Value::Null);
    assert_eq!(report["payment"]["outcome"], "unknown");
    assert_eq!(report["payment"]["reserved_until"], 1_800_000_000);
    assert_eq!(
        report["error"],
        json!({
            "code": "no_answer", "kind": "network", "blame": "peer", "message": "gone",
            "retry_safe": true, "money_may_have_moved": true
        })
    );
}

#[test]
fn what_was_given_back_costs_nothing() {
    let mut fetched = fetched(paid(), &[]);
    for (phase, hold, costs) in [
        (Phase::Released, Hold::Returned, false),
        (Phase::Unknown, Hold::Spent, true),
        (Phase::Sent, Hold::Held, true),
    ] {
        fetched.payment = Some(payment(phase, hold));
        let report = json_of(&Report::of(&fetched, Shown::Nothing));
        assert_eq!(!report["cost"].is_null(), costs, "{phase:?}");
        let held = hold == Hold::Held;
        assert_eq!(
            !report["payment"]["reserved_until"].is_null(),
            held,
            "{phase:?}"
        );
    }
}

#[test]
fn an_approval_is_named_in_the_error() {
    let mut ending = Ending::new(Facts {
        status: Some(402),
        stop: Some(crate::ending::Stop::Approval),
        ..Facts::default()
    });
    ending.approval_id = Some("ask_1".into());
    let error = serde_json::to_value(ErrorView::of(&ending).unwrap()).unwrap();
    assert_eq!(error["approval_id"], "ask_1");
    assert_eq!(ending.exit(), Exit::WaitingForApproval);
}
