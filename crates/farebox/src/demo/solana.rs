//! The local Solana network of `farebox devnet` and `farebox demo --all-rails`, and what of the files of a seller and a buyer
//! is its own.
//!
//! Everything that is told and written here is for this network alone: the keys are public knowledge.

use farebox_devnet_svm::{Account, DevnetSvm, DevnetSvmOptions};
use serde::Serialize;
#[cfg(feature = "all-rails")]
use serde_json::{Value, json};

use super::files::Part;
use crate::failure::Failure;
use crate::output;

/// Account that pays fees.
const FEE_ACCOUNT: usize = 0;
/// Account that buys.
const BUYER_ACCOUNT: usize = 1;
/// Account that is paid.
const PAYEE_ACCOUNT: usize = 9;

/// The running network.
pub(crate) struct Net {
    devnet: DevnetSvm,
}

/// The part of `farebox devnet --json` that is Solana's.
#[derive(Serialize)]
pub(crate) struct Ready {
    solana: ReadySolana,
}

#[derive(Serialize)]
struct ReadySolana {
    rpc: String,
    network: &'static str,
    usdc: String,
    accounts: Vec<ReadyAccount>,
}

#[derive(Serialize)]
struct ReadyAccount {
    address: String,
    key: String,
}

impl Net {
    /// Starts the network on a port of 127.0.0.1; 0 takes a free one. A transaction is executed and final when it is
    /// sent, as the other local chain does it.
    ///
    /// # Errors
    /// Exit 2 where the port is taken.
    pub(crate) fn start(port: u16) -> Result<Self, Failure> {
        let devnet = DevnetSvm::start(DevnetSvmOptions {
            port,
            ..DevnetSvmOptions::quick()
        })
        .map_err(|error| Failure::config("devnet_failed", error.to_string()))?;
        Ok(Self { devnet })
    }

    /// Stops the network and waits until its port is free.
    pub(crate) async fn stop(self) {
        self.devnet.shutdown().await;
    }

    /// CAIP-2 name of the network.
    #[cfg(feature = "all-rails")]
    pub(crate) fn network(&self) -> &'static str {
        self.devnet.network()
    }

    /// Where it answers.
    #[cfg(feature = "all-rails")]
    pub(crate) fn rpc_url(&self) -> String {
        self.devnet.rpc_url()
    }

    /// What buyer and payee have of the token now, in atomic units.
    ///
    /// # Errors
    /// Exit 1 where there are no such accounts.
    #[cfg(feature = "all-rails")]
    pub(crate) fn balances(&self) -> Result<[u64; 2], Failure> {
        let of = |number| {
            let account = self.account(number);
            let account = account.ok_or_else(|| {
                Failure::internal("devnet_failed", "the network lacks an account")
            })?;
            Ok::<_, Failure>(
                self.devnet
                    .token_balance(account.address, self.devnet.usdc()),
            )
        };
        Ok([of(BUYER_ACCOUNT)?, of(PAYEE_ACCOUNT)?])
    }

    /// What the network says of a transaction, asked as anybody would; `null` where it knows none.
    ///
    /// # Errors
    /// Exit 1 where it does not answer.
    #[cfg(feature = "all-rails")]
    pub(crate) async fn transaction(
        &self,
        http: &reqwest::Client,
        signature: &str,
    ) -> Result<Value, Failure> {
        let how = json!({"encoding": "base64", "maxSupportedTransactionVersion": 0});
        let params = json!([signature, how]);
        super::net::ask(http, &self.rpc_url(), "getTransaction", &params).await
    }

    /// The line of `--json` (docs/command-line.md).
    pub(crate) fn as_json(&self) -> Ready {
        let accounts = self.devnet.accounts().iter().map(|account| ReadyAccount {
            address: account.address.to_string(),
            key: account.key_base58(),
        });
        Ready {
            solana: ReadySolana {
                rpc: self.devnet.rpc_url(),
                network: self.devnet.network(),
                usdc: self.devnet.usdc().to_string(),
                accounts: accounts.collect(),
            },
        }
    }

    /// The same for people.
    pub(crate) fn as_text(&self) -> String {
        let accounts = self.devnet.accounts().iter().enumerate();
        let rows = accounts.map(|(number, account)| {
            let use_of = match number {
                FEE_ACCOUNT => "fees",
                PAYEE_ACCOUNT => "payee",
                _ => "buyer",
            };
            vec![
                number.to_string(),
                use_of.to_owned(),
                account.address.to_string(),
                account.key_base58(),
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        format!(
            "Solana {rpc}  network {network}\nUSDC   {usdc}  (6 decimals; 100 SOL per account, 1,000,000 USDC per buyer)\n\n\
             {accounts}",
            rpc = self.devnet.rpc_url(),
            network = self.devnet.network(),
            usdc = self.devnet.usdc(),
            accounts = output::table(&["#", "use", "address", "key (public, test only)"], &rows),
        )
    }

    /// What of the files of a seller and a buyer is of this network: account 9 is paid, 0 pays fees, 1 buys.
    pub(crate) fn part(&self) -> Part {
        let network = format!(
            "[network.\"{}\"]\nrpc = [\"{}\"]\n",
            self.devnet.network(),
            self.devnet.rpc_url()
        );
        let key = |number| {
            let key = self.account(number).map(Account::key_base58);
            format!("{}\n", key.unwrap_or_default()).into_bytes()
        };
        let payee = self.account(PAYEE_ACCOUNT);
        Part {
            seller: network.clone(),
            buyer: network,
            pay_to: payee.map(|payee| format!("solana = \"{}\"", payee.address)),
            signer: Some("solana = \"file:solana-fees.key\"".to_owned()),
            wallet: Some("solana_key = \"file:solana-buyer.key\"".to_owned()),
            secrets: vec![
                ("solana-fees.key".to_owned(), key(FEE_ACCOUNT)),
                ("solana-buyer.key".to_owned(), key(BUYER_ACCOUNT)),
            ],
        }
    }

    fn account(&self, number: usize) -> Option<&Account> {
        self.devnet.accounts().get(number)
    }
}
