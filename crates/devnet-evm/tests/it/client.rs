//! A small JSON-RPC client, and the signing that a wallet does.

use std::net::SocketAddr;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address};
use alloy_sol_types::{Eip712Domain, SolCall, SolStruct, sol};
use farebox_devnet_evm::{Account, Devnet, DevnetOptions};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::{Value, json};

sol! {
    #[derive(Debug)]
    struct TransferWithAuthorization { address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce; }
    struct ReceiveWithAuthorization { address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce; }
    struct CancelAuthorization { address authorizer; bytes32 nonce; }
    struct Permit { address owner; address spender; uint256 value; uint256 nonce; uint256 deadline; }

    interface Usd {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
        function name() external view returns (string);
        function version() external view returns (string);
        function symbol() external view returns (string);
        function decimals() external view returns (uint8);
        function totalSupply() external view returns (uint256);
        function balanceOf(address owner) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function nonces(address owner) external view returns (uint256);
        function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
        function transfer(address to, uint256 value) external returns (bool);
        function transferFrom(address from, address to, uint256 value) external returns (bool);
        function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
        function permit(address owner, address spender, uint256 value, uint256 deadline, bytes signature) external;
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature) external;
        function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature) external;
        function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function cancelAuthorization(address authorizer, bytes32 nonce, bytes signature) external;
    }

    interface Multicall {
        struct Call3 { address target; bool allowFailure; bytes callData; }
        struct Result { bool success; bytes returnData; }
        function aggregate3(Call3[] calls) external payable returns (Result[] returnData);
        function getBlockNumber() external view returns (uint256);
        function getChainId() external view returns (uint256);
        function getCurrentBlockTimestamp() external view returns (uint256);
        function getEthBalance(address addr) external view returns (uint256);
    }
}

/// Gas for any transaction of these tests.
pub(crate) const GAS: u64 = 500_000;
pub(crate) const GWEI: u128 = 1_000_000_000;

/// Somebody without money.
pub(crate) const FRIEND: Address = address!("000000000000000000000000000000000000f00d");

/// A devnet that moves only when told, and its client.
pub(crate) fn quiet() -> (Devnet, Client) {
    let devnet = Devnet::start(DevnetOptions::quiet()).expect("the devnet starts");
    let client = Client::new(&devnet);
    (devnet, client)
}

/// One wei for the friend.
pub(crate) fn gift(client: &Client, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        value: U256::from(1),
        ..client.eip1559(nonce, FRIEND, Vec::new())
    }
}

/// Settles a fresh authorization to the friend and returns its receipt.
pub(crate) async fn settle_to_friend(devnet: &Devnet, client: &Client, nonce: u8) -> Value {
    let payer = devnet.accounts()[1];
    let payment = authorization(&payer, FRIEND, nonce);
    let data = settle_bytes(
        &payment,
        &sign_typed(&payer, &client.domain("USDC", "2"), &payment),
    );
    client
        .transact(&devnet.accounts()[0], client.token, data)
        .await
}

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
    pub(crate) chain_id: u64,
    pub(crate) token: Address,
}

impl Client {
    pub(crate) fn new(devnet: &Devnet) -> Self {
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            url: devnet.rpc_url(),
            chain_id: devnet.chain_id(),
            token: devnet.usdc(),
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

    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Result<Value, Refused> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (status, body) = self
            .post(request.to_string())
            .await
            .expect("the devnet answers");
        assert_eq!(status, 200);
        let mut reply: Value = serde_json::from_slice(&body).expect("the reply is JSON");
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

    pub(crate) async fn number(&self, method: &str, params: Value) -> u64 {
        quantity(&self.ok(method, params).await)
    }

    pub(crate) async fn read<C: SolCall>(&self, to: Address, call: C) -> C::Return {
        let output = self
            .ok(
                "eth_call",
                json!([{"to": to, "data": Bytes::from(call.abi_encode())}, "latest"]),
            )
            .await;
        let output: Bytes = serde_json::from_value(output).expect("output is bytes");
        C::abi_decode_returns(&output).expect("output decodes")
    }

    pub(crate) async fn balance(&self, owner: Address) -> U256 {
        self.read(self.token, Usd::balanceOfCall { owner }).await
    }

    pub(crate) async fn nonce(&self, address: Address) -> u64 {
        self.number("eth_getTransactionCount", json!([address, "latest"]))
            .await
    }

    pub(crate) async fn send_raw(&self, raw: &Bytes) -> Result<B256, Refused> {
        self.rpc("eth_sendRawTransaction", json!([raw]))
            .await
            .map(|hash| serde_json::from_value(hash).expect("a hash"))
    }

    pub(crate) async fn receipt(&self, hash: B256) -> Value {
        self.ok("eth_getTransactionReceipt", json!([hash])).await
    }

    /// Sends a call from an account and returns its receipt. In automine it is mined when the reply comes.
    pub(crate) async fn transact(&self, from: &Account, to: Address, data: Vec<u8>) -> Value {
        let raw = self.transaction(from, self.nonce(from.address).await, to, data);
        let hash = self.send_raw(&raw).await.expect("the transaction is taken");
        self.receipt(hash).await
    }

    /// What the token says to a call, without sending it.
    pub(crate) async fn simulate(&self, from: Address, data: Vec<u8>) -> Result<Value, Refused> {
        self.rpc(
            "eth_call",
            json!([{"from": from, "to": self.token, "data": Bytes::from(data)}, "latest"]),
        )
        .await
    }

    pub(crate) fn transaction(
        &self,
        from: &Account,
        nonce: u64,
        to: Address,
        data: Vec<u8>,
    ) -> Bytes {
        sign_transaction(from, self.eip1559(nonce, to, data))
    }

    pub(crate) fn eip1559(&self, nonce: u64, to: Address, data: Vec<u8>) -> TxEip1559 {
        TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: GAS,
            max_fee_per_gas: 2 * GWEI,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value: U256::ZERO,
            access_list: Default::default(),
            input: data.into(),
        }
    }

