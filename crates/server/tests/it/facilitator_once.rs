//! `success: true` goes to one caller, whatever comes between.

use std::sync::Arc;

use alloy_primitives::U256;
use farebox_devnet_evm::Fault;
use farebox_seller::buckets::BucketLimits;
use http::StatusCode;
use serde_json::Value;

use crate::station::{AMOUNT, Plan, Signed, Station};
use crate::support::{eventually, within};

const USED: &str = "invalid_exact_evm_nonce_already_used";

fn hash(answer: &Value) -> &str {
    let hash = answer["transaction"].as_str().expect("a text");
    assert!(hash.len() == 66, "a hash: {answer}");
    hash
}

fn impatient() -> Plan {
    Plan {
        settle_wait_ms: 100,
        ..Plan::default()
    }
}

#[tokio::test]
async fn of_fifty_at_once_one_is_told_success_and_all_get_the_hash() {
    let station = Arc::new(Station::open().await);
    let signed = station.payment();
    let asked = (0..50).map(|_| {
        let (station, signed) = (Arc::clone(&station), signed.clone());
        tokio::spawn(async move { station.settle(&signed).await })
    });
    let asked: Vec<_> = asked.collect();
    let mut answers = Vec::new();
    for asked in asked {
        answers.push(within(asked).await.expect("no panic"));
    }
    let told = |answer: &&Value| answer["success"] == true;
    assert_eq!(answers.iter().filter(told).count(), 1);
    let first = hash(&answers[0]).to_owned();
    for answer in &answers {
        assert_eq!(hash(answer), first);
        let is_told = answer["success"] == true;
        assert!(is_told || answer["errorReason"] == USED, "{answer}");
    }
    assert_eq!((station.received(), station.transactions()), (AMOUNT, 1));
    assert_eq!(station.settle(&signed).await["errorReason"], USED);
}

#[tokio::test]
async fn what_was_pending_is_told_once_when_it_has_settled() {
    let station = Station::with(impatient()).await;
    let signed = station.payment();
    station.devnet.hold_mining();
    let first = station.settle_until_pending(&signed).await;
    assert_eq!(first["success"], false);
    let again = station.settle(&signed).await;
    assert_eq!(again["errorReason"], "settlement_pending", "it waits again");
    assert_eq!(hash(&again), hash(&first));
    assert_eq!(station.verify(&signed).await["isValid"], true);
    station.devnet.release_mining();
    let station = &station;
    eventually(|| async { station.received() == AMOUNT }).await;
    eventually(|| async { station.settle(&signed).await["success"] == true }).await;
    assert_eq!(station.settle(&signed).await["errorReason"], USED);
    assert_eq!(station.verify(&signed).await["invalidReason"], USED);
    assert_eq!((station.received(), station.transactions()), (AMOUNT, 1));
}

#[tokio::test]
async fn a_repeat_joins_the_settlement_that_is_pending() {
    let station = Arc::new(
        Station::with(Plan {
            watches: false,
            ..impatient()
        })
        .await,
    );
    let signed = station.payment();
    station.devnet.hold_mining();
    station.settle_until_pending(&signed).await;
    let station = station.as_ref();
    let waiting = async {
        loop {
            let answer = station.settle(&signed).await;
            if answer["errorReason"] != "settlement_pending" {
                return answer;
            }
        }
    };
    let (answer, ()) = tokio::join!(within(waiting), async {
        station.devnet.release_mining();
    });
    assert_eq!(answer["success"], true);
    assert_eq!(station.transactions(), 1);
}

#[tokio::test]
async fn the_same_key_is_told_again_and_another_is_not() {
    let station = Station::open().await;
    let signed = station.payment();
    let key = [("idempotency-key", "7d9e1c54-1")];
    let first = station.settle_with(&signed, &key).await;
    assert_eq!(first["success"], true);
    assert_eq!(station.settle_with(&signed, &key).await, first);
    assert_eq!(station.settle_with(&signed, &key).await, first);
    let other = [("idempotency-key", "7d9e1c54-2")];
    assert_eq!(
        station.settle_with(&signed, &other).await["errorReason"],
        USED
    );
    assert_eq!(station.settle(&signed).await["errorReason"], USED);
    let station = station.restart(Plan::default()).await;
    assert_eq!(
        station.settle_with(&signed, &key).await,
        first,
        "it is on record"
    );
    assert_eq!(station.settle(&signed).await["errorReason"], USED);
}

