//! A small JSON-RPC client, and what a buyer and a facilitator do to a transaction.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use farebox_devnet_svm::{Account, DevnetSvm, DevnetSvmOptions, TokenProgram};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_hash::Hash;
use solana_instruction::Instruction;
use solana_message::{Message, VersionedMessage, v0};
use solana_signature::Signature;
use solana_signer::Signer as _;
use solana_transaction::versioned::VersionedTransaction;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

/// The program that writes memos.
pub(crate) const MEMO_PROGRAM: Address =
    Address::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");

/// A JSON-RPC error as the client got it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Value,
}

/// A client of one devnet.
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Full<axum::body::Bytes>>,
    url: String,
}

/// Everything final at once, and the beat of a real network.
pub(crate) fn quick() -> (DevnetSvm, Client) {
    start(DevnetSvmOptions::quick())
}

/// Moves only when told.
pub(crate) fn quiet() -> (DevnetSvm, Client) {
    start(DevnetSvmOptions::quiet())
}

pub(crate) fn start(options: DevnetSvmOptions) -> (DevnetSvm, Client) {
    let devnet = DevnetSvm::start(options).expect("the devnet starts");
    let client = Client::new(&devnet);
    (devnet, client)
}

impl Client {
    pub(crate) fn new(devnet: &DevnetSvm) -> Self {
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            url: devnet.rpc_url(),
        }
    }

    /// Status and body of a raw POST; an error if there was no readable reply.
    pub(crate) async fn post(
        &self,
        body: impl Into<axum::body::Bytes>,
    ) -> Result<(u16, Vec<u8>), Box<dyn std::error::Error + Send + Sync>> {
        let request = hyper::Request::post(&self.url)
            .header("content-type", "application/json")
            .body(Full::new(body.into()))?;
        let response = self.http.request(request).await?;
        let status = response.status().as_u16();
        Ok((
            status,
            response.into_body().collect().await?.to_bytes().to_vec(),
        ))
    }

    /// A raw POST of JSON and its JSON answer.
    pub(crate) async fn exchange(&self, body: &Value) -> Value {
        let (status, body) = self
            .post(body.to_string())
            .await
            .expect("the devnet answers");
        assert_eq!(status, 200);
        serde_json::from_slice(&body).expect("the reply is JSON")
    }

    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Result<Value, Refused> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut reply = self.exchange(&request).await;
        match reply.get("error") {
            None => Ok(reply["result"].take()),
            Some(error) => Err(Refused {
                code: error["code"].as_i64().expect("an error has a code"),
                message: error["message"]
                    .as_str()
                    .expect("an error has a message")
                    .to_owned(),
                data: error["data"].clone(),
            }),
        }
    }

    pub(crate) async fn ok(&self, method: &str, params: Value) -> Value {
        self.rpc(method, params)
            .await
            .unwrap_or_else(|refused| panic!("{method}: {refused:?}"))
    }

    /// The `value` of an answer with a context.
    pub(crate) async fn value(&self, method: &str, params: Value) -> Value {
        self.ok(method, params).await["value"].take()
    }

    pub(crate) async fn refused(&self, method: &str, params: Value) -> Refused {
        match self.rpc(method, params).await {
            Ok(answer) => panic!("{method} answered {answer}"),
            Err(refused) => refused,
        }
    }

    pub(crate) async fn blockhash(&self, commitment: &str) -> Hash {
        let value = self
            .value("getLatestBlockhash", json!([{"commitment": commitment}]))
            .await;
        let hash = value["blockhash"].as_str().expect("a blockhash is text");
        hash.parse().expect("a blockhash is a hash")
    }

    pub(crate) async fn send(&self, tx: &VersionedTransaction) -> Result<Value, Refused> {
        self.send_with(tx, json!({})).await
    }

    /// Sends with more configuration than the encoding.
    pub(crate) async fn send_with(
        &self,
        tx: &VersionedTransaction,
        mut config: Value,
    ) -> Result<Value, Refused> {
        config["encoding"] = json!("base64");
        self.rpc("sendTransaction", json!([base64(tx), config]))
            .await
    }

    pub(crate) async fn simulate(&self, tx: &VersionedTransaction, mut config: Value) -> Value {
        config["encoding"] = json!("base64");
        self.value("simulateTransaction", json!([base64(tx), config]))
            .await
    }

    /// One signature's status; `null` while there is none.
    pub(crate) async fn status(&self, tx: &VersionedTransaction) -> Value {
        let mut statuses = self
            .value("getSignatureStatuses", json!([[name(tx)]]))
            .await;
        statuses[0].take()
    }

    /// A payment of so many atomic units of USDC, signed by both.
    pub(crate) async fn payment(&self, devnet: &DevnetSvm, amount: u64) -> VersionedTransaction {
        let hash = self.blockhash("processed").await;
        Payment::usdc(devnet, amount).signed(hash)
    }
}

