//! The local EVM network of `farebox devnet` and `farebox demo`, and what of the files of a seller and a
//! buyer is its own.
//!
//! Everything that is written here is for this network alone: the keys are public knowledge.

use std::time::Duration;

use farebox_devnet_evm::{Account, Devnet, DevnetOptions};
use serde::Serialize;
use serde_json::{Value, json};

use super::files::Part;
use crate::failure::Failure;
use crate::output;

/// Account that pays for gas.
const GAS_ACCOUNT: usize = 0;
/// Account that buys.
const BUYER_ACCOUNT: usize = 1;
/// Account that is paid.
const PAYEE_ACCOUNT: usize = 9;

/// How the network is started.
pub(crate) struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub(crate) port: u16,
    /// A block each so often; `None` is a block per transaction.
    pub(crate) block_time: Option<Duration>,
    /// Gas that one block may hold.
    pub(crate) gas_limit: Option<u64>,
}

/// The running network.
pub(crate) struct Net {
    devnet: Devnet,
}

/// The line that `farebox devnet --json` prints.
#[derive(Serialize)]
pub(crate) struct Ready {
    evm: ReadyEvm,
}

#[derive(Serialize)]
struct ReadyEvm {
    rpc: String,
    chain_id: u64,
    network: String,
    usdc: String,
    accounts: Vec<ReadyAccount>,
}

#[derive(Serialize)]
struct ReadyAccount {
    address: String,
    key: String,
}

impl Net {
    /// Starts the chain.
    ///
    /// # Errors
    /// Exit 2 where the port is taken.
    pub(crate) fn start(options: Options) -> Result<Self, Failure> {
        let defaults = DevnetOptions::default();
        let devnet = Devnet::start(DevnetOptions {
            port: options.port,
            block_time: options.block_time,
            gas_limit: options.gas_limit.unwrap_or(defaults.gas_limit),
            ..defaults
        })
        .map_err(|error| Failure::config("devnet_failed", error.to_string()))?;
        Ok(Self { devnet })
    }

    /// Stops the chain and waits until its port is free.
    pub(crate) async fn stop(self) {
        self.devnet.shutdown().await;
    }

    /// CAIP-2 name of the chain.
    pub(crate) fn network(&self) -> String {
        format!("eip155:{}", self.devnet.chain_id())
    }

    /// Who is paid.
    fn payee(&self) -> String {
        self.account(PAYEE_ACCOUNT)
            .map(Account::address_hex)
            .unwrap_or_default()
    }

    /// Where the chain answers.
    pub(crate) fn rpc_url(&self) -> String {
        self.devnet.rpc_url()
    }

    /// What the payee has of the token now, in atomic units.
    ///
    /// # Errors
    /// Exit 1 where the token does not tell.
    pub(crate) fn payee_balance(&self) -> Result<u128, Failure> {
        let failed = || {
            Failure::internal(
                "devnet_failed",
                "the token does not tell the payee's balance",
            )
        };
        let payee = self.account(PAYEE_ACCOUNT).ok_or_else(failed)?;
        let balance = self
            .devnet
            .token_balance(payee.address)
            .map_err(|_| failed())?;
        u128::try_from(balance).map_err(|_| failed())
    }

    /// What the chain says of a transaction, asked as anybody would; `null` where it knows none.
    ///
    /// # Errors
    /// Exit 1 where it does not answer.
    pub(crate) async fn receipt(
        &self,
        http: &reqwest::Client,
        transaction: &str,
    ) -> Result<Value, Failure> {
        let params = json!([transaction]);
        ask(http, &self.rpc_url(), "eth_getTransactionReceipt", &params).await
    }

    /// The line of `--json` (docs/command-line.md).
    pub(crate) fn as_json(&self) -> Ready {
        let accounts = self.devnet.accounts().iter().map(|account| ReadyAccount {
            address: account.address_hex(),
            key: account.key_hex(),
        });
        Ready {
            evm: ReadyEvm {
                rpc: self.devnet.rpc_url(),
                chain_id: self.devnet.chain_id(),
                network: self.network(),
                usdc: self.devnet.usdc().to_checksum(None),
                accounts: accounts.collect(),
            },
        }
    }

    /// The same for people.
    pub(crate) fn as_text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .devnet
            .accounts()
            .iter()
            .enumerate()
            .map(|(number, account)| {
                let use_of = match number {
                    GAS_ACCOUNT => "gas",
                    PAYEE_ACCOUNT => "payee",
                    _ => "buyer",
                };
                vec![
                    number.to_string(),
                    use_of.to_owned(),
                    account.address_hex(),
                    account.key_hex(),
                ]
            })
            .collect();
        format!(
            "EVM    {rpc}  network {network}\nUSDC   {usdc}  (6 decimals; 10,000 ETH and 1,000,000 USDC per account)\n\n\
             {accounts}",
            rpc = self.devnet.rpc_url(),
            network = self.network(),
            usdc = self.devnet.usdc().to_checksum(None),
            accounts = output::table(&["#", "use", "address", "key (public, test only)"], &rows),
        )
    }

    /// What of the files of a seller and a buyer is of this network: account 9 is paid, 0 pays gas, 1 buys.
    pub(crate) fn part(&self) -> Part {
        let network = self.network_toml();
        let key = |number| {
            let key = self.account(number).map(Account::key_hex);
            format!("{}\n", key.unwrap_or_default()).into_bytes()
        };
        Part {
            seller: network.clone(),
            buyer: network,
            pay_to: Some(format!("evm = \"{}\"", self.payee())),
            signer: Some("evm = \"file:gas.key\"".to_owned()),
            wallet: Some("evm_key = \"file:buyer.key\"".to_owned()),
            secrets: vec![
                ("gas.key".to_owned(), key(GAS_ACCOUNT)),
                ("buyer.key".to_owned(), key(BUYER_ACCOUNT)),
            ],
        }
    }

    fn network_toml(&self) -> String {
        format!(
            "[network.\"{}\"]\nrpc = [\"{}\"]\nconfirmations = 1\nfinal = 0\n",
            self.network(),
            self.devnet.rpc_url()
        )
    }

    fn account(&self, number: usize) -> Option<&Account> {
        self.devnet.accounts().get(number)
    }
}

/// What a chain's JSON-RPC says, asked as anybody would; `null` where it says nothing.
///
/// # Errors
/// Exit 1 where it does not answer.
pub(super) async fn ask(
    http: &reqwest::Client,
    url: &str,
    method: &str,
    params: &Value,
) -> Result<Value, Failure> {
    let failed = |why: String| {
        Failure::internal("devnet_failed", format!("the chain did not answer: {why}"))
    };
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let request = http
        .post(url)
        .header("content-type", "application/json")
        .body(call.to_string());
    let answer = request
        .send()
        .await
        .map_err(|why| failed(why.to_string()))?;
    let body = answer
        .bytes()
        .await
        .map_err(|why| failed(why.to_string()))?;
    let mut answer: Value = serde_json::from_slice(&body).map_err(|why| failed(why.to_string()))?;
    Ok(answer["result"].take())
}
