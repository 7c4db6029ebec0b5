//! What the tests of the token start from.

use alloy_primitives::{Address, B256, Signature, TxKind, address};
use alloy_sol_types::{SolStruct, SolValue as _};
use farebox_devnet_evm::{Account, Devnet};
use serde_json::{Value, json};

use crate::client::*;

pub(crate) const PAYEE: Address = address!("00000000000000000000000000000000000Fa1Ed");
/// What each account starts with, in atomic units.
pub(crate) const FUNDED: u64 = 1_000_000_000_000;
const SMART_WALLET: &str = include_str!("../../../../contracts/artifacts/SmartWallet.creation.hex");

/// A quiet devnet, who pays the gas and who pays.
pub(crate) struct Setup {
    pub(crate) devnet: Devnet,
    pub(crate) client: Client,
    pub(crate) gas: Account,
    pub(crate) payer: Account,
}

pub(crate) fn setup() -> Setup {
    let (devnet, client) = quiet();
    let (gas, payer) = (devnet.accounts()[0], devnet.accounts()[1]);
    Setup {
        devnet,
        client,
        gas,
        payer,
    }
}

impl Setup {
    /// The payer's signature for the token's domain.
    pub(crate) fn sign(&self, message: &impl SolStruct) -> Signature {
        sign_typed(&self.payer, &self.client.domain("USDC", "2"), message)
    }

    /// Calls the token from the gas account.
    pub(crate) async fn send(&self, data: Vec<u8>) -> Value {
        self.client
            .transact(&self.gas, self.client.token, data)
            .await
    }

    /// The words with which the token refuses a call, both when simulated and when sent.
    pub(crate) async fn refusal(&self, data: Vec<u8>) -> String {
        let refused = self
            .client
            .simulate(self.gas.address, data.clone())
            .await
            .expect_err("the token refuses");
        assert_eq!(refused.code, 3);
        assert!(
            refused
                .data
                .as_str()
                .is_some_and(|data| data.starts_with("0x08c379a0")),
            "{refused:?}"
        );
        let receipt = self.send(data).await;
        assert!(!succeeded(&receipt), "{receipt}");
        assert_eq!(receipt["logs"], json!([]));
        refused
            .message
            .strip_prefix("execution reverted: ")
            .expect("a reason in words")
            .to_owned()
    }

    /// Whether the payer's nonce is used up.
    pub(crate) async fn used(&self, nonce: B256) -> bool {
        let call = Usd::authorizationStateCall {
            authorizer: self.payer.address,
            nonce,
        };
        self.client.read(self.client.token, call).await
    }

    /// Deploys a wallet that accepts what `owner` signs, or its own key if that is zero.
    pub(crate) async fn deploy_smart_wallet(&self, owner: Address) -> Address {
        let mut code = hex::decode(SMART_WALLET.trim()).expect("the artifact is hex");
        code.extend(owner.abi_encode());
        let nonce = self.client.nonce(self.gas.address).await;
        let create = alloy_consensus::TxEip1559 {
            to: TxKind::Create,
            gas_limit: 1_000_000,
            ..self.client.eip1559(nonce, Address::ZERO, code)
        };
        let hash = self
            .client
            .send_raw(&sign_transaction(&self.gas, create))
            .await
            .expect("the contract is taken");
        serde_json::from_value(self.client.receipt(hash).await["contractAddress"].clone())
            .expect("a contract address")
    }
}
