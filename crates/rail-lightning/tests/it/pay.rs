//! Paying at a node, as the payer sees it: what is known after everything that can happen.

use std::sync::Arc;
use std::time::Duration;

use farebox_rail_lightning::{
    FailReason, LndNode, Node as _, NodeErrorKind, Order, PayError, PaymentFate,
};

use crate::invoices::now_s;
use crate::stub::{Act, Stub, node_at};

/// Longer than any payment at the stub takes.
const LONG: Duration = Duration::from_secs(20);

async fn pay_within(
    node: &LndNode,
    (text, hash): &(String, [u8; 32]),
    wait: Duration,
) -> Result<PaymentFate, PayError> {
    let order = Order {
        bolt11: text,
        payment_hash: hash,
        max_fee_msat: 10_000,
        wait,
    };
    node.pay(&order).await
}

async fn pay(node: &LndNode, invoice: &(String, [u8; 32])) -> Result<PaymentFate, PayError> {
    pay_within(node, invoice, LONG).await
}

/// The fee, where the payment has succeeded with this preimage.
fn fee_of(fate: Result<PaymentFate, PayError>, seed: u8) -> u64 {
    match fate {
        Ok(PaymentFate::Succeeded {
            preimage: Some(preimage),
            fee_msat,
        }) => {
            assert_eq!(preimage.to_hex(), hex::encode([seed; 32]));
            fee_msat
        }
        other => panic!("not succeeded: {}", told(&other)),
    }
}

fn told(fate: &Result<PaymentFate, PayError>) -> String {
    match fate {
        Ok(PaymentFate::Succeeded { preimage, .. }) => {
            format!("succeeded, preimage: {}", preimage.is_some())
        }
        Ok(PaymentFate::InFlight) => "in flight".to_owned(),
        Ok(PaymentFate::Failed { reason, .. }) => format!("failed: {reason:?}"),
        Ok(PaymentFate::Unknown) => "unknown".to_owned(),
        Err(PayError::NotSent(why)) => format!("not sent: {:?}", why.kind),
        Err(PayError::MaybeSent(why)) => format!("maybe sent: {:?}", why.kind),
    }
}

#[tokio::test]
async fn a_payment_gives_its_preimage_and_its_fee_and_holds_the_cap() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.next(Act::Succeed { fee_msat: 321 });
    assert_eq!(fee_of(pay(&node, &invoice).await, 1), 321);
    let sends = stub.books().sends.clone();
    assert_eq!(sends.len(), 1);
    assert_eq!(sends[0]["fee_limit_msat"], "10000");
    assert_eq!(sends[0]["payment_request"], invoice.0);
}

#[tokio::test]
async fn what_was_paid_before_gives_its_preimage_again() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.next(Act::Succeed { fee_msat: 5 });
    assert_eq!(fee_of(pay(&node, &invoice).await, 1), 5);
    assert_eq!(fee_of(pay(&node, &invoice).await, 1), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_pay_once_and_both_get_the_preimage() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = Arc::new(stub.payable(25_000, 1));
    stub.next(Act::Hang);
    let twin = || {
        let (node, invoice) = (node.clone(), invoice.clone());
        tokio::spawn(async move { pay(&node, &invoice).await })
    };
    let (one, two) = (twin(), twin());
    let has_two = || stub.books().sends.len() == 2;
    while !has_two() {
        tokio::task::yield_now().await;
    }
    stub.succeed(&invoice.1, 9);
    assert_eq!(fee_of(one.await.unwrap(), 1), 9);
    assert_eq!(fee_of(two.await.unwrap(), 1), 9);
}

#[tokio::test]
async fn a_node_that_is_away_provably_got_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fate = pay(&node_at(&url), &Stub::new().payable(1_000, 1)).await;
    assert_eq!(told(&fate), "not sent: Unreachable");
}

#[tokio::test]
async fn a_connection_that_breaks_after_taking_on_is_asked_about_and_not_sent_again() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.next(Act::BreakThenSucceed);
    assert_eq!(fee_of(pay(&node, &invoice).await, 1), 7);
    assert_eq!(stub.books().sends.len(), 1);
}

#[tokio::test]
async fn a_lost_reply_leaves_the_payment_open_until_the_node_tells() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.next(Act::SwallowAndTakeOn);
    let fate = pay_within(&node, &invoice, Duration::from_millis(300)).await;
    assert_eq!(told(&fate), "in flight");
    stub.succeed(&invoice.1, 11);
    assert_eq!(fee_of(pay(&node, &invoice).await, 1), 11);
}

#[tokio::test]
async fn silence_about_a_payment_that_nobody_has_is_not_a_no() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    for act in [Act::Swallow, Act::Proxy502] {
        stub.next(act);
        let fate = pay_within(&node, &invoice, Duration::from_millis(300)).await;
        assert_eq!(told(&fate), "maybe sent: Unreachable");
    }
}

