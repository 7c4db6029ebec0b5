//! Solana, as the rules' tests need it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use farebox_core::clock::SystemClock;
use farebox_core::rail::PayRail;
use farebox_devnet_svm::{ANY_METHOD, DevnetSvm, DevnetSvmOptions, Fault};
use farebox_rail_solana::{Network, SolanaKey, SolanaPayer};
use farebox_wire::identity::Identity;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{BUYER, FEES, FINAL_BLOCKS, Net, Pace, Trouble, rpc};

/// Signatures in one list, and transactions in one request.
const LISTED: usize = 1000;
const READ: usize = 100;
/// Bytes of a signature, and where those of a transaction begin: after how many there are.
const SIGNATURE: usize = 64;
const SIGNATURES: usize = 1;
/// Longer than our collector holds a clock to be wrong (`CLOCK_SKEW_S`), so that a block after it is surely later than
/// every payment before it.
const LONGER: Duration = Duration::from_secs(300);

/// A chain.
pub(crate) struct Solana {
    pub(crate) chain: DevnetSvm,
}

impl Solana {
    /// A transaction names a recent block, so whoever signs one asks the chain.
    fn payer_with(&self, key: SolanaKey) -> Arc<dyn PayRail> {
        let mut network = Network::new(self.network().parse().expect("a name"));
        network.rpc = vec![self.rpc_url()];
        let payer = SolanaPayer::new(vec![network], Arc::new(key), Arc::new(SystemClock));
        Arc::new(payer.expect("a payer"))
    }

    /// The key of one of the many who pay.
    fn key_of(number: u16) -> SolanaKey {
        let mut seed = [0x51; 32];
        seed[30..].copy_from_slice(&number.to_be_bytes());
        SolanaKey::from_seed(&seed)
    }

    /// The names of all transactions whose fee one of the devnet's fee payers has paid, with whether they failed; newest
    /// first.
    async fn listed(&self, http: &reqwest::Client) -> Vec<(String, bool)> {
        let mut all: Vec<(String, bool)> = Vec::new();
        loop {
            let config = match all.last() {
                Some((before, _)) => json!({"limit": LISTED, "before": before}),
                None => json!({"limit": LISTED}),
            };
            let call = json!({
                "jsonrpc": "2.0", "id": 1, "method": "getSignaturesForAddress",
                "params": [self.address(FEES), config],
            });
            let answer = rpc(http, &self.rpc_url(), &call).await;
            let page = answer["result"].as_array().expect("a list");
            all.extend(page.iter().map(|row| {
                let name = row["signature"].as_str().expect("a name");
                (name.to_owned(), !row["err"].is_null())
            }));
            if page.len() < LISTED {
                return all;
            }
        }
    }
}

impl Net for Solana {
    const RAIL: &'static str = "solana";
    const SEND: &'static str = "sendTransaction";

    fn start(pace: Pace) -> Self {
        let options = match pace {
            Pace::AtOnce => DevnetSvmOptions::quick(),
            Pace::Blocks(every) => DevnetSvmOptions {
                slot_time: Some(every),
                final_depth: FINAL_BLOCKS,
                ..DevnetSvmOptions::default()
            },
        };
        Self {
            chain: DevnetSvm::start(options).expect("a chain"),
        }
    }

    fn network(&self) -> String {
        self.chain.network().to_owned()
    }

    fn network_v1(&self) -> &'static str {
        "solana-devnet"
    }

    fn rpc_url(&self) -> String {
        self.chain.rpc_url()
    }

    fn table(&self) -> String {
        format!(
            "[network.\"{}\"]\nrpc = [\"{}\"]\n",
            self.network(),
            self.rpc_url()
        )
    }

    fn key(&self, account: usize) -> String {
        self.chain.accounts()[account].key_base58()
    }

    fn address(&self, account: usize) -> String {
        self.chain.accounts()[account].address.to_string()
    }

    fn token(&self) -> String {
        self.chain.usdc().to_string()
    }

    /// Who pays the fee, because the payer signs for that.
    fn extra(&self) -> Value {
        json!({"feePayer": self.address(FEES)})
    }

    fn balance(&self, account: usize) -> u128 {
        let owner = self.chain.accounts()[account].address;
        self.chain.token_balance(owner, self.chain.usdc()).into()
    }

    fn payer(&self, number: u16) -> Arc<dyn PayRail> {
        self.payer_with(Self::key_of(number))
    }

    fn fund(&self, accounts: &[(u16, u64)]) {
        for (number, atomic) in accounts {
            let owner = Self::key_of(*number).address().0.into();
            let minted = self.chain.mint(owner, self.chain.usdc(), *atomic);
            minted.expect("the token mints");
        }
    }

    fn buyer(&self) -> Arc<dyn PayRail> {
        self.payer_with(SolanaKey::parse(&self.key(BUYER)).expect("a key"))
    }

    fn trouble(&self, method: Option<&str>, trouble: Trouble, times: u32) {
        let fault = match trouble {
            Trouble::LoseReply => Fault::LoseReply,
            Trouble::Disconnect => Fault::Disconnect,
            Trouble::Delay(time) => Fault::Delay(time),
            Trouble::Unavailable => Fault::HttpStatus(503),
            Trouble::Garbage => Fault::Garbage,
            Trouble::Refuse => Fault::Refuse {
                code: -32005,
                message: "Node is unhealthy".to_owned(),
            },
        };
        let method = method.unwrap_or(ANY_METHOD);
        self.chain.faults().set_times(method, fault, times);
    }

    fn swallow(&self) {
        self.chain.faults().set(Self::SEND, Fault::Drop);
    }

    fn clear(&self) {
        self.chain.faults().clear();
        self.chain.release_blocks();
    }

    fn hold(&self) {
        self.chain.hold_blocks();
    }

    fn release(&self) {
        self.chain.release_blocks();
    }

    /// A transaction can be carried out for as long as its block can be named, whatever a clock says; the clock only tells
    /// that the chain is later than the payment.
    fn outlive(&self) {
        self.chain.increase_time(LONGER);
        self.chain.expire_blockhashes();
    }

    /// Every transaction of our fee payer that did not fail, by its message: it pays for nothing but payments.
    async fn carried_out(&self, http: &reqwest::Client) -> HashMap<String, String> {
        let network = self.network().parse().expect("a name");
        let listed = self.listed(http).await;
        let done: Vec<&String> = listed
            .iter()
            .filter(|(_, has_failed)| !has_failed)
            .map(|(name, _)| name)
            .collect();
        let mut messages = HashMap::new();
        for names in done.chunks(READ) {
            let config = json!({"encoding": "base64", "maxSupportedTransactionVersion": 0});
            let calls = names.iter().enumerate().map(|(id, name)| {
                json!({"jsonrpc": "2.0", "id": id, "method": "getTransaction", "params": [name, config]})
            });
            let answers = rpc(http, &self.rpc_url(), &calls.collect()).await;
            for answer in answers.as_array().expect("answers") {
                let id = usize::try_from(answer["id"].as_u64().expect("a number"));
                let name = names[id.expect("a small number")].clone();
                let text = answer["result"]["transaction"][0].as_str();
                let bytes = BASE64_STANDARD.decode(text.expect("bytes")).expect("bytes");
                let message = &bytes[SIGNATURES + SIGNATURE * usize::from(bytes[0])..];
                let named = digest(&SHA256, message);
                let named = named.as_ref().try_into().expect("32 bytes");
                let identity = Identity::svm(&network, named).as_str().to_owned();
                let twice = messages.insert(identity, name);
                assert_eq!(twice, None, "the chain runs a message once");
            }
        }
        messages
    }
}
