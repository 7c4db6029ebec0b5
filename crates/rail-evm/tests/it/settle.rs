//! Settling: nonces, blocks, strangers on the same chain.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::U256;
use farebox_core::conformance::{
    Recorder, Signed, SignedNet as _, WAIT_MS, many_are_paid_at_once, signed, transaction,
};
use farebox_core::rail::{CollectRail, Finding, Outcome};
use farebox_devnet_evm::{DevnetOptions, Fault};
use farebox_rail_evm::{CollectorOptions, EvmCollector, Finality};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;

use crate::evm::{Evm, collector, key};

const SEND: &str = "eth_sendRawTransaction";

/// Another seller's collector for the same payee, with a gas key of its own.
pub(crate) async fn stranger(evm: &Evm) -> EvmCollector {
    let accounts = evm.net.accounts();
    let payee = EvmAddress(accounts[9].address.into_array());
    let gas = key(&accounts[2].key_hex());
    let clock = Arc::new(farebox_core::clock::SystemClock);
    let stranger = EvmCollector::new(
        vec![evm.network.clone()],
        CollectorOptions::seller(payee, gas),
        clock,
    )
    .unwrap();
    stranger.start().await.unwrap();
    stranger
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_settle_with_blocks_at_intervals() {
    let options = DevnetOptions {
        block_time: Some(Duration::from_millis(200)),
        ..DevnetOptions::quiet()
    };
    let evm = Evm::with(options, |_| ()).await;
    many_are_paid_at_once(&Arc::new(Signed(evm))).await;
}

/// A transaction is asked for when it was sent and once for every block that is seen, and never
/// because time has passed.
#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_asked_for_once_per_block_and_not_per_payment() {
    const PAYMENTS: u64 = 40;
    let evm = Evm::start().await;
    let calls = |method: &str| evm.net.faults().calls(method);
    let receipts = || calls("eth_getTransactionReceipt");
    evm.net.hold_mining();
    let mut settlements = Vec::new();
    for _ in 0..PAYMENTS {
        let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
        let collector = evm.collector();
        settlements.push(tokio::spawn(async move {
            collector
                .settle(&examined.handle, Recorder::new(), WAIT_MS)
                .await
        }));
    }
    wait_until(|| evm.net.waiting_transactions() == 40).await;
    let looks = calls("eth_blockNumber");
    wait_until(|| calls("eth_blockNumber") >= looks + 20).await;
    let blocks_seen = 1 + evm.net.block_number();
    let asked = receipts();
    assert!(
        asked <= PAYMENTS * (1 + blocks_seen),
        "{asked} receipts while no block came"
    );

    evm.net.release_mining();
    for settlement in settlements {
        transaction(&settlement.await.unwrap());
    }
    let blocks_seen = 1 + evm.net.block_number();
    // One that is sent again and finds its nonce used is asked for twice more: by which version?
    let resent = calls("eth_sendRawTransaction").saturating_sub(PAYMENTS);
    let asked = receipts();
    assert!(
        asked <= PAYMENTS * (1 + blocks_seen) + 2 * resent,
        "{asked} receipts for {blocks_seen} blocks, {resent} sent again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_settled_is_found_by_its_logs() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let theirs = stranger(&evm).await;
    let first = theirs
        .settle(&examined.handle, Recorder::new(), WAIT_MS)
        .await;
    let journal = Recorder::new();
    let ours = evm.settle(&examined, &journal).await;
    assert_eq!(transaction(&ours), transaction(&first));
    assert!(journal.lines().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_names_signer_and_nonce_of_everything_that_is_sent() {
    let evm = Evm::start().await;
    let journal = Recorder::new();
    for _ in 0..2 {
        let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
        let settled = evm.settle(&examined, &journal).await;
        transaction(&settled);
    }
    let signer = EvmAddress(evm.gas_account().into_array()).to_string();
    let sent = journal.sent();
    let nonces: Vec<_> = sent.iter().map(|sent| sent.nonce).collect();
    assert_eq!(nonces, [Some(0), Some(1)]);
    assert!(
        sent.iter()
            .all(|sent| sent.signer.as_ref() == Some(&signer))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_sent_is_on_record_before_it_is_deep_enough() {
    let evm = Evm::with(DevnetOptions::quiet(), |n| {
        n.confirmations = 2;
        n.finality = Finality::Blocks(1);
    })
    .await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    let others = Recorder::new();
    let theirs = stranger(&evm).await;
    let first = theirs.settle(&examined.handle, others.clone(), 300).await;
    assert!(matches!(first, Outcome::Unknown { .. }));
    let journal = Recorder::new();
    let ours = evm.settle(&examined, &journal).await;
    assert!(matches!(ours, Outcome::Unknown { .. }));
    assert_eq!(journal.lines(), others.lines());
    evm.net.mine();
    assert!(matches!(
        evm.payer().check(&handle).await,
        Finding::Settled { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_race_against_a_stranger_is_settled_all_the_same() {
    let evm = Evm::start().await;
    let before = evm.revenue();
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
            evm.net.release_mining();
        },
    );
    assert_eq!(transaction(&one), transaction(&two));
    assert_eq!((ours.lines().len(), others.lines().len()), (1, 1));
    assert_eq!(evm.revenue() - before, examined.terms.amount.atomic());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_the_old_transaction_still_waiting_pays_once() {
    let evm = Evm::start().await;
    let before = evm.revenue();
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.hold_mining();
    let first = evm
        .collector()
        .settle(&examined.handle, Recorder::new(), 300)
        .await;
    assert_eq!(
        first,
        Outcome::Unknown {
            reason: "settlement_pending".into()
        }
    );
    let restarted = evm.restarted().await;
    let journal = Recorder::new();
    let (second, ()) = tokio::join!(
        restarted.settle(&examined.handle, journal.clone(), WAIT_MS),
        async {
            wait_until(|| evm.net.waiting_transactions() == 2).await;
            evm.net.release_mining();
        },
    );
    transaction(&second);
    assert_eq!(evm.revenue() - before, examined.terms.amount.atomic());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_at_the_deadline_is_found_settled_later() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.hold_mining();
    let journal = Recorder::new();
    let outcome = evm
        .collector()
        .settle(&examined.handle, journal.clone(), 300)
        .await;
    assert_eq!(
        outcome,
        Outcome::Unknown {
            reason: "settlement_pending".into()
        }
    );
    assert_eq!(evm.payer().check(&handle).await, Finding::Open);
    evm.net.release_mining();
    // Joins the settlement that still goes on.
    let outcome = evm.settle(&examined, &journal).await;
    assert_eq!(journal.lines(), [transaction(&outcome)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_does_not_stop_the_settlement() {
    let evm = Evm::start().await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.hold_mining();
    let collector = evm.collector();
    let call = tokio::spawn(async move {
        collector
            .settle(&examined.handle, Recorder::new(), WAIT_MS)
            .await
    });
    wait_until(|| evm.net.waiting_transactions() == 1).await;
    call.abort();
    evm.net.release_mining();
    wait_until(|| evm.net.waiting_transactions() == 0).await;
    assert!(matches!(
        evm.payer().check(&handle).await,
        Finding::Settled { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_transaction_leaves_no_gap_behind() {
    let evm = Evm::start().await;
    // The first of ten is refused after nonces above it are out.
    let full = Fault::Refuse {
        code: -32000,
        message: "txpool is full".into(),
    };
    evm.net.faults().set_times(SEND, full, 1);
    let mut settlements = Vec::new();
    for _ in 0..10 {
        let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
        let collector = evm.collector();
        settlements.push(tokio::spawn(async move {
            collector
                .settle(&examined.handle, Recorder::new(), WAIT_MS)
                .await
        }));
    }
    let mut refused = 0;
    for settlement in settlements {
        match settlement.await.unwrap() {
            Outcome::Settled { .. } => {}
            Outcome::Rejected(r) if r.is_ours && r.message.contains("txpool is full") => {
                refused += 1
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_another_program_used_is_skipped() {
    let evm = Evm::start().await;
    let twin = collector(&evm.net, &evm.network, Arc::clone(&evm.clock));
    twin.start().await.unwrap();
    let (_, examined) = signed(evm.payer(), &twin).await;
    transaction(
        &twin
            .settle(&examined.handle, Recorder::new(), WAIT_MS)
            .await,
    );
    // Our collector does not get to see the new count before it sends.
    let refusal = Fault::Refuse {
        code: -32000,
        message: "busy".into(),
    };
    evm.net
        .faults()
        .set_times("eth_getTransactionCount", refusal, 1);
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let journal = Recorder::new();
    let outcome = evm.settle(&examined, &journal).await;
    let lines = journal.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1], transaction(&outcome));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_contradicts_itself_about_a_nonce_is_not_believed() {
    let evm = Evm::start().await;
    let lie = Fault::Refuse {
        code: -32000,
        message: "nonce too low".into(),
    };
    evm.net.faults().set_times(SEND, lie, 1);
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let outcome = evm.settle(&examined, &Recorder::new()).await;
    transaction(&outcome);
    assert_eq!(evm.net.nonce(evm.gas_account()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfunded_gas_key_says_what_to_do() {
    let evm = Evm::start().await;
    evm.net.set_ether_balance(evm.gas_account(), U256::ZERO);
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let journal = Recorder::new();
    let outcome = evm.settle(&examined, &journal).await;
    assert!(journal.lines().is_empty());
    let Outcome::Rejected(refusal) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(refusal.reason, Reason::UnexpectedSettle);
    assert!(refusal.is_ours);
    assert!(
        refusal.message.contains("cannot pay for gas"),
        "{}",
        refusal.message
    );
    // Nothing was lost: with money it goes on.
    evm.net
        .set_ether_balance(evm.gas_account(), U256::from(10u128.pow(18)));
    transaction(&evm.settle(&examined, &Recorder::new()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gas_key_that_runs_dry_while_sending_says_so_too() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let dry = Fault::Refuse {
        code: -32000,
        message: "insufficient funds for gas * price + value".into(),
    };
    evm.net.faults().set_times(SEND, dry, 1);
    let journal = Recorder::new();
    let collector = evm.collector();
    let outcome = collector
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours && r.message.contains("cannot pay for gas")),
        "{outcome:?}"
    );
    // Its nonce came back.
    transaction(
        &collector
            .settle(&examined.handle, journal.clone(), WAIT_MS)
            .await,
    );
    assert_eq!(evm.net.nonce(evm.gas_account()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn gas_above_the_cap_is_not_paid() {
    let evm = Evm::with(DevnetOptions::quiet(), |n| {
        n.max_fee_per_gas_wei = 5_000_000_000
    })
    .await;
    evm.net.set_base_fee(6_000_000_000);
    evm.net.mine();
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let journal = Recorder::new();
    let outcome = evm.settle(&examined, &journal).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours && r.message.contains("cap")),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmations_are_waited_for() {
    let evm = Evm::with(DevnetOptions::quiet(), |n| n.confirmations = 3).await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    let collector = evm.collector();
    let early = collector
        .settle(&examined.handle, Recorder::new(), 500)
        .await;
    assert_eq!(
        early,
        Outcome::Unknown {
            reason: "settlement_pending".into()
        }
    );
    assert_eq!(evm.net.waiting_transactions(), 0);
    evm.net.mine();
    evm.net.mine();
    let outcome = collector
        .settle(&examined.handle, Recorder::new(), WAIT_MS)
        .await;
    transaction(&outcome);
    assert!(matches!(
        evm.payer().check(&handle).await,
        Finding::Settled { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_node_forgot_is_sent_again() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.hold_mining();
    let journal = Recorder::new();
    let first = evm
        .collector()
        .settle(&examined.handle, journal.clone(), 300)
        .await;
    assert!(matches!(first, Outcome::Unknown { .. }));
    let hash = journal.lines()[0].parse().unwrap();
    assert!(evm.net.drop_transaction(hash));
    evm.net.release_mining();
    let outcome = evm.settle(&examined, &journal).await;
    assert_eq!(journal.lines(), [transaction(&outcome)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_payment_that_no_block_took_does_not_hold_up_the_next() {
    let evm = Evm::start().await;
    let before = evm.revenue();
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.hold_mining();
    let journal = Recorder::new();
    let first = evm
        .collector()
        .settle(&examined.handle, journal.clone(), 300)
        .await;
    assert!(matches!(first, Outcome::Unknown { .. }));
    // The node forgets it, and our clock passes its expiry.
    assert!(
        evm.net
            .drop_transaction(journal.lines()[0].parse().unwrap())
    );
    evm.clock.advance(Duration::from_secs(3600));
    let (_, next) = signed(evm.payer(), &*evm.collector()).await;
    evm.net.release_mining();
    let outcome = evm.settle(&next, &Recorder::new()).await;
    transaction(&outcome);
    // The next one, and not the expired one.
    assert_eq!(evm.revenue() - before, next.terms.amount.atomic());
    assert_eq!(evm.net.nonce(evm.gas_account()), 2);
}

/// Waits for a fact about the devnet, whose handle has no events for it.
pub(crate) async fn wait_until(fact: impl Fn() -> bool) {
    let wait = async {
        while !fact() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn finality_in_blocks_is_told_apart_from_settlement() {
    let evm = Evm::with(DevnetOptions::quiet(), |n| n.finality = Finality::Blocks(2)).await;
    let (handle, examined) = signed(evm.payer(), &*evm.collector()).await;
    let outcome = evm.settle(&examined, &Recorder::new()).await;
    assert!(matches!(
        outcome,
        Outcome::Settled {
            is_final: false,
            ..
        }
    ));
    for expected in [false, false, true] {
        let finding = evm.payer().check(&handle).await;
        assert!(matches!(finding, Finding::Settled { is_final, .. } if is_final == expected));
        evm.net.mine();
    }
}
