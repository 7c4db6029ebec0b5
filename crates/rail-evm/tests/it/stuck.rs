//! Transactions that blocks pass by.

use std::time::Duration;

use farebox_core::rail::Outcome;
use farebox_devnet_evm::DevnetOptions;

use crate::batch::{Settling, begin, hold_up, verified};
use crate::conformance::{Fixture, Recorder, signed_for, transaction};
use crate::evm::Evm;
use crate::settle::wait_until;

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
    tokio::time::timeout(Duration::from_secs(30), mining)
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
