//! What is remembered of payers, against a real chain: who costs a round trip and who does not,
//! and that no payment is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::U256;
use farebox_core::clock::SystemClock;
use farebox_core::conformance::{Recorder, SignedNet as _, WAIT_MS, signed, transaction};
use farebox_core::rail::{Asked, CollectRail, Examined, Finding, Funds, Handle, Outcome, PayRail};
use farebox_devnet_evm::{Devnet, Fault};
use farebox_rail_evm::{EvmPayer, Network};
use farebox_wire::x402::reason::Reason;
use serde_json::{Value, json};

use crate::evm::{Evm, collector, key};
use crate::relay;
use crate::settle::{stranger, wait_until};

const CALL: &str = "eth_call";

async fn examined(evm: &Evm) -> Examined {
    signed(evm.payer(), &*evm.collector()).await.1
}

fn balance(funds: &Funds) -> u128 {
    match funds {
        Funds::Balance(balance) => balance.atomic(),
        Funds::EnoughForOne => panic!("the chain tells balances"),
    }
}

async fn balance_now(evm: &Evm) -> u128 {
    let examined = examined(evm).await;
    balance(&evm.collector().verify(&examined).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sight_is_one_call() {
    let evm = Evm::start().await;
    let payment = examined(&evm).await;
    let before = evm.net.faults().total_calls();
    evm.collector().verify(&payment).await.unwrap();
    let calls = evm.net.faults().calls(CALL);
    assert_eq!(calls, 1);
    // How long a block takes is asked at leisure.
    let blocks = evm.net.faults().calls("eth_getBlockByNumber");
    assert_eq!(evm.net.faults().total_calls() - before, calls + blocks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_payer_is_verified_without_asking() {
    let evm = Evm::start().await;
    balance_now(&evm).await;
    let warm = async {
        loop {
            let payment = examined(&evm).await;
            let before = evm.net.faults().total_calls();
            evm.collector().verify(&payment).await.unwrap();
            if evm.net.faults().total_calls() == before {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), warm)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_sights_share_calls() {
    let evm = Evm::start().await;
    let mut payments = Vec::new();
    for _ in 0..100 {
        payments.push(examined(&evm).await);
    }
    let slow = Fault::Delay(Duration::from_millis(300));
    evm.net.faults().set(CALL, slow);
    let mut verifications = Vec::new();
    for payment in payments {
        let collector = evm.collector();
        verifications.push(tokio::spawn(
            async move { collector.verify(&payment).await },
        ));
    }
    for verification in verifications {
        verification.await.unwrap().unwrap();
    }
    // The first one alone, the others in company: in far fewer calls than payments.
    let calls = evm.net.faults().calls(CALL);
    assert!((2..50).contains(&calls), "{calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_in_use_is_refreshed_and_a_process_without_buyers_asks_nothing() {
    let evm = Evm::start().await;
    balance_now(&evm).await;
    wait_until(|| evm.net.faults().calls(CALL) >= 3).await;
    // Longer than payers stay in use, and many refreshes long.
    let quiet = async {
        loop {
            let before = evm.net.faults().total_calls();
            tokio::time::sleep(Duration::from_secs(2)).await;
            if evm.net.faults().total_calls() == before {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), quiet)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_is_gone_at_once() {
    let evm = Evm::start().await;
    let mut before = balance_now(&evm).await;
    for _ in 0..5 {
        let payment = examined(&evm).await;
        transaction(&evm.settle(&payment, &Recorder::new()).await);
        let after = balance_now(&evm).await;
        assert!(after <= before - payment.terms.amount.atomic());
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_check_finds_settled_is_gone_at_once() {
    let evm = Evm::start().await;
    let payment = examined(&evm).await;
    let before = balance_now(&evm).await;
    let theirs = stranger(&evm).await;
    let settled = theirs
        .settle(&payment.handle, Recorder::new(), WAIT_MS)
        .await;
    transaction(&settled);
    let finding = evm.collector().check(&payment.handle).await;
    assert!(matches!(finding, Finding::Settled { .. }), "{finding:?}");
    let after = balance_now(&evm).await;
    assert_eq!(after, before - payment.terms.amount.atomic());
}

/// As if it had come half a minute later.
pub(crate) fn seen_later(mut payment: Examined) -> Examined {
    let mut handle: Value = serde_json::from_str(payment.handle.text()).unwrap();
    handle["seen_s"] = json!(handle["seen_s"].as_u64().unwrap() + 30);
    payment.handle = Handle::new(handle.to_string());
    payment
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_has_settled_before_it_came_is_not_sold_again() {
    let evm = Evm::start().await;
    let late = seen_later(examined(&evm).await);
    let theirs = stranger(&evm).await;
    transaction(&theirs.settle(&late.handle, Recorder::new(), WAIT_MS).await);
    // The payer is known, and of this authorization nothing is.
    balance_now(&evm).await;
    evm.collector().verify(&late).await.unwrap();
    let outcome = evm.settle(&late, &Recorder::new()).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.reason == Reason::NonceAlreadyUsed && !r.is_ours),
        "{outcome:?}"
    );
    // Nor does anybody find it settled who asks later and knows no transaction of ours.
    let finding = evm.collector().check(&late.handle).await;
    assert!(matches!(finding, Finding::CannotTell { .. }), "{finding:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_our_own_transaction_has_settled_stays_settled_though_our_clock_was_wrong() {
    let evm = Evm::start().await;
    let payment = seen_later(examined(&evm).await);
    let hash = transaction(&evm.settle(&payment, &Recorder::new()).await);
    // Not confirmed together with others, but by the search for its log.
    let refuse = Fault::Refuse {
        code: -32603,
        message: "internal error".into(),
    };
    evm.net
        .faults()
        .set_times("eth_getTransactionReceipt", refuse, 1);
    let asked = Asked {
        handle: &payment.handle,
        transaction: Some(&hash),
        is_counted: true,
    };
    let findings = evm.collector().check_all(&[asked]).await;
    assert!(
        matches!(findings[..], [Finding::Settled { .. }]),
        "{findings:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_payer_spends_elsewhere_is_noticed() {
    let evm = Evm::start().await;
    let payment = examined(&evm).await;
    let before = balance_now(&evm).await;
    let theirs = stranger(&evm).await;
    transaction(
        &theirs
            .settle(&payment.handle, Recorder::new(), WAIT_MS)
            .await,
    );
    let gone = before - payment.terms.amount.atomic();
    let noticed = async {
        while balance_now(&evm).await != gone {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noticed)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_who_has_just_been_funded_is_taken() {
    let evm = Evm::start().await;
    let fresh = key(&"22".repeat(32));
    let payer = EvmPayer::new(vec![evm.network.clone()], fresh, Arc::new(SystemClock)).unwrap();
    let (_, payment) = signed(&payer as &dyn PayRail, &*evm.collector()).await;
    let refusal = evm.collector().verify(&payment).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::InsufficientBalance);
    let address = payment.terms.payer.as_ref().unwrap().parse().unwrap();
    let amount = payment.terms.amount.atomic();
    evm.net.mint(address, U256::from(amount)).unwrap();
    // Every no is the chain's of now.
    let funds = evm.collector().verify(&payment).await.unwrap();
    assert_eq!(balance(&funds), amount);
}

/// What a node says instead of the result of a call without `to`.
type Instead = fn(Value) -> Value;

/// Counts the calls without `to` that came.
#[derive(Clone, Default)]
struct Lenses(Arc<AtomicU64>);

impl Lenses {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A collector whose node says something else than the Lens.
async fn behind(evm: &Evm, instead: Instead) -> (Lenses, Arc<dyn CollectRail>) {
    let lenses = Lenses::default();
    let count = lenses.clone();
    let url = relay::before(evm.net.rpc_url(), move |request, answer| {
        let is_lens =
            request["method"] == json!("eth_call") && request["params"][0].get("to").is_none();
        if !is_lens {
            return answer;
        }
        count.0.fetch_add(1, Ordering::SeqCst);
        instead(answer)
    });
    let network = Network {
        rpc: vec![url.await],
        ..evm.network.clone()
    };
    let net: &Devnet = &evm.net;
    let collector = collector(net, &network, Arc::clone(&evm.clock));
    collector.start().await.unwrap();
    (lenses, Arc::new(collector))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refuses_calls_without_to_is_asked_by_single_calls() {
    let refusals: [Instead; 2] = [
        |_| json!({"jsonrpc": "2.0", "id": 0, "error": {"code": -32602, "message": "missing to"}}),
        |_| json!({"jsonrpc": "2.0", "id": 0, "result": "0x"}),
    ];
    for instead in refusals {
        let evm = Evm::start().await;
        let (lenses, collector) = behind(&evm, instead).await;
        let (_, payment) = signed(evm.payer(), &*collector).await;
        let expected = evm.collector().verify(&payment).await.unwrap();
        assert_eq!(collector.verify(&payment).await.unwrap(), expected);
        let (_, unfunded) = signed(evm.pauper(), &*collector).await;
        let refusal = collector.verify(&unfunded).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::InsufficientBalance);
        // Not tried again for a while.
        assert_eq!(lenses.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_about_payers_is_not_believed() {
    let lies: [Instead; 5] = [
        |answer| changed(answer, |hex| hex[..hex.len() - 2].to_owned()),
        |answer| changed(answer, |hex| format!("{hex}00")),
        |answer| changed(answer, |hex| format!("{hex}{}", "00".repeat(96))),
        |answer| changed(answer, |_| format!("0x{}", "00".repeat(1 << 20))),
        |answer| changed(answer, |hex| format!("{}ff", &hex[..hex.len() - 2])),
    ];
    for lie in lies {
        let evm = Evm::start().await;
        let (lenses, collector) = behind(&evm, lie).await;
        let (_, payment) = signed(evm.payer(), &*collector).await;
        for asked in 1..=2 {
            let refusal = collector.verify(&payment).await.unwrap_err();
            assert!(refusal.is_ours, "{refusal}");
            assert_eq!(refusal.reason, Reason::UnexpectedVerify);
            // Nothing is remembered.
            assert_eq!(lenses.count(), asked);
        }
    }
}

fn changed(mut answer: Value, change: fn(&str) -> String) -> Value {
    let result = change(answer["result"].as_str().unwrap());
    answer["result"] = result.into();
    answer
}
