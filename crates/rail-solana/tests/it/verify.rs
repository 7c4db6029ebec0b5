//! What the chain alone knows is asked before anything is signed; each of these is refused for
//! what it is, and costs nothing.

use farebox_core::rail::{CollectRail, Funds, Outcome};
use farebox_devnet_svm::{DevnetSvmOptions, Fault};
use farebox_wire::money::Amount;
use farebox_wire::x402::reason::Reason;
use solana_signature::Signature;

use crate::shop::{Recorder, Shop, transaction};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_payer_has_is_told() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    let has = shop
        .net
        .token_balance(shop.buyer().address, shop.net.usdc());
    let funds = shop.verified(&examined).await;
    assert_eq!(funds, Funds::Balance(Amount::from_atomic(has.into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_without_enough_is_told_so() {
    let shop = Shop::open().await;
    let poor = shop.net.accounts()[2];
    shop.net
        .remove_token_account(poor.address, shop.net.usdc())
        .unwrap();
    let examined = shop.examined_of(&poor).await;
    // Without an account for the token, and with too little in it.
    shop.never_pays(&examined, Reason::InsufficientBalance)
        .await;
    shop.net.mint(poor.address, shop.net.usdc(), 999).unwrap();
    shop.never_pays(&examined, Reason::InsufficientBalance)
        .await;
    // The same credential, once the money is there.
    shop.net.mint(poor.address, shop.net.usdc(), 1).unwrap();
    shop.verified(&examined).await;
    transaction(&shop.settle(&examined, &Recorder::new()).await);
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_account_neither_pays_nor_is_paid() {
    let shop = Shop::open().await;
    let usdc = shop.net.usdc();
    let examined = shop.examined().await;
    for frozen in [shop.buyer().address, shop.payee()] {
        shop.net.freeze(frozen, usdc).unwrap();
        shop.never_pays(&examined, Reason::SvmSimulationFailed)
            .await;
        assert!(shop.refused(&examined).await.message.contains("frozen"));
        shop.net.thaw(frozen, usdc).unwrap();
    }
    transaction(&shop.settle(&examined, &Recorder::new()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payee_without_a_token_account_cannot_be_paid() {
    let shop = Shop::open().await;
    shop.net
        .remove_token_account(shop.payee(), shop.net.usdc())
        .unwrap();
    let examined = shop.examined().await;
    shop.never_pays(&examined, Reason::SvmSimulationFailed)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blockhash_that_is_too_old_is_told() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net.expire_blockhashes();
    shop.never_pays(&examined, Reason::SvmSimulationFailed)
        .await;
    assert!(shop.refused(&examined).await.message.contains("too old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_run_is_used_whatever_stands_in_the_empty_place() {
    let shop = Shop::open().await;
    let mut signed = shop.transaction(&shop.buyer()).await;
    let first = shop.examine(&signed);
    transaction(&shop.settle(&first, &Recorder::new()).await);
    signed.signatures[0] = Signature::from([7; 64]);
    let again = shop.examine(&signed);
    assert_eq!(again.identity, first.identity);
    assert_eq!(again.payload_digest, first.payload_digest);
    let refusal = shop.refused(&again).await;
    assert_eq!(refusal.reason, Reason::NonceAlreadyUsed);
    assert!(!refusal.is_ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_fee_payer_is_our_own_trouble() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net.set_balance(shop.fee_payer(), 0);
    let refusal = shop.refused(&examined).await;
    assert!(refusal.is_ours, "{refusal}");
    assert_eq!(refusal.reason, Reason::SvmInvalidFeePayer);
    let journal = Recorder::new();
    let outcome = shop.settle(&examined, &journal).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
    let health = shop.collector.health().await.remove(0);
    assert!(
        health.complaints.iter().any(|c| c.contains("SOL")),
        "{health:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_verifies_and_a_repeat_needs_none() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.verified(&examined).await;
    let calls = shop.net.faults().total_calls();
    // Not asked again: the node would refuse.
    let no = Fault::Refuse {
        code: -32_603,
        message: "no".into(),
    };
    shop.net.faults().set("simulateTransaction", no);
    shop.verified(&examined).await;
    assert_eq!(shop.net.faults().total_calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_answers_nonsense_refuses_nobody() {
    let shop = Shop::with(DevnetSvmOptions::quick(), |_| ()).await;
    let examined = shop.examined().await;
    let faults = shop.net.faults();
    for fault in [
        Fault::Garbage,
        Fault::HttpStatus(503),
        Fault::Disconnect,
        Fault::Lie(serde_json::json!({"value": 7})),
        Fault::Refuse {
            code: -32_005,
            message: "node is behind".into(),
        },
    ] {
        faults.set("simulateTransaction", fault);
        let refusal = shop.refused(&examined).await;
        assert!(refusal.is_ours, "{refusal}");
        assert_eq!(refusal.reason, Reason::UnexpectedVerify);
        faults.clear();
    }
    shop.verified(&examined).await;
}
