//! Several gas keys.

use farebox_core::conformance::{Recorder, SignedNet as _, transaction};
use farebox_devnet_evm::DevnetOptions;

use crate::batch::{begin, hold_up, verified};
use crate::evm::{Evm, deployed, key};
use crate::settle::wait_until;

async fn two_lanes() -> Evm {
    let net = deployed(DevnetOptions::quiet());
    let second = net.accounts()[8].key_hex();
    Evm::on(net, |_| (), |options| options.signers.push(key(&second))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_one_lane_is_busy_takes_the_other() {
    let evm = two_lanes().await;
    let second = evm.net.accounts()[8].address;
    let first_lane = hold_up(&evm).await;
    let (_, examined) = verified(&evm, evm.payer()).await;
    let other = begin(&evm, &examined);
    wait_until(|| evm.net.waiting_transactions() == 2).await;
    let signers: Vec<_> = [&first_lane, &other]
        .iter()
        .map(|settling| settling.journal.sent()[0].signer.clone())
        .collect();
    assert_ne!(signers[0], signers[1]);
    // Neither waits for the other's nonces.
    evm.net.release_mining();
    transaction(&first_lane.task.await.unwrap());
    transaction(&other.task.await.unwrap());
    assert!(evm.net.nonce(second) >= 1);
    assert!(evm.net.nonce(evm.gas_account()) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_without_money_is_passed_over() {
    let evm = two_lanes().await;
    evm.net
        .set_ether_balance(evm.gas_account(), alloy_primitives::U256::ZERO);
    for _ in 0..3 {
        let (_, examined) = verified(&evm, evm.payer()).await;
        let journal = Recorder::new();
        transaction(&evm.settle(&examined, &journal).await);
    }
    assert_eq!(evm.net.nonce(evm.gas_account()), 0);
    let health = evm.collector().health().await.remove(0);
    assert_eq!(health.signers.len(), 2);
    let dry = health
        .complaints
        .iter()
        .filter(|c| c.contains("pays for about 0 more"));
    assert_eq!(dry.count(), 1, "{:?}", health.complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_ran_dry_unseen_leaves_its_payments_to_another() {
    let evm = two_lanes().await;
    let held = hold_up(&evm).await;
    let first = held.journal.sent()[0].signer.clone();
    // Neither key's money is asked about again before the next settlement is sent.
    let accounts = [evm.net.accounts()[0].address, evm.net.accounts()[8].address];
    let dry = accounts
        .into_iter()
        .find(|account| first.as_ref() != Some(&account.to_string().to_lowercase()))
        .unwrap();
    let (_, examined) = verified(&evm, evm.payer()).await;
    evm.net.set_ether_balance(dry, alloy_primitives::U256::ZERO);
    let other = begin(&evm, &examined);
    wait_until(|| !other.journal.lines().is_empty()).await;
    wait_until(|| other.journal.lines().len() == 2 || evm.net.waiting_transactions() == 2).await;
    evm.net.release_mining();
    transaction(&held.task.await.unwrap());
    transaction(&other.task.await.unwrap());
    assert_eq!(evm.net.nonce(dry), 0);
}
