//! x402 version 1 at the built binary: a seller and a buyer who speak nothing else, made of plain
//! HTTP. What they sign and read is their own, so that an error of ours is not made twice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use farebox_wire::x402::header;
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::{Value, json};

use crate::market::{Market, PAYEE, Server};
use crate::support::{Running, User};

/// What the chain of the devnet is called, in either version.
const CHAIN_ID: u64 = 84_532;
const NAME: &str = "base-sepolia";
const USDC: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
/// A tenth of a cent.
const PRICE: u128 = 1_000;
/// Later than any of these tests: 2100.
const VALID_BEFORE: u64 = 4_102_444_800;
const DOMAIN: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const TRANSFER: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";

/// An answer as it came over the socket.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "two headers {name}");
        value
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {:?}", self.body))
    }

    /// The receipt of version 1; one of version 2 is never beside it.
    fn receipt(&self) -> Value {
        assert_eq!(self.header("payment-response"), None);
        let receipt = self.header("x-payment-response").expect("a receipt");
        header::decode(receipt.as_bytes()).expect("base64 of JSON")
    }
}

/// One request on a connection of its own; a body makes it a POST.
pub(crate) fn ask(url: &str, extra: &[(&str, &str)], body: Option<&Value>) -> Answer {
    let rest = url.strip_prefix("http://").expect("plain http");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut request = match body {
        None => format!("GET /{path} HTTP/1.0\r\nhost: {host}\r\n"),
        Some(_) => format!("POST /{path} HTTP/1.0\r\nhost: {host}\r\n"),
    };
    for (name, value) in extra {
        request += &format!("{name}: {value}\r\n");
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        let length = body.len();
        request += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    let mut stream = TcpStream::connect(host).expect("it listens");
    let request = format!("{request}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Answer {
        status: status.and_then(|code| code.parse().ok()).expect("a status"),
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

/// What the token says that an account has.
fn balance(net: &Running, account: &str) -> u128 {
    let account: Address = account.parse().expect("an address");
    let data = format!("0x70a08231{}", hex::encode(account.into_word()));
    let question = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_call",
        "params": [{"to": USDC, "data": data}, "latest"],
    });
    let answer = ask(&net.text("/evm/rpc"), &[], Some(&question)).json();
    let word = answer["result"].as_str().expect("a word");
    let word: U256 = word.parse().expect("a number");
    word.to()
}

/// An offer of version 1 for the payee of these tests.
fn offer() -> Value {
    json!({
        "scheme": "exact", "network": NAME, "maxAmountRequired": PRICE.to_string(),
        "resource": "http://127.0.0.1/", "description": "", "mimeType": "",
        "payTo": PAYEE, "maxTimeoutSeconds": 60, "asset": USDC,
        "extra": {"name": "USDC", "version": "2"},
    })
}

/// A seller who has never heard of version 2, with a facilitator to settle for it.
async fn sell(facilitator: String, headers: HeaderMap) -> Response {
    let Some(payment) = headers.get("x-payment") else {
        let asks = json!({
            "x402Version": 1, "error": "X-PAYMENT header is required", "accepts": [offer()],
        });
        return (StatusCode::PAYMENT_REQUIRED, asks.to_string()).into_response();
    };
    let payment: Value = header::decode(payment.as_bytes()).expect("base64 of JSON");
    let settle = json!({
        "x402Version": 1, "paymentPayload": payment, "paymentRequirements": offer(),
    });
    let settled = tokio::task::spawn_blocking(move || {
        ask(&format!("{facilitator}/settle"), &[], Some(&settle)).json()
    });
    let receipt = settled.await.expect("the facilitator answers");
    assert_eq!(receipt["success"], true, "{receipt}");
    let receipt = header::encode(&receipt).expect("a header");
    ([("x-payment-response", receipt)], "goods\n").into_response()
}

#[test]
fn a_seller_of_version_1_alone_is_paid_by_fetch_and_settles_at_our_facilitator() {
    let user = User::new();
    let net = user.devnet();
    let facilitator = user.start(&[
        "facilitator",
        "--config",
        "net/seller.toml",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    let address = facilitator.text("/listening");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let visits = Arc::clone(&seen);
    let seller = Server::start(Router::new().route(
        "/",
        get(move |headers: HeaderMap| {
            visits.lock().expect("whole").push(headers.clone());
            sell(address, headers)
        }),
    ));
    let (payee, buyer) = (balance(&net, PAYEE), buyer_of(&net, 1));
    let had = balance(&net, &buyer);
    let fetch = ["fetch", "--config", "net/buyer.toml", &seller.url()];
    let (exit, answer) = user.json(&fetch);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(answer["body"], "goods\n");
    let payment = &answer["payment"];
    assert_eq!(payment["state"], "settled", "{payment}");
    assert_eq!(payment["network"], "eip155:84532");
    assert_eq!(payment["receipt"]["network"], NAME);
    assert_eq!(payment["receipt"]["transaction"], payment["transaction"]);
    assert_eq!(balance(&net, PAYEE), payee + PRICE);
    assert_eq!(balance(&net, &buyer), had - PRICE);
    // Asked once and paid once, and never in the words of version 2.
    let seen = seen.lock().expect("whole");
    let paid: Vec<bool> = seen.iter().map(|h| h.contains_key("x-payment")).collect();
    assert_eq!(paid, [false, true]);
    assert!(seen.iter().all(|h| !h.contains_key("payment-signature")));
}

/// The address of an account of the devnet.
fn buyer_of(net: &Running, place: usize) -> String {
    net.text(&format!("/evm/accounts/{place}/address"))
}

fn words(words: &[B256]) -> B256 {
    keccak256(words.concat())
}

fn number(number: u64) -> B256 {
    B256::from(U256::from(number))
}

/// The `X-PAYMENT` that answers an offer, signed by an account of the devnet.
fn pay(net: &Running, place: usize, offer: &Value) -> String {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let address = |value: &str| value.parse::<Address>().expect("an address");
    let (from, to) = (buyer_of(net, place), text(&offer["payTo"]));
    let value: u64 = text(&offer["maxAmountRequired"]).parse().expect("digits");
    let nonce = keccak256("the first purchase of a client of version 1");
    let domain = words(&[
        keccak256(DOMAIN),
        keccak256(text(&offer["extra"]["name"])),
        keccak256(text(&offer["extra"]["version"])),
        number(CHAIN_ID),
        address(&text(&offer["asset"])).into_word(),
    ]);
    let message = words(&[
        keccak256(TRANSFER),
        address(&from).into_word(),
        address(&to).into_word(),
        number(value),
        number(0),
        number(VALID_BEFORE),
        nonce,
    ]);
    let digest = keccak256([&[0x19, 0x01], domain.as_slice(), message.as_slice()].concat());
    let key = net.text(&format!("/evm/accounts/{place}/key"));
    let key: B256 = key.parse().expect("a key");
    let key = SecretKey::from_byte_array(key.0).expect("a key");
    let signed = Secp256k1::new().sign_ecdsa_recoverable(Message::from_digest(digest.0), &key);
    let (recovery, bytes) = signed.serialize_compact();
    let v = 27 + u8::try_from(i32::from(recovery)).expect("0 or 1");
    let payment = json!({
        "x402Version": 1, "scheme": offer["scheme"], "network": offer["network"],
        "payload": {
            "signature": hex::encode_prefixed([&bytes[..], &[v]].concat()),
            "authorization": {
                "from": from, "to": to, "value": value.to_string(), "validAfter": "0",
                "validBefore": VALID_BEFORE.to_string(), "nonce": nonce,
            },
        },
    });
    header::encode(&payment).expect("a header")
}

#[test]
fn a_buyer_of_version_1_alone_pays_the_gate_whose_402_asks_in_both_versions() {
    let market = Market::open();
    let url = market.url("/ok");
    let asked = ask(&url, &[], None);
    assert_eq!(asked.status, 402);
    let v2 = asked.header("payment-required").expect("version 2");
    let v2: Value = header::decode(v2.as_bytes()).expect("base64 of JSON");
    assert_eq!(v2["x402Version"], 2);
    assert_eq!(v2["accepts"][0]["network"], "eip155:84532");
    let v1 = asked.json();
    assert_eq!(v1["x402Version"], 1);
    let offer = &v1["accepts"][0];
    assert_eq!(
        (&offer["network"], &offer["scheme"]),
        (&json!(NAME), &json!("exact"))
    );
    assert_eq!(offer["maxAmountRequired"], v2["accepts"][0]["amount"]);
    let (payee, payer) = (balance(&market.net, PAYEE), buyer_of(&market.net, 2));
    let had = balance(&market.net, &payer);
    let payment = pay(&market.net, 2, offer);
    let bought = ask(&url, &[("X-PAYMENT", &payment)], None);
    assert_eq!((bought.status, bought.body.as_str()), (200, "ok\n"));
    let receipt = bought.receipt();
    assert_eq!(
        (&receipt["success"], &receipt["network"]),
        (&json!(true), &json!(NAME))
    );
    assert_eq!(balance(&market.net, PAYEE), payee + PRICE);
    assert_eq!(balance(&market.net, &payer), had - PRICE);
    assert_eq!(
        market.payments("seller")[0]["transaction"],
        receipt["transaction"]
    );
    // Shown again it is not served again, and tells the same receipt.
    let again = ask(&url, &[("X-PAYMENT", &payment)], None);
    assert_eq!((again.status, again.receipt()), (409, receipt));
    assert_eq!(market.upstream.calls(), 1);
    assert_eq!(balance(&market.net, PAYEE), payee + PRICE);
}
