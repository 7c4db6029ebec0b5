//! Solana for the rows about it: `farebox devnet --only solana` as a process of its own, and payments on it, written and
//! signed here. Independent of the product's own writing, so that an error there is not made twice.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_keypair::Keypair;
use solana_signature::Signature;
use solana_signer::Signer as _;

use crate::process::Process;
use crate::rpc::{self, Rpc};
use crate::stage::VALUE;
use crate::{Fallible, product};

/// Accounts of the devnet: who pays fees, who buy, who is paid.
const FEES: usize = 0;
const BUYERS: std::ops::RangeInclusive<usize> = 1..=8;
const PAYEE: usize = 9;
const COMPUTE_BUDGET: &str = "ComputeBudget111111111111111111111111111111";
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
/// What buyers' software asks for: compute units, and millionths of a lamport for each.
const UNITS: u32 = 20_000;
const PRICE: u64 = 1;
/// Decimals of USDC.
const DECIMALS: u8 = 6;
/// How long an offer is good, which no row waits for.
const MAX_TIMEOUT_S: u64 = 3600;

type Address = [u8; 32];

/// A running chain, and who is on it.
pub(crate) struct Chain {
    _process: Process,
    pub(crate) address: SocketAddr,
    rpc: Rpc,
    network: String,
    mint: Address,
    keys: Vec<Keypair>,
    /// Where each account has its tokens.
    purses: Vec<Address>,
    /// No two payments say the same.
    count: u64,
}

/// A payment as its buyer signs it.
pub(crate) struct Payment {
    payer: Address,
    message: Vec<u8>,
    signature: Signature,
}

impl Chain {
    /// Starts it: a transaction is carried out, and final, when it is sent.
    pub(crate) fn start(binary: &Path, folder: &Path) -> Fallible<Self> {
        let mut command = Command::new(binary);
        command.args(["devnet", "--only", "solana", "--solana-port", "0", "--json"]);
        let (process, line) = Process::start("devnet", &mut command, &folder.join("devnet.log"))?;
        let ready: Value = serde_json::from_str(&line)?;
        let net = &ready["solana"];
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("no text");
        let address = product::address_of(&text(&net["rpc"])?)?;
        let keys = net["accounts"].as_array().ok_or("no accounts")?;
        let keys = keys
            .iter()
            .map(|account| {
                Ok(Keypair::try_from(
                    bytes(&text(&account["key"])?)?.as_slice(),
                )?)
            })
            .collect::<Fallible<Vec<_>>>()?;
        let mut chain = Self {
            _process: process,
            address,
            rpc: Rpc::connect(address)?,
            network: text(&net["network"])?,
            mint: named(&text(&net["usdc"])?)?,
            keys,
            purses: Vec::new(),
            count: 0,
        };
        for account in 0..=PAYEE {
            let purse = match account {
                FEES => [0; 32],
                account => chain.find_purse(account)?,
            };
            chain.purses.push(purse);
        }
        Ok(chain)
    }

    fn find_purse(&mut self, account: usize) -> Fallible<Address> {
        let mint = bs58::encode(self.mint).into_string();
        let params = json!([self.name(account)?, {"mint": mint}, {"encoding": "jsonParsed"}]);
        let found = self.rpc.call("getTokenAccountsByOwner", params)?;
        let purse = found["value"][0]["pubkey"].as_str();
        named(purse.ok_or("an account has no tokens")?)
    }

    fn key(&self, account: usize) -> Fallible<&Keypair> {
        let key = self.keys.get(account);
        key.ok_or_else(|| "the devnet has too few accounts".into())
    }

    /// The address of an account.
    fn name(&self, account: usize) -> Fallible<String> {
        Ok(self.key(account)?.pubkey().to_string())
    }

    /// Configuration of a facilitator, with `fees.key` beside it.
    pub(crate) fn configuration(&self) -> Fallible<String> {
        Ok(format!(
            "[network.\"{}\"]\nrpc = [\"http://{}\"]\n\n[pay_to]\nsolana = \"{}\"\n\n\
             [facilitator]\nurls = [\"local\"]\nsigner = {{ solana = \"file:fees.key\" }}\n",
            self.network,
            self.address,
            self.name(PAYEE)?
        ))
    }

    /// The secret of who pays the fees.
    pub(crate) fn fees_key(&self) -> Fallible<String> {
        Ok(self.key(FEES)?.to_base58_string())
    }

    /// The offer that is paid.
    pub(crate) fn offer(&self) -> Fallible<Value> {
        Ok(json!({
            "scheme": "exact",
            "network": self.network,
            "amount": VALUE.to_string(),
            "asset": bs58::encode(self.mint).into_string(),
            "payTo": self.name(PAYEE)?,
            "maxTimeoutSeconds": MAX_TIMEOUT_S,
            "extra": {"feePayer": self.name(FEES)?},
        }))
    }

    /// What the payee has, in atomic units.
    pub(crate) fn income(&mut self) -> Fallible<u128> {
        let purse = bs58::encode(self.purses[PAYEE]).into_string();
        let answer = self.rpc.call("getTokenAccountBalance", json!([purse]))?;
        let amount = answer["value"]["amount"].as_str();
        Ok(amount.ok_or("the payee has no account")?.parse()?)
    }

