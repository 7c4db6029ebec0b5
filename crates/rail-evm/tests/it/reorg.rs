//! Settlements of many that the chain takes back.

use farebox_core::conformance::{Recorder, SignedNet as _, WAIT_MS, transaction};
use farebox_core::rail::{Examined, Finding, Handle};

use crate::batch::{begin, hold_up, verified};
use crate::evm::Evm;
use crate::settle::wait_until;

/// Payments that were settled together.
async fn settled_together(evm: &Evm) -> Vec<(Handle, Examined)> {
    let held = hold_up(evm).await;
    let mut payments = Vec::new();
    for _ in 0..5 {
        payments.push(verified(evm, evm.payer()).await);
    }
    let all: Vec<_> = payments
        .iter()
        .map(|(_, examined)| begin(evm, examined))
        .collect();
    wait_until(|| all.iter().all(|s| !s.journal.lines().is_empty())).await;
    evm.net.release_mining();
    transaction(&held.task.await.unwrap());
    for settling in all {
        transaction(&settling.task.await.unwrap());
    }
    payments
}

/// What is open again can be settled again, by a process that remembers nothing.
async fn settle_again(evm: &Evm, payments: &[(Handle, Examined)]) {
    let restarted = evm.restarted().await;
    for (handle, examined) in payments {
        assert_eq!(evm.payer().check(handle).await, Finding::Open);
        let again = restarted
            .settle(&examined.handle, Recorder::new(), WAIT_MS)
            .await;
        transaction(&again);
        let finding = evm.payer().check(handle).await;
        assert!(matches!(finding, Finding::Settled { .. }), "{finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_a_shared_settlement_opens_every_payment_again() {
    let evm = Evm::start().await;
    let payments = settled_together(&evm).await;
    // Block 1 is the first settlement, which went alone.
    evm.net.reorg(evm.net.block_number() - 1, false).unwrap();
    settle_again(&evm, &payments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_goes_back_to_a_snapshot_opens_every_payment_again() {
    let evm = Evm::start().await;
    let snapshot = evm.net.snapshot();
    let payments = settled_together(&evm).await;
    evm.net.revert(snapshot).unwrap();
    evm.net.mine();
    settle_again(&evm, &payments).await;
}