/// Leaves a payment pending that was claimed by the first of these headers, and has the second told.
async fn told_to_another(claims: &[(&str, &str)], is_told: &[(&str, &str)]) -> (Station, Signed) {
    let station = Station::with(impatient()).await;
    let signed = station.payment();
    station.devnet.hold_mining();
    station.settle_until_pending_with(&signed, claims).await;
    station.devnet.release_mining();
    let (asked, payment) = (&station, &signed);
    eventually(|| async { asked.settle_with(payment, is_told).await["success"] == true }).await;
    (station, signed)
}

#[tokio::test]
async fn the_key_that_claimed_is_not_told_what_another_caller_was_told() {
    let key = [("idempotency-key", "first")];
    for is_told in [&[][..], &[("idempotency-key", "second")]] {
        let (station, signed) = told_to_another(&key, is_told).await;
        let late = station.settle_with(&signed, &key).await;
        assert_eq!(late["errorReason"], USED, "told was {is_told:?}");
        let station = station.restart(Plan::default()).await;
        let late = station.settle_with(&signed, &key).await;
        assert_eq!(late["errorReason"], USED, "told was {is_told:?}");
    }
}

#[tokio::test]
async fn whoever_was_told_under_a_key_is_told_again_though_another_has_claimed() {
    let key = [("idempotency-key", "second")];
    for claims in [&[][..], &[("idempotency-key", "first")]] {
        let (station, signed) = told_to_another(claims, &key).await;
        assert_eq!(station.settle_with(&signed, &key).await["success"], true);
        let station = station.restart(Plan::default()).await;
        assert_eq!(station.settle_with(&signed, &key).await["success"], true);
        assert_eq!(station.settle(&signed).await["errorReason"], USED);
    }
}

#[tokio::test]
async fn a_caller_that_only_waited_changes_nothing_about_the_key_that_claimed() {
    let station = Station::with(impatient()).await;
    let signed = station.payment();
    let key = [("idempotency-key", "first")];
    station.devnet.hold_mining();
    station.settle_until_pending_with(&signed, &key).await;
    // The same question in other words.
    let mut longer = signed.json();
    longer["note"] = Value::from("another body");
    let seen = station
        .send("POST", "/settle", &[], longer.to_string())
        .await;
    assert_eq!(seen.json()["errorReason"], "settlement_pending");
    station.devnet.release_mining();
    let asked = &station;
    eventually(|| async { asked.settle_with(&signed, &key).await["success"] == true }).await;
}