    /// So many payments by all buyers in turn. They live for a minute: the newest block is named.
    pub(crate) fn sign(&mut self, count: usize) -> Fallible<Vec<Payment>> {
        let config = json!([{"commitment": "confirmed"}]);
        let newest = self.rpc.call("getLatestBlockhash", config)?;
        let newest = newest["value"]["blockhash"].as_str();
        let newest = named(newest.ok_or("the node names no block")?)?;
        let buyers = BUYERS.cycle().take(count);
        buyers.map(|buyer| self.pay(buyer, &newest)).collect()
    }

    fn pay(&mut self, buyer: usize, blockhash: &Address) -> Fallible<Payment> {
        self.count += 1;
        let memo = format!("{:032x}", self.count);
        let payer = self.key(buyer)?;
        let accounts = [
            self.key(FEES)?.pubkey().to_bytes(),
            payer.pubkey().to_bytes(),
            self.purses[buyer],
            self.purses[PAYEE],
            self.mint,
            named(COMPUTE_BUDGET)?,
            named(TOKEN)?,
            named(MEMO)?,
        ];
        let message = message(&accounts, blockhash, &memo);
        Ok(Payment {
            payer: payer.pubkey().to_bytes(),
            signature: payer.sign_message(&message),
            message,
        })
    }

    /// The call that hands a payment to the node, signed by who pays the fee: what nobody who settles can do without.
    pub(crate) fn send(&self, payment: &Payment) -> Fallible<Vec<u8>> {
        let signature = self.key(FEES)?.sign_message(&payment.message);
        let params =
            json!([payment.transaction(signature), {"encoding": "base64", "skipPreflight": true}]);
        let call =
            json!({"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": params});
        Ok(rpc::written(&call))
    }
}

impl Payment {
    /// Whether the payer has signed it: the work that every verification must do, with the library that the product uses.
    pub(crate) fn is_good(&self) -> bool {
        self.signature.verify(&self.payer, &self.message)
    }

    /// The body of `/verify` and `/settle`.
    pub(crate) fn body(&self, offer: &Value) -> String {
        let payload = json!({"transaction": self.transaction(Signature::default())});
        json!({
            "x402Version": 2,
            "paymentPayload": {
                "x402Version": 2,
                "resource": {"url": "http://localhost/priced"},
                "accepted": offer,
                "payload": payload,
            },
            "paymentRequirements": offer,
        })
        .to_string()
    }

    /// Its transaction in base64, with this signature of who pays the fee.
    fn transaction(&self, fees: Signature) -> String {
        let signatures = [fees.as_ref(), self.signature.as_ref()].concat();
        BASE64_STANDARD.encode([&[2], &signatures[..], &self.message].concat())
    }
}

/// A message of version 0: compute limit and price, a transfer between the third and the fourth account, a memo.
fn message(accounts: &[Address; 8], blockhash: &Address, memo: &str) -> Vec<u8> {
    // Version; two signatures, one of an account that is only read; four more accounts that are only read.
    let mut bytes = vec![0x80, 2, 1, 4];
    bytes.push(8);
    bytes.extend(accounts.concat());
    bytes.extend(blockhash);
    let limit = [&[2][..], &UNITS.to_le_bytes()].concat();
    let price = [&[3][..], &PRICE.to_le_bytes()].concat();
    let transfer = [&[12][..], &VALUE.to_le_bytes(), &[DECIMALS]].concat();
    bytes.push(4);
    for (program, accounts, data) in [
        (5, &[][..], &limit[..]),
        (5, &[], &price),
        // From, mint, to, by whom.
        (6, &[2, 4, 3, 1], &transfer),
        (7, &[], memo.as_bytes()),
    ] {
        bytes.push(program);
        for part in [accounts, data] {
            // All of them are shorter than 128 bytes, which one byte says.
            bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            bytes.extend(part);
        }
    }
    // No accounts from tables.
    bytes.push(0);
    bytes
}

fn bytes(base58: &str) -> Fallible<Vec<u8>> {
    Ok(bs58::decode(base58).into_vec()?)
}

fn named(base58: &str) -> Fallible<Address> {
    let address = Address::try_from(bytes(base58)?);
    address.map_err(|_| format!("{base58} is no address").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_reads_our_transaction_and_it_is_good_until_it_is_changed() {
        let payer = Keypair::new_from_array([1; 32]);
        let mut accounts = [[0; 32]; 8];
        for (number, account) in (0..).zip(&mut accounts) {
            *account = [number; 32];
        }
        accounts[1] = payer.pubkey().to_bytes();
        let message = message(&accounts, &[9; 32], "a memo");
        let mut payment = Payment {
            payer: accounts[1],
            signature: payer.sign_message(&message),
            message,
        };
        assert!(payment.is_good());
        let body: Value = serde_json::from_str(&payment.body(&json!({}))).expect("JSON");
        let payload = &body["paymentPayload"]["payload"];
        let read: farebox_wire::x402::exact_svm::ExactSvmPayload =
            farebox_wire::x402::header::from_value(payload).expect("readable");
        assert!(read.transaction.bytes().ends_with(&payment.message));
        payment.message.pop();
        assert!(!payment.is_good());
    }
}
