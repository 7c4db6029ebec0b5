//! Nodes that drop, lose, lie and go away, and processes that end in the middle: the money moves
//! once, and nobody says that it has not while it may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use farebox_core::rail::{Asked, CollectRail, Finding, Outcome};
use farebox_devnet_svm::{DevnetSvmOptions, Fault};
use farebox_wire::x402::reason::Reason;
use serde_json::json;
use solana_signature::Signature;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::shop::{Recorder, Shop, WAIT_MS, name_of, transaction};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_drops_is_sent_again() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net
        .faults()
        .set_times("sendTransaction", Fault::Drop, 1);
    let journal = Recorder::new();
    let name = transaction(&shop.settle(&examined, &journal).await);
    assert_eq!(journal.lines(), [name]);
    assert_eq!(shop.net.faults().calls("sendTransaction"), 2);
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_no_lost_payment() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net
        .faults()
        .set_times("sendTransaction", Fault::LoseReply, 1);
    transaction(&shop.settle(&examined, &Recorder::new()).await);
    assert_eq!(shop.net.landed_transactions(), 1);
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_calls_it_by_another_name_or_says_no_is_not_believed() {
    for fault in [
        Fault::Lie(json!(Signature::from([5; 64]).to_string())),
        Fault::Refuse {
            code: -32_603,
            message: "internal error".into(),
        },
        Fault::Garbage,
    ] {
        let shop = Shop::open().await;
        let signed = shop.transaction(&shop.buyer()).await;
        let examined = shop.examine(&signed);
        shop.net.faults().set_times("sendTransaction", fault, 1);
        let name = transaction(&shop.settle(&examined, &Recorder::new()).await);
        assert_eq!(name, name_of(&shop, &signed));
        assert_eq!(shop.revenue(), 1_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_leaves_it_unknown_and_it_settles_when_it_is_back() {
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    let signed = shop.transaction(&shop.buyer()).await;
    let examined = shop.examine(&signed);
    let journal = Recorder::new();
    shop.under_way(&examined, &journal).await;
    shop.net.faults().cut_off(true);
    let outcome = shop.settle_within(&examined, &journal, 300).await;
    assert_eq!(
        outcome,
        Outcome::Unknown {
            reason: Reason::SettlementPending.code().into(),
        }
    );
    let finding = shop.collector.check(&examined.handle).await;
    assert!(matches!(finding, Finding::Unanswered { .. }), "{finding:?}");
    shop.net.faults().cut_off(false);
    shop.net.advance(3);
    let name = transaction(&shop.settle(&examined, &journal).await);
    assert_eq!(name, name_of(&shop, &signed));
    assert_eq!(shop.revenue(), 1_000);
    assert_eq!(shop.net.landed_transactions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_caller_has_left_settles_in_the_background() {
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    let examined = shop.examined().await;
    let journal = Recorder::new();
    shop.under_way(&examined, &journal).await;
    // Whatever waits at the node is lost, and nobody asks for the payment any more.
    while shop.net.waiting_transactions() == 0 {
        tokio::task::yield_now().await;
    }
    shop.net.drop_waiting();
    while shop.net.waiting_transactions() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.net.advance(3);
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ended_before_it_sent_sends_the_same() {
    let shop = Shop::open().await;
    let signed = shop.transaction(&shop.buyer()).await;
    let examined = shop.examine(&signed);
    // The journal has its line, and nothing has left.
    let collector = shop.restarted().await;
    let journal = Recorder::again();
    let outcome = collector
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    let name = name_of(&shop, &signed);
    assert_eq!(transaction(&outcome), name);
    assert_eq!(journal.lines(), [name]);
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ended_after_it_sent_finds_it_and_sends_nothing() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    let first = transaction(&shop.settle(&examined, &Recorder::new()).await);
    for is_over in [false, true] {
        if is_over {
            shop.expire();
        }
        let sends = shop.net.faults().calls("sendTransaction");
        let collector = shop.restarted().await;
        let journal = Recorder::again();
        let outcome = collector
            .settle(&examined.handle, journal.clone(), WAIT_MS)
            .await;
        assert_eq!(transaction(&outcome), first);
        assert!(journal.lines().is_empty());
        assert_eq!(shop.net.faults().calls("sendTransaction"), sends);
    }
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_and_cannot_be_asked_about_is_never_called_rejected() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net.faults().cut_off(true);
    // Its name is known and nothing else: the same in a new process.
    let outcome = shop
        .collector
        .settle(&examined.handle, Recorder::again(), 2_000)
        .await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_block_took_in_time_is_rejected_and_costs_nothing() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net.faults().set("sendTransaction", Fault::Drop);
    let journal = Recorder::new();
    shop.under_way(&examined, &journal).await;
    shop.expire();
    let outcome = shop.settle(&examined, &journal).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if !r.is_ours),
        "{outcome:?}"
    );
    let finding = shop.collector.check(&examined.handle).await;
    assert_eq!(finding, Finding::NeverWill);
    let health = shop.collector.health().await.remove(0);
    assert_eq!(health.signers[0].gas_spent_today.atomic(), 0);
    assert_eq!(shop.net.landed_transactions(), 0);
    // A process that has only the journal says the same.
    let name = journal.lines().remove(0);
    let asked = Asked {
        handle: &examined.handle,
        transaction: Some(&name),
        is_counted: false,
    };
    let restarted = shop.restarted().await;
    assert_eq!(restarted.check_all(&[asked]).await, [Finding::NeverWill]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_takes_no_line_lets_nothing_leave() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    let journal = Recorder::new();
    journal.refuse(true);
    let outcome = shop.settle(&examined, &journal).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert_eq!(shop.net.faults().calls("sendTransaction"), 0);
    assert_eq!(shop.revenue(), 0);
    journal.refuse(false);
    transaction(&shop.settle(&examined, &journal).await);
    assert_eq!(shop.revenue(), 1_000);
}

/// The way to a devnet through a port of its own, until the task is ended: then the port is closed,
/// and every connection through it.
fn way_to(url: &str, used: &Arc<AtomicUsize>) -> (String, JoinHandle<()>) {
    let to = url.trim_start_matches("http://").to_owned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap());
    let used = Arc::clone(used);
    let task = tokio::spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        let mut connections = JoinSet::new();
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            used.fetch_add(1, Ordering::SeqCst);
            let mut onto = TcpStream::connect(&to).await.unwrap();
            connections.spawn(async move {
                // Either side may hang up as it likes.
                let _ = tokio::io::copy_bidirectional(&mut from, &mut onto).await;
            });
        }
    });
    (here, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_node_lost_is_handed_to_the_second_when_the_first_is_gone() {
    let (used, mut first) = (Arc::new(AtomicUsize::new(0)), None);
    let shop = Shop::with(DevnetSvmOptions::quick(), |network| {
        let (url, task) = way_to(&network.rpc[0], &used);
        network.rpc.insert(0, url);
        first = Some(task);
    })
    .await;
    let examined = shop.examined().await;
    shop.net.faults().set("sendTransaction", Fault::Drop);
    let journal = Recorder::new();
    shop.under_way(&examined, &journal).await;
    assert!(used.load(Ordering::SeqCst) > 0, "the first one was asked");
    let first = first.unwrap();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(shop.revenue(), 0, "it was lost");

    shop.net.faults().clear();
    let name = transaction(&shop.settle(&examined, &journal).await);
    assert_eq!(journal.lines(), [name]);
    assert_eq!(shop.revenue(), 1_000);
}
