//! Verifying: what only the chain knows about a credential.

use alloy_primitives::address;
use farebox_core::conformance::{SignedNet as _, signed};
use farebox_devnet_evm::{DevnetOptions, MULTICALL3_ADDRESS};
use farebox_rail_evm::{Asset, Network};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;

use crate::evm::Evm;

/// A devnet whose only offered token has its code, or none, at `address`.
async fn with_token_at(address: alloy_primitives::Address) -> Evm {
    Evm::with(DevnetOptions::quiet(), |network: &mut Network| {
        let usdc = network.assets[0].clone();
        network.assets = vec![Asset {
            address: EvmAddress(address.into_array()),
            ..usdc
        }];
    })
    .await
}

async fn refused(evm: &Evm) -> Reason {
    let collector = evm.collector();
    let (_, examined) = signed(evm.payer(), &*collector).await;
    let refusal = collector.verify(&examined).await.unwrap_err();
    assert!(!refusal.is_ours, "{refusal}");
    refusal.reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_there_is_refused() {
    let nowhere = address!("00000000000000000000000000000000deadbeef");
    let evm = with_token_at(nowhere).await;
    assert_eq!(refused(&evm).await, Reason::AssetNotContract);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_is_no_eip_3009_token_is_refused() {
    let evm = with_token_at(MULTICALL3_ADDRESS).await;
    assert_eq!(refused(&evm).await, Reason::Eip3009NotSupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_examination_asks_the_chain_nothing() {
    let evm = Evm::start().await;
    let before = evm.net.faults().total_calls();
    signed(evm.payer(), &*evm.collector()).await;
    assert_eq!(evm.net.faults().total_calls(), before);
}
