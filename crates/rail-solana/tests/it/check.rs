//! What became of payments: asked by name where one is on record, by message where not, and never
//! called over while a block may still hold them.

use std::time::Duration;

use farebox_core::rail::{Asked, CollectRail, Examined, Finding, Outcome};
use farebox_devnet_svm::{DevnetSvmOptions, Fault};
use serde_json::json;
use solana_signature::Signature;

use crate::shop::{Recorder, Shop, transaction};

fn asked<'a>(examined: &'a Examined, transaction: Option<&'a str>) -> Asked<'a> {
    Asked {
        handle: &examined.handle,
        transaction,
        is_counted: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_open_then_settled_with_or_without_its_name() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    assert_eq!(shop.collector.check(&examined.handle).await, Finding::Open);
    let name = transaction(&shop.settle(&examined, &Recorder::new()).await);
    let settled = Finding::Settled {
        transaction: name.clone(),
        is_final: true,
    };
    assert_eq!(shop.collector.check(&examined.handle).await, settled);
    // A name that is not its own is not believed, whoever wrote it down.
    let other = Signature::from([3; 64]).to_string();
    for own in [
        Some(name.as_str()),
        Some(other.as_str()),
        Some("nonsense"),
        None,
    ] {
        let found = shop.collector.check_all(&[asked(&examined, own)]).await;
        assert_eq!(found, std::slice::from_ref(&settled));
    }
    shop.expire();
    for own in [Some(name.as_str()), None] {
        let found = shop.collector.check_all(&[asked(&examined, own)]).await;
        assert_eq!(found, std::slice::from_ref(&settled));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_sent_is_asked_about_without_a_signature_of_ours() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    let statuses = || shop.net.faults().calls("getSignatureStatuses");
    let before = statuses();
    assert_eq!(shop.collector.check(&examined.handle).await, Finding::Open);
    // To ask by name would have told the node the fee payer's signature.
    assert_eq!(statuses(), before);
    shop.expire();
    assert_eq!(
        shop.collector.check(&examined.handle).await,
        Finding::NeverWill
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_blockhash_is_not_an_old_one() {
    // Nothing is final for 32 blocks, so that `finalized` says no to every fresh blockhash.
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    shop.net.advance(40);
    let examined = shop.examined().await;
    let journal = Recorder::new();
    shop.net.faults().set("sendTransaction", Fault::Drop);
    shop.under_way(&examined, &journal).await;
    let name = journal.lines().remove(0);
    for _ in 0..3 {
        shop.net.advance(20);
        let found = shop
            .collector
            .check_all(&[asked(&examined, Some(&name))])
            .await;
        assert_eq!(found, [Finding::Open]);
        assert_eq!(shop.collector.check(&examined.handle).await, Finding::Open);
    }
    // Old enough for every block, and the final chain is not there yet.
    shop.net.advance(100);
    assert_eq!(shop.collector.check(&examined.handle).await, Finding::Open);
    shop.expire();
    let found = shop
        .collector
        .check_all(&[asked(&examined, Some(&name))])
        .await;
    assert_eq!(found, [Finding::NeverWill]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_far_behind_makes_nothing_old() {
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    // To us the chain lives in ten minutes.
    shop.net.increase_time(Duration::from_secs(600));
    shop.net.advance(40);
    let examined = shop.examined().await;
    let journal = Recorder::new();
    shop.net.faults().set("sendTransaction", Fault::Drop);
    shop.under_way(&examined, &journal).await;
    let name = journal.lines().remove(0);
    for _ in 0..3 {
        shop.net.advance(10);
        let asked = [asked(&examined, Some(&name))];
        assert_eq!(shop.collector.check_all(&asked).await, [Finding::Open]);
        assert_eq!(shop.collector.check(&examined.handle).await, Finding::Open);
    }
    // What the node has taken no notice of so far still pays.
    shop.net.faults().clear();
    let outcome = shop.settle_within(&examined, &journal, 300).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    while shop.net.waiting_transactions() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.net.advance(3);
    transaction(&shop.settle(&examined, &journal).await);
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_confirmed_in_one_question() {
    let shop = Shop::open().await;
    let mut payments = Vec::new();
    for _ in 0..5 {
        let examined = shop.examined().await;
        let name = transaction(&shop.settle(&examined, &Recorder::new()).await);
        payments.push((examined, name));
    }
    let open = shop.examined().await;
    let mut questions: Vec<_> = payments
        .iter()
        .map(|(examined, name)| asked(examined, Some(name)))
        .collect();
    questions.insert(2, asked(&open, None));
    let before = shop.net.faults().calls("getSignatureStatuses");
    let found = shop.collector.check_all(&questions).await;
    assert_eq!(shop.net.faults().calls("getSignatureStatuses") - before, 1);
    assert_eq!(found.len(), 6);
    assert_eq!(found[2], Finding::Open);
    let settled = found
        .iter()
        .filter(|f| matches!(f, Finding::Settled { .. }));
    assert_eq!(settled.count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_on_chain_never_will_once_that_is_final() {
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    let examined = shop.examined().await;
    let journal = Recorder::new();
    shop.under_way(&examined, &journal).await;
    shop.net
        .freeze(shop.buyer().address, shop.net.usdc())
        .unwrap();
    shop.net.advance(3);
    let name = journal.lines().remove(0);
    let questions = [asked(&examined, Some(&name))];
    assert_eq!(shop.collector.check_all(&questions).await, [Finding::Open]);
    shop.net.advance(40);
    assert_eq!(
        shop.collector.check_all(&questions).await,
        [Finding::NeverWill]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_asked_is_told_apart_from_one_that_lies() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    let name = transaction(&shop.settle(&examined, &Recorder::new()).await);
    let questions = [asked(&examined, Some(&name)), asked(&examined, None)];
    for fault in [
        Fault::Disconnect,
        Fault::Garbage,
        Fault::Lie(json!(7)),
        Fault::Lie(json!({"context": {"slot": 1}, "value": []})),
    ] {
        shop.net.faults().set("getSignatureStatuses", fault);
        for found in shop.collector.check_all(&questions).await {
            assert!(matches!(found, Finding::Unanswered { .. }), "{found:?}");
        }
        shop.net.faults().clear();
    }
    // A node that knows nothing of it proves nothing while a block could still hold it.
    shop.net.faults().set(
        "getSignatureStatuses",
        Fault::Lie(json!({"context": {"slot": 1}, "value": [null]})),
    );
    for found in shop.collector.check_all(&questions).await {
        assert_eq!(found, Finding::Open);
    }
    // And nothing afterwards, where it is behind the chain on which nothing can hold it.
    shop.expire();
    for found in shop.collector.check_all(&questions).await {
        assert!(matches!(found, Finding::Unanswered { .. }), "{found:?}");
    }
}
