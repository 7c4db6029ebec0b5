//! Transactions that blocks pass by.

use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Signature, TxKind, hex};
use farebox_core::conformance::{Recorder, SignedNet as _, WAIT_MS, signed_for, transaction};
use farebox_core::rail::Outcome;
use farebox_devnet_evm::DevnetOptions;
use serde_json::json;

use crate::batch::{Settling, begin, hold_up, verified};
use crate::evm::Evm;
use crate::settle::wait_until;
use crate::shop::{ecdsa, rpc};

/// Two settlements in the pool, which no block takes for now.
async fn waiting(evm: &Evm) -> [Settling; 2] {
    let (_, first) = verified(evm, evm.payer()).await;
    transaction(&evm.settle(&first, &Recorder::new()).await);
    evm.net.hold_mining();
    let (_, one) = verified(evm, evm.payer()).await;
    let (_, two) = verified(evm, evm.payer()).await;
    let one = begin(evm, &one);
    wait_until(|| evm.net.waiting_transactions() == 1).await;
    let two = begin(evm, &two);
    wait_until(|| evm.net.waiting_transactions() == 2).await;
    [one, two]
}

/// Lets blocks go by until `fact`.
async fn mine_until(evm: &Evm, fact: impl Fn() -> bool) {
    let mining = async {
        while !fact() {
            evm.net.mine();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), mining)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_that_blocks_pass_by_is_raised_and_the_new_hash_is_on_record() {
    let evm = Evm::start().await;
    let before = evm.revenue();
    let settlements = waiting(&evm).await;
    evm.net.set_base_fee(50_000_000_000);
    mine_until(&evm, || evm.revenue() - before == 3_000).await;
    evm.net.release_mining();
    for settling in settlements {
        let hash = transaction(&settling.task.await.unwrap());
        let lines = settling.journal.lines();
        assert!(lines.len() >= 2, "{lines:?}");
        assert!(lines.contains(&hash));
        let sent = settling.journal.sent();
        assert!(sent.iter().all(|line| line.nonce == sent[0].nonce));
    }
    assert_eq!(evm.net.nonce(evm.gas_account()), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_cap_it_waits_and_says_so() {
    let evm = Evm::with(DevnetOptions::quiet(), |n| {
        n.max_fee_per_gas_wei = 5_000_000_000;
    })
    .await;
    let before = evm.revenue();
    let settlements = waiting(&evm).await;
    evm.net.set_base_fee(50_000_000_000);
    for _ in 0..20 {
        evm.net.mine();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(evm.revenue() - before, 1_000);
    let health = evm.collector().health().await.remove(0);
    assert!(!health.complaints.is_empty());
    assert_eq!(health.signers[0].in_flight, 2);
    evm.net.set_base_fee(1_000_000_000);
    evm.net.release_mining();
    for settling in settlements {
        transaction(&settling.task.await.unwrap());
        assert_eq!(settling.journal.lines().len(), 1);
    }
    assert_eq!(evm.revenue() - before, 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_that_have_expired_are_cancelled_and_hold_up_nobody() {
    let evm = Evm::start().await;
    let before = evm.revenue();
    let settlements = waiting(&evm).await;
    for settling in &settlements {
        let hash = settling.journal.lines()[0].parse().unwrap();
        assert!(evm.net.drop_transaction(hash));
    }
    evm.clock.advance(Duration::from_secs(3600));
    for settling in settlements {
        let outcome = settling.task.await.unwrap();
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        assert_eq!(settling.journal.lines().len(), 1);
    }
    evm.net.release_mining();
    wait_until(|| evm.net.nonce(evm.gas_account()) == 3).await;
    assert_eq!(evm.revenue() - before, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_still_valid_is_sent_again() {
    let evm = Evm::start().await;
    let held = hold_up(&evm).await;
    let before = evm.revenue();
    let (_, long) = verified(&evm, evm.payer()).await;
    let (_, short) = signed_for(evm.payer(), &*evm.collector(), 20).await;
    evm.collector().verify(&short).await.unwrap();
    let (long, short) = (begin(&evm, &long), begin(&evm, &short));
    wait_until(|| !long.journal.lines().is_empty() && !short.journal.lines().is_empty()).await;
    // Ours has passed the expiry of one; the chain, whose clock has not, would still take it.
    evm.clock.advance(Duration::from_secs(40));
    evm.net.set_base_fee(50_000_000_000);
    mine_until(&evm, || evm.revenue() - before == 2_000).await;
    evm.net.release_mining();
    transaction(&held.task.await.unwrap());
    transaction(&long.task.await.unwrap());
    let outcome = short.task.await.unwrap();
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(short.journal.lines().len(), 1);
    assert!(long.journal.lines().len() >= 2);
    assert_eq!(evm.revenue() - before, 2_000);
}

/// Transactions of the gas key that no living process follows, in the pool and in no block: they
/// pay less than the chain asks for, and more of a tip than is usual now.
async fn left_behind(evm: &Evm) -> Vec<B256> {
    evm.net.hold_mining();
    let sender = evm.net.accounts()[0];
    for nonce in 0..3 {
        let tx = TxEip1559 {
            chain_id: evm.net.chain_id(),
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 30_000_000_000,
            max_priority_fee_per_gas: 20_000_000_000,
            to: TxKind::Call(sender.address),
            ..TxEip1559::default()
        };
        let signature = ecdsa(sender.key)(tx.signature_hash());
        let signature = Signature::from_raw(&signature).unwrap();
        let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        let sent = json!([hex::encode_prefixed(raw)]);
        rpc(evm, "eth_sendRawTransaction", sent).await;
    }
    evm.net.set_base_fee(40_000_000_000);
    evm.net.waiting_hashes()
}

/// What a process that knows nothing of them settles arrives all the same. `then` happens once it
/// has sent a transaction behind them.
async fn settles_behind_them(evm: &Evm, then: impl FnOnce()) {
    let before = evm.revenue();
    let collector = evm.restarted().await;
    let (_, examined) = signed_for(evm.payer(), &*collector, 3_000).await;
    let (handle, journal) = (examined.handle, Recorder::new());
    let writes = journal.clone();
    let settling =
        tokio::spawn(async move { collector.settle(&handle, writes, 20 * WAIT_MS).await });
    wait_until(|| !journal.lines().is_empty()).await;
    assert_eq!(journal.sent()[0].nonce, Some(3));
    then();
    mine_until(evm, || evm.revenue() - before == 1_000).await;
    evm.net.release_mining();
    transaction(&settling.await.unwrap());
    assert_eq!(evm.net.nonce(evm.gas_account()), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_process_left_in_the_pool_is_outbid() {
    let evm = Evm::start().await;
    assert_eq!(left_behind(&evm).await.len(), 3);
    settles_behind_them(&evm, || ()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_process_left_and_the_node_dropped_is_filled() {
    let evm = Evm::start().await;
    let left = left_behind(&evm).await;
    settles_behind_them(&evm, || {
        for hash in left {
            assert!(evm.net.drop_transaction(hash));
        }
    })
    .await;
}
