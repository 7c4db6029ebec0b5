//! The token: EIP-3009 in both overloads, what it refuses and in which words, EIP-2612, ERC-1271, Multicall3.

use alloy_primitives::{Address, U256, address};
use farebox_devnet_evm::{Account, Devnet, DevnetOptions};
use serde_json::Value;

use crate::client::*;

const PAYEE: Address = address!("00000000000000000000000000000000000Fa1Ed");

struct Setup {
    devnet: Devnet,
    client: Client,
    gas: Account,
    payer: Account,
}

fn setup() -> Setup {
    let devnet = Devnet::start(DevnetOptions::quiet()).expect("the devnet starts");
    let client = Client::new(&devnet);
    let (gas, payer) = (devnet.accounts()[0], devnet.accounts()[1]);
    Setup {
        devnet,
        client,
        gas,
        payer,
    }
}

impl Setup {
    fn sign(&self, authorization: &TransferWithAuthorization) -> alloy_primitives::Signature {
        sign_typed(&self.payer, &self.client.domain("USDC", "2"), authorization)
    }

    async fn settle(&self, data: Vec<u8>) -> Value {
        self.client
            .transact(&self.gas, self.client.token, data)
            .await
    }
}

#[tokio::test]
async fn an_authorization_moves_money_in_both_overloads() {
    let setup = setup();
    let (first, second) = (
        authorization(&setup.payer, PAYEE, 1),
        authorization(&setup.payer, PAYEE, 2),
    );
    let receipt = setup
        .settle(settle_bytes(&first, &setup.sign(&first)))
        .await;
    assert!(succeeded(&receipt), "{receipt}");
    let receipt = setup
        .settle(settle_vrs(&second, &setup.sign(&second)))
        .await;
    assert!(succeeded(&receipt), "{receipt}");
    assert_eq!(setup.client.balance(PAYEE).await, U256::from(2000));
    assert_eq!(setup.devnet.token_balance(PAYEE), U256::from(2000));
    assert_eq!(
        setup.client.balance(setup.payer.address).await,
        U256::from(1_000_000_000_000_u64 - 2000)
    );
}
