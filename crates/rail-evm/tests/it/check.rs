//! Checking: what the chain can take back, and what it cannot.

use std::time::Duration;

use farebox_core::conformance::{
    LocalNet as _, Recorder, SignedNet as _, WAIT_MS, signed, transaction,
};
use farebox_core::rail::{Asked, CollectRail, Finding, Funds, Handle};
use farebox_devnet_evm::{ANY_METHOD, DevnetOptions, Fault};
use farebox_rail_evm::Finality;
use serde_json::{Value, json};

use crate::evm::Evm;
use crate::settle::stranger;

/// How the token is asked.
const CALL: &str = "eth_call";

/// The same handle with something else in it.
fn changed(handle: &Handle, change: impl FnOnce(&mut Value)) -> Handle {
    let mut json: Value = serde_json::from_str(handle.text()).unwrap();
    change(&mut json);
    Handle::new(json.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_that_forgets_the_settlement_opens_it_again() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    let journal = Recorder::new();
    let first = evm.settle(&examined, &journal).await;
    transaction(&first);
    evm.net.reorg(1, false).unwrap();
    assert_eq!(evm.payer().check(&handle).await, Finding::Open);
    // It can be sent again while it is valid.
    let again = evm
        .restarted()
        .await
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    transaction(&again);
    assert!(matches!(
        evm.payer().check(&handle).await,
        Finding::Settled { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_is_not_over_before_a_final_block_says_so() {
    let evm = Evm::with(DevnetOptions::quiet(), |n| n.finality = Finality::Blocks(3)).await;
    let (handle, _) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.increase_time(Duration::from_secs(3600));
    for _ in 0..3 {
        evm.net.mine();
        assert_eq!(evm.payer().check(&handle).await, Finding::Open);
    }
    evm.net.mine();
    assert_eq!(evm.payer().check(&handle).await, Finding::NeverWill);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chains_own_word_for_final_is_used() {
    let options = DevnetOptions {
        finality_blocks: 2,
        ..DevnetOptions::quiet()
    };
    let evm = Evm::with(options, |n| n.finality = Finality::Finalized).await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    transaction(&evm.settle(&examined, &Recorder::new()).await);
    for expected in [false, false, true] {
        let finding = evm.payer().check(&handle).await;
        assert!(
            matches!(finding, Finding::Settled { is_final, .. } if is_final == expected),
            "{finding:?}"
        );
        evm.net.mine();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_used_for_something_else_never_will_settle() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    transaction(&evm.settle(&examined, &Recorder::new()).await);
    for change in [
        |json: &mut Value| json["transfer"]["value"] = json!("999"),
        |json: &mut Value| json["transfer"]["to"] = json!(format!("0x{}", "77".repeat(20))),
    ] {
        let twin = changed(&handle, change);
        assert_eq!(evm.payer().check(&twin).await, Finding::NeverWill);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_older_than_one_request_are_found() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    let outcome = evm.settle(&examined, &Recorder::new()).await;
    for _ in 0..2_100 {
        evm.net.mine();
    }
    let finding = evm.payer().check(&handle).await;
    assert!(
        matches!(&finding, Finding::Settled { transaction: t, .. } if *t == transaction(&outcome)),
        "{finding:?}"
    );
    assert!(evm.net.faults().calls("eth_getLogs") >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_for_logs_ends_where_the_payment_was_first_seen() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    transaction(&evm.settle(&examined, &Recorder::new()).await);
    for _ in 0..2_100 {
        evm.net.mine();
    }
    // First seen an hour from now: the log is older, so it is not this payment's.
    let later = changed(&handle, |json| {
        json["seen_s"] = json!(json["seen_s"].as_u64().unwrap() + 3600);
    });
    assert!(matches!(
        evm.payer().check(&later).await,
        Finding::CannotTell { .. }
    ));
    assert_eq!(evm.net.faults().calls("eth_getLogs"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_are_those_of_the_chain() {
    let evm = Evm::start().await;
    let holdings = evm.payer().balances().await;
    let holding = holdings[0].as_ref().unwrap();
    assert_eq!(holding.symbol, "USDC");
    assert_eq!(
        holding.amount.to_decimal_string(holding.decimals),
        "1000000"
    );
    evm.cut_off(true);
    let holdings = evm.payer().balances().await;
    assert_eq!(
        holdings[0].as_ref().err().map(|e| e.code),
        Some("rpc_no_answer")
    );
}

/// Settles so many, and gives what the books would keep of each.
async fn settled(evm: &Evm, count: usize) -> Vec<(Handle, String)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
        let outcome = evm.settle(&examined, &Recorder::new()).await;
        all.push((examined.handle, transaction(&outcome)));
    }
    all
}

async fn check_all(evm: &Evm, payments: &[(Handle, String)]) -> Vec<Finding> {
    let asked: Vec<Asked<'_>> = payments
        .iter()
        .map(|(handle, hash)| Asked {
            handle,
            transaction: Some(hash),
            is_counted: true,
        })
        .collect();
    evm.collector().check_all(&asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_settled_payments_are_confirmed_by_their_receipts_alone() {
    let evm = Evm::start().await;
    let payments = settled(&evm, 7).await;
    let logs_before = evm.net.faults().calls("eth_getLogs");
    let findings = check_all(&evm, &payments).await;
    for ((_, hash), finding) in payments.iter().zip(&findings) {
        let expected = Finding::Settled {
            transaction: hash.clone(),
            is_final: true,
        };
        assert_eq!(*finding, expected);
    }
    assert_eq!(evm.net.faults().calls("eth_getLogs"), logs_before);
}

#[tokio::test(flavor = "multi_thread")]
async fn among_many_the_one_that_was_undone_is_found() {
    let evm = Evm::start().await;
    let payments = settled(&evm, 4).await;
    evm.net.reorg(1, false).unwrap();
    let findings = check_all(&evm, &payments).await;
    let standing = findings
        .iter()
        .take_while(|finding| matches!(finding, Finding::Settled { .. }));
    assert_eq!(standing.count(), 3);
    assert_eq!(findings[3], Finding::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_is_another_payments_confirms_nothing() {
    let evm = Evm::start().await;
    let mut payments = settled(&evm, 2).await;
    let (handle, _) = signed(evm.payer(), &*evm.collector()).await;
    payments[1].0 = handle;
    let findings = check_all(&evm, &payments).await;
    assert!(matches!(findings[0], Finding::Settled { .. }));
    assert_eq!(findings[1], Finding::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_answer_is_not_asked_about_each_of_many() {
    let evm = Evm::start().await;
    let payments = settled(&evm, 7).await;
    for away in [ANY_METHOD, "eth_getTransactionReceipt"] {
        evm.net.faults().set(away, Fault::Disconnect);
        let before = evm.net.faults().calls(CALL);
        let findings = check_all(&evm, &payments).await;
        for finding in &findings {
            assert!(matches!(finding, Finding::Unanswered { .. }), "{finding:?}");
        }
        assert_eq!(findings.len(), payments.len());
        // Nobody asked the token about one of them.
        assert_eq!(evm.net.faults().calls(CALL), before);
        evm.net.faults().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_checks_find_settled_is_gone_at_once() {
    let evm = Evm::start().await;
    let (_, payment) = signed(evm.payer(), &*evm.collector()).await;
    let balance = |funds| match funds {
        Funds::Balance(balance) => balance.atomic(),
        Funds::EnoughForOne => panic!("the chain tells balances"),
    };
    let before = balance(evm.collector().verify(&payment).await.unwrap());
    let theirs = stranger(&evm).await;
    let outcome = theirs
        .settle(&payment.handle, Recorder::new(), WAIT_MS)
        .await;
    let hash = transaction(&outcome);
    let asked = Asked {
        handle: &payment.handle,
        transaction: Some(&hash),
        is_counted: false,
    };
    let findings = evm.collector().check_all(&[asked]).await;
    assert!(matches!(findings[..], [Finding::Settled { .. }]));
    let (_, next) = signed(evm.payer(), &*evm.collector()).await;
    let after = balance(evm.collector().verify(&next).await.unwrap());
    assert_eq!(after, before - payment.terms.amount.atomic());
}
