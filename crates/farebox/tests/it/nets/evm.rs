//! An EVM chain, as the rules' tests need it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, U256};
use farebox_core::clock::SystemClock;
use farebox_core::rail::PayRail;
use farebox_devnet_evm::{ANY_METHOD, Devnet, DevnetOptions, Fault};
use farebox_rail_evm::{EvmKey, EvmPayer, Network};
use serde_json::{Value, json};

use super::{BUYER, FINAL_BLOCKS, Net, Pace, Trouble, rpc};

/// `AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)` of EIP-3009.
const AUTHORIZATION_USED: &str =
    "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5";
/// Blocks of one question about logs.
const STEP: u64 = 50;
/// Longer than any credential of these tests lives.
const LONGER: Duration = Duration::from_secs(300);

/// A chain, and how deep its blocks are final.
pub(crate) struct Evm {
    pub(crate) chain: Devnet,
    final_blocks: u64,
}

impl Evm {
    fn payer_with(&self, key: EvmKey) -> Arc<dyn PayRail> {
        let networks = vec![Network::new(self.chain.chain_id())];
        let payer = EvmPayer::new(networks, Arc::new(key), Arc::new(SystemClock));
        Arc::new(payer.expect("a payer"))
    }

    /// The key of one of the many who pay.
    fn key_of(number: u16) -> EvmKey {
        let mut secret = [0x51; 32];
        secret[30..].copy_from_slice(&number.to_be_bytes());
        EvmKey::from_bytes(&secret).expect("a key")
    }
}

impl Net for Evm {
    const RAIL: &'static str = "evm";
    const SEND: &'static str = "eth_sendRawTransaction";

    fn start(pace: Pace) -> Self {
        let (block_time, final_blocks) = match pace {
            Pace::AtOnce => (None, 0),
            Pace::Blocks(every) => (Some(every), FINAL_BLOCKS),
        };
        let options = DevnetOptions {
            block_time,
            ..DevnetOptions::default()
        };
        let chain = Devnet::start(options).expect("a chain");
        Self {
            chain,
            final_blocks,
        }
    }

    fn network(&self) -> String {
        format!("eip155:{}", self.chain.chain_id())
    }

    fn network_v1(&self) -> &'static str {
        "base-sepolia"
    }

    fn rpc_url(&self) -> String {
        self.chain.rpc_url()
    }

    fn table(&self) -> String {
        format!(
            "[network.\"{}\"]\nrpc = [\"{}\"]\nconfirmations = 1\nfinal = {}\n",
            self.network(),
            self.rpc_url(),
            self.final_blocks
        )
    }

    fn key(&self, account: usize) -> String {
        self.chain.accounts()[account].key_hex()
    }

    fn address(&self, account: usize) -> String {
        self.chain.accounts()[account].address_hex()
    }

    fn token(&self) -> String {
        self.chain.usdc().to_checksum(None)
    }

    /// The name and version that an authorization is signed for.
    fn extra(&self) -> Value {
        json!({"name": "USDC", "version": "2"})
    }

    fn balance(&self, account: usize) -> u128 {
        let address = self.chain.accounts()[account].address;
        let balance = self.chain.token_balance(address);
        u128::try_from(balance.expect("the token answers")).expect("a sum")
    }

    fn payer(&self, number: u16) -> Arc<dyn PayRail> {
        self.payer_with(Self::key_of(number))
    }

    fn fund(&self, accounts: &[(u16, u64)]) {
        for (number, atomic) in accounts {
            let address = Address::from(Self::key_of(*number).address().0);
            let minted = self.chain.mint(address, U256::from(*atomic));
            minted.expect("the token mints");
        }
        // It must not be reorganised away.
        for _ in 0..self.final_blocks {
            self.chain.mine();
        }
    }

    fn buyer(&self) -> Arc<dyn PayRail> {
        self.payer_with(EvmKey::from_hex(&self.key(BUYER)).expect("a key"))
    }

    fn trouble(&self, method: Option<&str>, trouble: Trouble, times: u32) {
        let fault = match trouble {
            Trouble::LoseReply => Fault::LoseReply,
            Trouble::Disconnect => Fault::Disconnect,
            Trouble::Delay(time) => Fault::Delay(time),
            Trouble::Unavailable => Fault::HttpStatus(503),
            Trouble::Garbage => Fault::Garbage,
            Trouble::Refuse => Fault::Refuse {
                code: -32000,
                message: "txpool is full".to_owned(),
            },
        };
        let method = method.unwrap_or(ANY_METHOD);
        self.chain.faults().set_times(method, fault, times);
    }

    /// Nodes keep what they took, so it waits here until it is worth nothing.
    fn swallow(&self) {
        self.chain.hold_mining();
    }

    fn clear(&self) {
        self.chain.faults().clear();
        self.chain.release_mining();
    }

    fn hold(&self) {
        self.chain.hold_mining();
    }

    fn release(&self) {
        self.chain.release_mining();
    }

    /// An authorization says until when it can be used.
    fn outlive(&self) {
        self.chain.increase_time(LONGER);
        for _ in 0..=self.final_blocks {
            self.chain.mine();
        }
    }

    /// Every `AuthorizationUsed` of the token. That of a block that was undone is not there.
    async fn carried_out(&self, http: &reqwest::Client) -> HashMap<String, String> {
        let (head, token) = (self.chain.block_number(), self.chain.usdc());
        let prefix = format!("eip3009:{}:{token:#x}", self.network());
        let mut used = HashMap::new();
        let mut from = 0;
        while from <= head {
            let to = head.min(from + STEP - 1);
            let filter = json!({
                "address": token, "topics": [AUTHORIZATION_USED],
                "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
            });
            let call =
                json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [filter]});
            let answer = rpc(http, &self.rpc_url(), &call).await;
            for log in answer["result"].as_array().expect("logs") {
                let text = |pointer: &str| {
                    let text = log.pointer(pointer).and_then(Value::as_str);
                    text.expect("a text").to_owned()
                };
                let payer = text("/topics/1").replace("0x000000000000000000000000", "0x");
                let identity = format!("{prefix}:{payer}:{}", text("/topics/2"));
                let twice = used.insert(identity, text("/transactionHash"));
                assert_eq!(twice, None, "the token takes an authorization once");
            }
            from = to + 1;
        }
        used
    }
}