/// What a payment of x402's `exact` scheme is made of.
#[derive(Clone)]
pub(crate) struct Payment {
    pub(crate) fee_payer: Account,
    pub(crate) buyer: Account,
    pub(crate) payee: Address,
    pub(crate) mint: Address,
    pub(crate) program: TokenProgram,
    pub(crate) amount: u64,
    pub(crate) decimals: u8,
    pub(crate) memo: String,
}

impl Payment {
    /// Account 0 pays the fee, 1 buys, 9 is paid.
    pub(crate) fn usdc(devnet: &DevnetSvm, amount: u64) -> Self {
        let accounts = devnet.accounts();
        Self {
            fee_payer: accounts[0],
            buyer: accounts[1],
            payee: accounts[9].address,
            mint: devnet.usdc(),
            program: TokenProgram::Token,
            amount,
            decimals: 6,
            memo: "for the weather".to_owned(),
        }
    }

    pub(crate) fn source(&self) -> Address {
        associated(&self.buyer.address, &self.mint, self.program)
    }

    pub(crate) fn destination(&self) -> Address {
        associated(&self.payee, &self.mint, self.program)
    }

    pub(crate) fn instructions(&self) -> Vec<Instruction> {
        let mut transfer = spl_token_interface::instruction::transfer_checked(
            &spl_token_interface::ID,
            &self.source(),
            &self.mint,
            &self.destination(),
            &self.buyer.address,
            &[],
            self.amount,
            self.decimals,
        )
        .expect("a transfer");
        transfer.program_id = self.program.address();
        vec![
            ComputeBudgetInstruction::set_compute_unit_limit(20_000),
            ComputeBudgetInstruction::set_compute_unit_price(1),
            transfer,
            Instruction::new_with_bytes(MEMO_PROGRAM, self.memo.as_bytes(), Vec::new()),
        ]
    }

    pub(crate) fn message(&self, blockhash: Hash) -> VersionedMessage {
        let message = v0::Message::try_compile(
            &self.fee_payer.address,
            &self.instructions(),
            &[],
            blockhash,
        );
        VersionedMessage::V0(message.expect("the instructions fit"))
    }

    /// As the buyer hands it over: the fee payer's signature is missing.
    pub(crate) fn half_signed(&self, blockhash: Hash) -> VersionedTransaction {
        let message = self.message(blockhash);
        let buyer = self.buyer.keypair().sign_message(&message.serialize());
        VersionedTransaction {
            signatures: vec![Signature::default(), buyer],
            message,
        }
    }

    pub(crate) fn signed(&self, blockhash: Hash) -> VersionedTransaction {
        let mut tx = self.half_signed(blockhash);
        let message = tx.message.serialize();
        tx.signatures[0] = self.fee_payer.keypair().sign_message(&message);
        tx
    }
}

/// A transaction of one account, which pays for it too.
pub(crate) fn sign(
    account: &Account,
    instructions: &[Instruction],
    blockhash: Hash,
) -> VersionedTransaction {
    let message = Message::new_with_blockhash(instructions, Some(&account.address), &blockhash);
    let message = VersionedMessage::Legacy(message);
    VersionedTransaction {
        signatures: vec![account.keypair().sign_message(&message.serialize())],
        message,
    }
}

pub(crate) fn associated(owner: &Address, mint: &Address, program: TokenProgram) -> Address {
    get_associated_token_address_with_program_id(owner, mint, &program.address())
}

pub(crate) fn base64(tx: &VersionedTransaction) -> String {
    BASE64_STANDARD.encode(bincode::serialize(tx).expect("a transaction has bytes"))
}

/// The transaction's name: its first signature.
pub(crate) fn name(tx: &VersionedTransaction) -> String {
    tx.signatures[0].to_string()
}