#[tokio::test]
async fn after_silence_the_failure_of_an_earlier_attempt_is_not_believed() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.put(&invoice.1, "FAILED", now_s() - 100);
    stub.next(Act::Proxy502);
    let fate = pay_within(&node, &invoice, Duration::from_millis(300)).await;
    assert_eq!(told(&fate), "maybe sent: Unreachable");
}

#[tokio::test]
async fn a_payment_that_hangs_is_in_flight_when_the_wait_ends_and_may_settle_late() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.next(Act::Hang);
    let fate = pay_within(&node, &invoice, Duration::from_millis(200)).await;
    assert_eq!(told(&fate), "in flight");
    let now = node.look_up_payment(&invoice.1).await;
    assert!(matches!(now, Ok(PaymentFate::InFlight)));
    stub.succeed(&invoice.1, 3);
    let now = node.look_up_payment(&invoice.1).await.unwrap();
    assert_eq!(fee_of(Ok(now), 1), 3);
}

#[tokio::test]
async fn every_reason_of_a_failure_is_told() {
    let stub = Stub::new();
    let node = stub.node().await;
    for (seed, said, reason) in [
        (1, "FAILURE_REASON_TIMEOUT", FailReason::Timeout),
        (2, "FAILURE_REASON_NO_ROUTE", FailReason::NoRoute),
        (
            3,
            "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS",
            FailReason::Refused,
        ),
        (4, "FAILURE_REASON_INSUFFICIENT_BALANCE", FailReason::Funds),
        (5, "FAILURE_REASON_ERROR", FailReason::Other),
        (6, "FAILURE_REASON_OF_LATER", FailReason::Other),
    ] {
        let invoice = stub.payable(25_000, seed);
        stub.next(Act::Fail(said));
        let fate = pay(&node, &invoice).await;
        assert_eq!(told(&fate), format!("failed: {reason:?}"));
    }
}

#[tokio::test]
async fn success_without_a_preimage_says_that_there_is_none() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.next(Act::SucceedBlank);
    let fate = pay(&node, &invoice).await;
    assert_eq!(told(&fate), "succeeded, preimage: false");
}

#[tokio::test]
async fn what_lnd_refuses_before_looking_or_does_not_know_was_not_sent() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    for (code, message, kind) in [
        (2, "permission denied", NodeErrorKind::Permission),
        (
            2,
            "verification failed: signature mismatch",
            NodeErrorKind::Permission,
        ),
        (
            2,
            "wallet locked, unlock it to enable full RPC access",
            NodeErrorKind::NotReady,
        ),
        (
            2,
            "the RPC server is in the process of starting up",
            NodeErrorKind::NotReady,
        ),
        (
            2,
            "invoice expired. Valid until 2020",
            NodeErrorKind::Refused,
        ),
        (3, "self-payments not allowed", NodeErrorKind::Refused),
    ] {
        stub.next(Act::Refuse(code, message));
        let fate = pay(&node, &invoice).await;
        assert_eq!(told(&fate), format!("not sent: {kind:?}"), "{message}");
    }
}

#[tokio::test]
async fn a_refusal_is_no_end_of_a_payment_that_is_under_way() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    stub.next(Act::Hang);
    let fate = pay_within(&node, &invoice, Duration::from_millis(200)).await;
    assert_eq!(told(&fate), "in flight");
    // The invoice has expired meanwhile, which lnd says before it says that it knows it.
    stub.books()
        .payments
        .get_mut(&hex::encode(invoice.1))
        .unwrap()
        .status = "INITIATED";
    stub.next(Act::Refuse(2, "invoice expired. Valid until 2020"));
    stub.succeed(&invoice.1, 0);
    let fate = pay(&node, &invoice).await;
    assert_eq!(fee_of(fate, 1), 0);
}

#[tokio::test]
async fn an_answer_about_another_payment_or_of_no_shape_is_no_answer() {
    let stub = Stub::new();
    let node = stub.node().await;
    let invoice = stub.payable(25_000, 1);
    let other = r#"{"result":{"payment_hash":"00","payment_preimage":"","status":"FAILED","fee_msat":"0","creation_time_ns":"0"}}"#;
    let endless = "x".repeat(600 * 1024);
    for junk in [other, "{}", "[1", "<html>", &endless] {
        stub.books().junk = Some(junk.to_owned());
        let fate = pay_within(&node, &invoice, Duration::from_millis(300)).await;
        assert_eq!(told(&fate), "maybe sent: Unreachable", "{junk:.20}");
        assert!(node.look_up_payment(&invoice.1).await.is_err());
    }
}
