//! Payers that are contracts, or will be: who is believed, what it costs, and what becomes of one
//! that misbehaves. The wallets are `contracts/src/TestWallets.sol`.

use alloy_primitives::{Address, B256, Bytes};
use farebox_core::conformance::{Recorder, SignedNet as _, WAIT_MS, signed, transaction};
use farebox_core::rail::{CollectRail, Finding, Funds, SignatureCheck};
use farebox_devnet_evm::MULTICALL3_ADDRESS;
use farebox_wire::money::Amount;
use farebox_wire::x402::reason::Reason;
use serde_json::json;

use crate::settle::stranger;
use crate::shop::{
    FACTORY, Shop, WALLET, artifact, cancel, counterfactual, ecdsa, remove_settler, rpc, wrapped,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_wallet_pays_with_its_owners_signature_and_with_nobody_elses() {
    let shop = Shop::open().await;
    let owner = shop.evm.net.accounts()[1];
    let wallet = shop.wallet(shop.smart_wallet(owner.address).await);
    let forged = shop.credential(wallet, ecdsa(shop.anybody())).await;
    assert_eq!(forged.signature, SignatureCheck::AskChain);
    assert_eq!(shop.refused(&forged).await, Reason::InvalidSignature);
    let good = shop.credential(wallet, ecdsa(owner.key)).await;
    let funds = shop.verified(&good).await;
    assert_eq!(funds, Funds::Balance(Amount::from_atomic(1_000_000)));
    shop.pays(&good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_any_length_is_the_wallets_to_judge() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    for length in [0, 1, 64, 66, 4096] {
        let examined = shop.credential(wallet, |_| vec![7; length]).await;
        assert_eq!(examined.signature, SignatureCheck::AskChain);
        shop.pays(&examined).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_code_only_the_accounts_own_signature_counts() {
    let shop = Shop::open().await;
    let payer = shop.evm.net.accounts()[1].address;
    for signature in [vec![], vec![7; 65], vec![7; 100]] {
        let examined = shop.credential(payer, |_| signature).await;
        let before = shop.evm.net.faults().calls("eth_call");
        assert_eq!(shop.refused(&examined).await, Reason::InvalidSignature);
        // About the payer, once in a block; about the signature nobody was asked.
        assert!(shop.evm.net.faults().calls("eth_call") - before <= 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegated_account_is_asked_and_its_own_key_alone_is_not_enough() {
    let shop = Shop::open().await;
    let payer = shop.evm.net.accounts()[1];
    let delegation = |to: Address| Bytes::from([&[0xef, 0x01, 0x00], to.as_slice()].concat());
    let code = shop.smart_wallet(Address::ZERO).await;
    shop.evm.net.set_code(WALLET, code.into());
    shop.evm.net.set_code(payer.address, delegation(WALLET));
    let (_, examined) = signed(shop.evm.payer(), &shop.collector).await;
    assert_eq!(examined.signature, SignatureCheck::Good);
    shop.pays(&examined).await;
    // The same key under a delegate that accepts nothing.
    let refusing = artifact!("BurningWallet.runtime.hex");
    shop.evm.net.set_code(WALLET, refusing.into());
    let (_, examined) = signed(shop.evm.payer(), &shop.collector).await;
    assert_eq!(examined.signature, SignatureCheck::Good);
    assert_eq!(shop.refused(&examined).await, Reason::InvalidSignature);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_burns_its_gas_or_answers_a_megabyte_is_refused() {
    let shop = Shop::open().await;
    for runtime in [
        artifact!("BurningWallet.runtime.hex"),
        artifact!("FloodingWallet.runtime.hex"),
    ] {
        let wallet = shop.wallet(runtime);
        let examined = shop.credential(wallet, |_| vec![1; 65]).await;
        assert_eq!(shop.refused(&examined).await, Reason::InvalidSignature);
        // Nor is it paid for if it is settled without having been verified.
        let (cost, reason) = shop.fails(&examined).await;
        assert_eq!((cost, reason), (0, Reason::InvalidSignature));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_changes_its_mind_after_verification_is_rejected_for_nothing() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    let turned = json!([wallet, "0x0", B256::with_last_byte(1)]);
    rpc(&shop.evm, "anvil_setStorageAt", turned).await;
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!((cost, reason), (0, Reason::InvalidSignature));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_lies_to_every_simulation_costs_its_gas_limit_at_most() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("TwoFacedWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!(reason, Reason::TransactionFailed);
    // About 80,000 gas and a quarter more at about 1 gwei, however much the wallet would burn.
    assert!((1..200_000 * 1_000_000_000).contains(&cost), "{cost} wei");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_does_not_exist_yet_is_deployed_and_pays() {
    let shop = Shop::open().await;
    let future = counterfactual(&shop, FACTORY);
    let examined = future.credential(&shop, FACTORY).await;
    assert_eq!(examined.signature, SignatureCheck::AskChain);
    // By Multicall3, where there is no settler.
    remove_settler(&shop);
    shop.pays(&examined).await;
    // Now that it exists, what the factory would do is not asked for: the wrapper is only taken off.
    shop.evm
        .net
        .set_code(FACTORY, artifact!("BurningFactory.runtime.hex").into());
    let examined = future.credential(&shop, FACTORY).await;
    shop.pays(&examined).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_deployed_through_the_settler_where_there_is_one() {
    let shop = Shop::open().await;
    shop.evm.net.set_code(MULTICALL3_ADDRESS, Bytes::new());
    let future = counterfactual(&shop, FACTORY);
    let examined = future.credential(&shop, FACTORY).await;
    shop.pays(&examined).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factory_that_is_not_allowed_deploys_nothing() {
    let shop = Shop::with_factories(vec![]).await;
    let future = counterfactual(&shop, FACTORY);
    let examined = future.credential(&shop, FACTORY).await;
    assert_eq!(shop.refused(&examined).await, Reason::FactoryNotAllowed);
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!((cost, reason), (0, Reason::FactoryNotAllowed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployment_cannot_make_good_is_refused_with_its_reason() {
    let shop = Shop::open().await;
    let future = counterfactual(&shop, FACTORY);
    let sign = wrapped(FACTORY, future.deploy.clone(), ecdsa(shop.anybody()));
    let forged = shop.credential(future.wallet, sign).await;
    assert_eq!(shop.refused(&forged).await, Reason::InvalidSignature);
    let sign = wrapped(FACTORY, vec![1, 2, 3, 4], ecdsa(future.owner));
    let elsewhere = shop.credential(future.wallet, sign).await;
    assert_eq!(shop.refused(&elsewhere).await, Reason::DeploymentFailed);
    let good = future.credential(&shop, FACTORY).await;
    shop.evm
        .net
        .set_code(FACTORY, artifact!("BurningFactory.runtime.hex").into());
    assert_eq!(shop.refused(&good).await, Reason::DeploymentFailed);
    let (cost, _) = shop.fails(&good).await;
    assert_eq!(cost, 0);
    shop.evm.net.set_code(MULTICALL3_ADDRESS, Bytes::new());
    remove_settler(&shop);
    assert_eq!(shop.refused(&good).await, Reason::UndeployedSmartWallet);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_without_the_money_is_refused_before_it_is_asked() {
    let shop = Shop::open().await;
    let wallet = WALLET;
    let code = artifact!("ChangingWallet.runtime.hex");
    shop.evm.net.set_code(wallet, code.into());
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    assert_eq!(shop.refused(&examined).await, Reason::InsufficientBalance);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallets_payment_that_somebody_else_settled_counts_as_ours() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    let theirs = stranger(&shop.evm).await;
    let first = theirs
        .settle(&examined.handle, Recorder::new(), WAIT_MS)
        .await;
    let journal = Recorder::new();
    let ours = shop.settle(&examined, &journal).await;
    assert_eq!(transaction(&ours), transaction(&first));
    assert!(journal.lines().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_its_payer_cancels_after_verification_is_rejected() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    cancel(&shop, wallet, &examined).await;
    assert_eq!(shop.refused(&examined).await, Reason::NonceAlreadyUsed);
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!((cost, reason), (0, Reason::NonceAlreadyUsed));
    let finding = shop.collector.check(&examined.handle).await;
    assert!(matches!(finding, Finding::NeverWill), "{finding:?}");
}