#[tokio::test]
async fn when_the_connection_of_a_key_dies_one_more_caller_is_told() {
    let key = [("idempotency-key", "first")];
    for (next, late) in [(&[][..], &key[..]), (&key, &[])] {
        let station = Station::open().await;
        let signed = station.payment();
        settled_unheard(&station, &signed, &key).await;
        let answer = station.settle_with(&signed, next).await;
        assert_eq!(answer["success"], true, "{answer}");
        let answer = station.settle_with(&signed, late).await;
        assert_eq!(answer["errorReason"], USED, "after {next:?}: {late:?}");
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_body() {
    let station = Station::open().await;
    let (signed, other) = (station.payment(), station.payment());
    let key = [("idempotency-key", "one")];
    assert_eq!(station.settle_with(&signed, &key).await["success"], true);
    let seen = station.send("POST", "/settle", &key, other.body()).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert_eq!(seen.code(), "idempotency_key_reused");
    let mut longer = signed.json();
    longer["note"] = Value::from("another body");
    let seen = station
        .send("POST", "/settle", &key, longer.to_string())
        .await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert_eq!(
        station.settle(&other).await["success"],
        true,
        "and nothing was burnt"
    );
    let long = "k".repeat(256);
    for wrong in [
        &[("idempotency-key", "")][..],
        &[("idempotency-key", long.as_str())],
        &[("idempotency-key", "a"), ("idempotency-key", "b")],
    ] {
        let seen = station.send("POST", "/settle", wrong, signed.body()).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{wrong:?}");
        assert_eq!(seen.code(), "invalid_idempotency_key");
    }
}

/// Settles for a caller whose connection dies before the answer comes.
async fn settled_unheard(station: &Station, signed: &Signed, headers: &[(&str, &str)]) {
    station.devnet.hold_mining();
    let request = station.request("POST", "/settle", headers, signed.body());
    let mut sender = station.connect().await;
    let asked = tokio::spawn(async move { sender.send_request(request).await.is_ok() });
    let devnet = &station.devnet;
    eventually(|| async { devnet.waiting_transactions() == 1 }).await;
    asked.abort();
    assert!(asked.await.is_err(), "the client has gone");
    station.devnet.release_mining();
    eventually(|| async {
        let payments = station.payments().await;
        payments.iter().any(|payment| payment.receipt.is_some())
    })
    .await;
}

#[tokio::test]
async fn when_the_first_connection_dies_unanswered_the_next_is_told() {
    let station = Station::open().await;
    let signed = station.payment();
    settled_unheard(&station, &signed, &[]).await;
    let answer = station.settle(&signed).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(station.settle(&signed).await["errorReason"], USED, "once");
    assert_eq!(station.transactions(), 1);
}

#[tokio::test]
async fn another_authorization_with_the_same_nonce_is_refused_and_burns_nothing() {
    let station = Station::open().await;
    let signed = station.payment();
    let payer = station.account(1);
    let other = signed.changed(payer, |t| t.value = U256::from(2 * AMOUNT));
    station.devnet.hold_mining();
    let first = {
        let request = station.request("POST", "/settle", &[], signed.body());
        let mut sender = station.connect().await;
        tokio::spawn(async move { sender.send_request(request).await })
    };
    let devnet = &station.devnet;
    eventually(|| async { devnet.waiting_transactions() == 1 }).await;
    assert_eq!(
        station.settle(&other).await["errorReason"],
        "payment_already_used"
    );
    assert_eq!(
        station.verify(&other).await["invalidReason"],
        "payment_already_used"
    );
    station.devnet.release_mining();
    let first = within(first).await.expect("no panic").expect("an answer");
    let first = crate::support::Seen::read(first).await.json();
    assert_eq!(first["success"], true);
    assert_eq!(
        station.settle(&other).await["errorReason"],
        "payment_already_used"
    );
    assert_eq!(station.received(), AMOUNT);
}

#[tokio::test]
async fn after_a_crash_what_settled_untold_is_told_once() {
    let station = Station::with(Plan {
        watches: false,
        ..impatient()
    })
    .await;
    let signed = station.payment();
    station.devnet.hold_mining();
    station.settle_until_pending(&signed).await;
    station.devnet.release_mining();
    let station = station.restart(Plan::default()).await;
    let station = &station;
    eventually(|| async { station.settle(&signed).await["success"] == true }).await;
    assert_eq!(station.settle(&signed).await["errorReason"], USED);
}

#[tokio::test]
async fn a_node_that_fails_is_our_trouble_and_burns_nothing() {
    let station = Station::open().await;
    let signed = station.payment();
    station
        .devnet
        .faults()
        .set(farebox_devnet_evm::ANY_METHOD, Fault::HttpStatus(500));
    let verified = station.verify(&signed).await;
    assert_eq!(verified["invalidReason"], "unexpected_verify_error");
    let settled = station.settle(&signed).await;
    assert_eq!(settled["errorReason"], "unexpected_settle_error");
    assert_eq!(settled["transaction"], "");
    station.devnet.faults().clear();
    assert_eq!(station.settle(&signed).await["success"], true);
}

#[tokio::test]
async fn what_was_paid_in_time_is_told_after_its_expiry() {
    let station = Station::with(impatient()).await;
    let (signed, never) = (station.payment(), station.payment());
    station.devnet.hold_mining();
    station.settle_until_pending(&signed).await;
    station.devnet.release_mining();
    let station = &station;
    eventually(|| async {
        let payments = station.payments().await;
        payments.iter().any(|payment| payment.receipt.is_some())
    })
    .await;
    station.clock.advance_s(60);
    let expired = "invalid_exact_evm_payload_authorization_valid_before";
    assert_eq!(station.settle(&never).await["errorReason"], expired);
    assert_eq!(station.verify(&signed).await["isValid"], true);
    let told = station.settle(&signed).await;
    assert_eq!(told["success"], true, "{told}");
    assert_eq!(station.settle(&signed).await["errorReason"], USED);
    assert_eq!((station.received(), station.transactions()), (AMOUNT, 1));
}

/// A wallet that takes any signature, until it is told otherwise.
const WALLET: &str = include_str!("../../../../contracts/artifacts/ChangingWallet.runtime.hex");

#[tokio::test]
async fn a_wallets_repeat_is_told_from_the_books_and_costs_no_simulation() {
    let limits = BucketLimits::default();
    let station = Station::with(Plan {
        in_vain: Some(limits),
        ..Plan::default()
    })
    .await;
    let code = alloy_primitives::hex::decode(WALLET.trim()).expect("hex");
    station
        .devnet
        .set_code(station.account(1).address, code.into());
    let mut signed = station.payment();
    signed.signature[0] ^= 1;
    let first = station.settle(&signed).await;
    assert_eq!(first["success"], true, "{first}");
    // More of them than simulations are free; and the chain, which knows no hash, was not asked.
    for _ in 0..=limits.simulations_per_s {
        let again = station.settle(&signed).await;
        assert_eq!(again["errorReason"], USED, "{again}");
        assert_eq!(hash(&again), hash(&first));
    }
    assert_eq!((station.received(), station.transactions()), (AMOUNT, 1));
}
