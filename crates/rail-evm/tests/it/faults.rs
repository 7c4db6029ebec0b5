//! An RPC that hangs, lies, loses answers or belongs to another chain.

use std::sync::Arc;
use std::time::Duration;

use farebox_core::conformance::{Recorder, SignedNet as _, WAIT_MS, signed, transaction};
use farebox_core::rail::{CollectRail, Finding, Outcome};
use farebox_devnet_evm::{ANY_METHOD, Devnet, DevnetOptions, Fault};
use farebox_rail_evm::Network;
use farebox_wire::x402::reason::Reason;

use crate::evm::{Evm, collector};
use crate::settle::{stranger, wait_until};

const SEND: &str = "eth_sendRawTransaction";

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_a_sent_transaction_pays_once() {
    let evm = Evm::start().await;
    let before = evm.revenue();
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.faults().set_times(SEND, Fault::LoseReply, 1);
    let journal = Recorder::new();
    let outcome = evm.settle(&examined, &journal).await;
    assert_eq!(journal.lines(), [transaction(&outcome)]);
    assert_eq!(evm.revenue() - before, examined.terms.amount.atomic());
    assert_eq!(evm.net.nonce(evm.gas_account()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_never_arrived_is_sent_again() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.faults().set_times(SEND, Fault::Disconnect, 1);
    let journal = Recorder::new();
    let outcome = evm.settle(&examined, &journal).await;
    assert_eq!(journal.lines(), [transaction(&outcome)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_unknown_words_proves_nothing() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let words = Fault::Refuse {
        code: -32603,
        message: "internal error".into(),
    };
    evm.net.faults().set_times(SEND, words, 1);
    let journal = Recorder::new();
    let outcome = evm.settle(&examined, &journal).await;
    // Sent again, under the same hash.
    assert_eq!(journal.lines(), [transaction(&outcome)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_while_sending_leaves_the_outcome_unknown() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.faults().set(SEND, Fault::Hang);
    let journal = Recorder::new();
    let outcome = evm
        .collector()
        .settle(&examined.handle, journal.clone(), 500)
        .await;
    assert_eq!(
        outcome,
        Outcome::Unknown {
            reason: "settlement_pending".into()
        }
    );
    assert_eq!(journal.lines().len(), 1);
    assert_eq!(evm.payer().check(&handle).await, Finding::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_before_sending_means_that_nothing_was_sent() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.faults().set(ANY_METHOD, Fault::Hang);
    let journal = Recorder::new();
    let outcome = evm
        .collector()
        .settle(&examined.handle, journal.clone(), 500)
        .await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours && r.reason == Reason::UnexpectedSettle),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
    evm.net.faults().clear();
    transaction(&evm.settle(&examined, &journal).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_tells_nothing_and_blames_nobody() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    for fault in [
        Fault::Garbage,
        Fault::HttpStatus(503),
        Fault::Disconnect,
        Fault::Refuse {
            code: -32603,
            message: "internal error".into(),
        },
    ] {
        evm.net.faults().set(ANY_METHOD, fault.clone());
        let finding = evm.payer().check(&handle).await;
        assert!(
            matches!(finding, Finding::Unanswered { .. }),
            "{fault:?}: {finding:?}"
        );
        let refusal = evm.collector().verify(&examined).await.unwrap_err();
        assert!(refusal.is_ours, "{fault:?}");
        let outcome = evm
            .collector()
            .settle(&examined.handle, Recorder::new(), 500)
            .await;
        assert!(
            matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
            "{fault:?}: {outcome:?}"
        );
        evm.net.faults().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_settlement_survives_an_outage() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net
        .faults()
        .set("eth_blockNumber", Fault::HttpStatus(502));
    let journal = Recorder::new();
    let outcome = evm
        .collector()
        .settle(&examined.handle, journal.clone(), 500)
        .await;
    assert!(matches!(outcome, Outcome::Unknown { .. }));
    evm.net.faults().clear();
    let outcome = evm.settle(&examined, &journal).await;
    assert_eq!(journal.lines(), [transaction(&outcome)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_passed_over() {
    let evm = Evm::with(DevnetOptions::quiet(), |network| {
        network.rpc.insert(0, "http://127.0.0.1:1".into());
    })
    .await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.collector().verify(&examined).await.unwrap();
    transaction(&evm.settle(&examined, &Recorder::new()).await);
    assert!(matches!(
        evm.payer().check(&handle).await,
        Finding::Settled { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_another_chain_is_refused_at_start() {
    let options = DevnetOptions {
        chain_id: 31337,
        ..DevnetOptions::quiet()
    };
    let net = Devnet::start(options).unwrap();
    let mut network = Network::new(84532);
    network.rpc = vec![net.rpc_url()];
    let refused = collector(&net, &network, Default::default())
        .start()
        .await
        .unwrap_err();
    assert_eq!(refused.code, "wrong_chain_id");
    assert!(refused.message.contains("31337"), "{}", refused.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_chain_is_refused_at_start() {
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    let mut network = Network::new(84532);
    network.rpc = vec!["http://127.0.0.1:1".into()];
    let refused = collector(&net, &network, Default::default())
        .start()
        .await
        .unwrap_err();
    assert_eq!(refused.code, "rpc_unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_is_waited_for() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net
        .faults()
        .set(ANY_METHOD, Fault::Delay(Duration::from_millis(100)));
    evm.collector().verify(&examined).await.unwrap();
    transaction(&evm.settle(&examined, &Recorder::new()).await);
}

/// What a token says that a node simulates, while its newest block says otherwise.
async fn estimate_reverts_once(message: &str) -> (Evm, Outcome, Arc<Recorder>, Outcome) {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let revert = Fault::Refuse {
        code: 3,
        message: format!("execution reverted: FiatTokenV2: {message}"),
    };
    evm.net.faults().set_times("eth_estimateGas", revert, 1);
    let journal = Recorder::new();
    let collector = evm.collector();
    let first = collector
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    let then = collector
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    (evm, first, journal, then)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_only_a_waiting_transaction_uses_is_not_refused() {
    let (_evm, first, journal, then) =
        estimate_reverts_once("authorization is used or canceled").await;
    assert!(matches!(first, Outcome::Unknown { .. }), "{first:?}");
    assert_eq!(journal.lines(), [transaction(&then)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_clock_is_behind_ours_burns_no_credential() {
    let (_evm, first, journal, then) =
        estimate_reverts_once("authorization is not yet valid").await;
    assert!(
        matches!(&first, Outcome::Rejected(r) if r.is_ours),
        "{first:?}"
    );
    assert_eq!(journal.lines(), [transaction(&then)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_race_is_not_judged_by_a_node_that_lags_behind() {
    // The same chain, as a node knows it that has seen no block yet.
    let lagging = Devnet::start(DevnetOptions::quiet()).unwrap();
    let evm = Evm::with(DevnetOptions::quiet(), |n| n.rpc.push(lagging.rpc_url())).await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let theirs = stranger(&evm).await;
    evm.net.hold_mining();
    let (ours, others) = (Recorder::new(), Recorder::new());
    let collector = evm.collector();
    let (one, two, ()) = tokio::join!(
        collector.settle(&examined.handle, ours.clone(), WAIT_MS),
        theirs.settle(&examined.handle, others.clone(), WAIT_MS),
        async {
            wait_until(|| evm.net.waiting_transactions() == 2).await;
            // From now on the token can be asked through the other node only.
            evm.net.faults().set("eth_call", Fault::Disconnect);
            evm.net.release_mining();
        },
    );
    for outcome in [&one, &two] {
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }
    assert!(one != two, "one of them lost: {one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_is_perhaps_free_is_not_skipped_while_nobody_can_count() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let refuse = |message: &str| Fault::Refuse {
        code: -32000,
        message: message.into(),
    };
    let occupied = refuse("replacement transaction underpriced");
    evm.net.faults().set_times(SEND, occupied, 1);
    evm.net
        .faults()
        .set("eth_getTransactionCount", refuse("busy"));
    let outcome = evm
        .collector()
        .settle(&examined.handle, Recorder::new(), 5_000)
        .await;
    // Everything above a skipped nonce would wait for it.
    transaction(&outcome);
    assert_eq!(evm.net.nonce(evm.gas_account()), 1);
}