    /// The domain that wallets sign for.
    pub(crate) fn domain(&self, name: &str, version: &str) -> Eip712Domain {
        Eip712Domain::new(
            Some(name.to_owned().into()),
            Some(version.to_owned().into()),
            Some(U256::from(self.chain_id)),
            Some(self.token),
            None,
        )
    }
}

/// An authorization of 1000 atomic units that is valid for all time.
pub(crate) fn authorization(from: &Account, to: Address, nonce: u8) -> TransferWithAuthorization {
    TransferWithAuthorization {
        from: from.address,
        to,
        value: U256::from(1000),
        validAfter: U256::ZERO,
        validBefore: U256::MAX,
        nonce: B256::repeat_byte(nonce),
    }
}

/// `transferWithAuthorization` with a signature as bytes.
pub(crate) fn settle_bytes(
    authorization: &TransferWithAuthorization,
    signature: &Signature,
) -> Vec<u8> {
    Usd::transferWithAuthorization_1Call {
        from: authorization.from,
        to: authorization.to,
        value: authorization.value,
        validAfter: authorization.validAfter,
        validBefore: authorization.validBefore,
        nonce: authorization.nonce,
        signature: signature.as_bytes().into(),
    }
    .abi_encode()
}

/// `transferWithAuthorization` with `v, r, s`.
pub(crate) fn settle_vrs(
    authorization: &TransferWithAuthorization,
    signature: &Signature,
) -> Vec<u8> {
    Usd::transferWithAuthorization_0Call {
        from: authorization.from,
        to: authorization.to,
        value: authorization.value,
        validAfter: authorization.validAfter,
        validBefore: authorization.validBefore,
        nonce: authorization.nonce,
        v: 27 + u8::from(signature.v()),
        r: signature.r().into(),
        s: signature.s().into(),
    }
    .abi_encode()
}

pub(crate) fn sign_typed(
    account: &Account,
    domain: &Eip712Domain,
    message: &impl SolStruct,
) -> Signature {
    sign(account, message.eip712_signing_hash(domain))
}

pub(crate) fn sign(account: &Account, digest: B256) -> Signature {
    let key = SecretKey::from_byte_array(account.key.0).expect("a development key is a key");
    let (id, bytes) = Secp256k1::new()
        .sign_ecdsa_recoverable(Message::from_digest(digest.0), &key)
        .serialize_compact();
    Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1)
}

pub(crate) fn sign_transaction<T>(account: &Account, tx: T) -> Bytes
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = sign(account, tx.signature_hash());
    TxEnvelope::from(tx.into_signed(signature))
        .encoded_2718()
        .into()
}

pub(crate) fn quantity(value: &Value) -> u64 {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("not a quantity: {value}"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a quantity is hexadecimal")
}

pub(crate) fn succeeded(receipt: &Value) -> bool {
    quantity(&receipt["status"]) == 1
}

/// The address that a devnet listens on.
pub(crate) fn socket(devnet: &Devnet) -> SocketAddr {
    devnet
        .rpc_url()
        .trim_start_matches("http://")
        .parse()
        .expect("the URL is an address")
}
