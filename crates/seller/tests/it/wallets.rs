//! Signatures that only the chain can judge: nothing is kept for them before it has.

use farebox_core::payment::Phase;
use farebox_wire::x402::types::PaymentPayload;
use http::StatusCode;

use crate::support::fake_rail::{JUNK_OF_A_WALLET, SIGNED_BY_A_WALLET};
use crate::support::{Plan, Seen, World, eventually, get, with_credential};

/// A credential of a wallet's payment.
fn credential(world: &World, signature: &str) -> PaymentPayload {
    let mut credential = world.credential("/weather/x", "1");
    credential.payload["signature"] = signature.into();
    credential
}

async fn present(world: &World, signature: &str) -> Seen {
    let credential = credential(world, signature);
    world
        .send(with_credential(get("/weather/x"), &credential))
        .await
}

#[tokio::test]
async fn a_wallets_junk_cannot_take_the_seat_of_the_real_credential() {
    let world = World::new();
    // The chain is asked about the junk, and takes its time.
    world.rail.close_wallet_gate();
    let junk = tokio::spawn({
        let credential = credential(&world, JUNK_OF_A_WALLET);
        let (mut service, request) = (
            world.service(),
            with_credential(get("/weather/x"), &credential),
        );
        async move { tower::Service::call(&mut service, request).await }
    });
    eventually(|| async { world.rail.verifications() == 1 }).await;
    let real = credential(&world, SIGNED_BY_A_WALLET);
    let real = world.open(with_credential(get("/weather/x"), &real)).await;
    Seen::read(real).await.assert_served();
    world.rail.open_wallet_gate();
    let answer = junk.await.expect("no panic").expect("never fails");
    let answer = Seen::read(answer).await;
    answer.assert_challenged("invalid_exact_evm_signature");
    assert_eq!(world.goods.calls(), 1);
}

#[tokio::test]
async fn a_wallets_junk_leaves_no_row_and_reaches_no_upstream() {
    let world = World::new();
    let seen = present(&world, JUNK_OF_A_WALLET).await;
    seen.assert_challenged("invalid_exact_evm_signature");
    assert!(world.payments().await.is_empty());
    assert_eq!((world.goods.calls(), world.rail.settlements()), (0, 0));
}

#[tokio::test]
async fn a_wallets_credential_is_repeated_like_any_other_though_the_chain_calls_it_used() {
    let world = World::new();
    let first = present(&world, SIGNED_BY_A_WALLET).await;
    let receipt = first.assert_served();
    let again = present(&world, SIGNED_BY_A_WALLET).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.code(), "payment_already_used");
    assert_eq!(again.receipt(), Some(receipt));
    // Other bytes under the same nonce are for the chain again, and it knows them as used.
    let other = present(&world, "of a contract, another").await;
    other.assert_challenged("invalid_exact_evm_nonce_already_used");
    let junk = present(&world, JUNK_OF_A_WALLET).await;
    junk.assert_challenged("invalid_exact_evm_signature");
}

#[tokio::test]
async fn a_wallets_pending_payment_stays_pending_however_often_it_is_shown() {
    let world = World::new();
    world.rail.plan(Plan::GoSilent);
    for _ in 0..2 {
        let seen = present(&world, SIGNED_BY_A_WALLET).await;
        assert_eq!(seen.code(), "settlement_pending");
    }
    assert_eq!(world.phase().await, Phase::Unknown);
    assert_eq!(world.rail.settlements(), 1);
}

#[tokio::test]
async fn a_wallet_that_cannot_be_asked_is_our_fault_and_burns_nothing() {
    let world = World::new();
    world.rail.set_away(true);
    let seen = present(&world, SIGNED_BY_A_WALLET).await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(world.payments().await.is_empty());
    world.rail.set_away(false);
    present(&world, SIGNED_BY_A_WALLET).await.assert_served();
}
