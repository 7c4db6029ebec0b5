//! `farebox fetch` over Solana: a buyer of ours, a seller and a facilitator that are not, on a real chain.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use farebox_devnet_svm::{Account, DevnetSvm, DevnetSvmOptions};
use farebox_wire::svm::SvmSignature;
use farebox_wire::x402::exact_svm::ExactSvmPayload;
use farebox_wire::x402::header;
use farebox_wire::x402::types::PaymentPayload;
use serde_json::{Value, json};

use crate::market::{PAYEE, Server};
use crate::support::User;

/// A tenth of a cent.
const AMOUNT: u64 = 1000;

/// What the seller does with a credential.
#[derive(Clone, Copy, PartialEq)]
enum Seller {
    /// Settles it and serves.
    Honest,
    /// Keeps it and answers with an error.
    Silent,
    /// Settles it, and answers with an error and no receipt.
    Forgetful,
}

struct Shop {
    rpc: String,
    fee_payer: Account,
    accepts: Value,
    seller: Seller,
}

/// A buyer with a key on Solana, the chain, and who sells there.
struct Stage {
    user: User,
    devnet: DevnetSvm,
    server: Server,
}

impl Stage {
    fn new(seller: Seller) -> Self {
        Self::with(seller, User::new(), |_| ())
    }

    /// The same with more offers beside that of Solana.
    fn with(seller: Seller, user: User, more: impl FnOnce(&mut Vec<Value>)) -> Self {
        let devnet = DevnetSvm::start(DevnetSvmOptions::quick()).expect("a chain");
        let [fee_payer, buyer, payee] = [0, 1, 9].map(|index| devnet.accounts()[index]);
        let mut accepts = vec![json!({
            "scheme": "exact", "network": devnet.network(), "amount": AMOUNT.to_string(),
            "asset": devnet.usdc().to_string(), "payTo": payee.address.to_string(),
            "maxTimeoutSeconds": 60, "extra": {"feePayer": fee_payer.address.to_string()},
        })];
        more(&mut accepts);
        let shop = Shop {
            rpc: devnet.rpc_url(),
            fee_payer,
            accepts: json!(accepts),
            seller,
        };
        let router = Router::new().route("/", get(sell));
        let server = Server::start(router.with_state(Arc::new(shop)));
        user.write("solana.key", &buyer.key_base58());
        let network = format!(
            "[network.\"{}\"]\nrpc = [\"{}\"]\n",
            devnet.network(),
            devnet.rpc_url()
        );
        let wallet = "[wallet]\nsolana_key = \"file:solana.key\"\n";
        let limits = "[budget]\nper_payment = \"1 USD\"\ntotal = \"10 USD\"\n";
        user.write("buyer.toml", &format!("{network}{wallet}{limits}"));
        Self {
            user,
            devnet,
            server,
        }
    }

    fn paid(&self) -> u64 {
        let payee = self.devnet.accounts()[9].address;
        self.devnet.token_balance(payee, self.devnet.usdc())
    }

    fn fetch(&self, flags: &[&str]) -> (i32, Value) {
        let url = self.server.url();
        let usual = ["fetch", "--config", "buyer.toml", &url];
        self.user.json(&[&usual[..], flags].concat())
    }

    fn resume(&self) -> Value {
        let resume = ["payments", "resume", "--all", "--config", "buyer.toml"];
        let (exit, answer) = self.user.json(&resume);
        assert_eq!(exit, 0, "{answer}");
        answer
    }
}

async fn sell(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    let Some(credential) = headers.get("payment-signature") else {
        let resource = json!({"url": "http://127.0.0.1/"});
        let body = json!({"x402Version": 2, "resource": resource, "accepts": shop.accepts});
        let challenge = header::encode(&body).expect("it encodes");
        let headers = [("payment-required", challenge)];
        return (StatusCode::PAYMENT_REQUIRED, headers, "pay first").into_response();
    };
    if shop.seller == Seller::Silent {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let body: PaymentPayload = header::decode(credential.as_bytes()).expect("a payment");
    let network = body.accepted["network"].clone();
    let transaction = settle(&shop, body.payload).await;
    if shop.seller == Seller::Forgetful {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let receipt = json!({"success": true, "transaction": transaction, "network": network});
    let receipt = header::encode(&receipt).expect("it encodes");
    (StatusCode::OK, [("payment-response", receipt)], "served\n").into_response()
}

/// Signs as the fee payer and sends.
async fn settle(shop: &Shop, payload: Value) -> String {
    let payload: ExactSvmPayload = serde_json::from_value(payload).expect("a payload");
    let mut bytes = payload.transaction.bytes().to_vec();
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&shop.fee_payer.seed);
    let signature = pair.expect("a key").sign(&bytes[129..]);
    bytes[1..65].copy_from_slice(signature.as_ref());
    let config = json!({"encoding": "base64", "preflightCommitment": "confirmed"});
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "sendTransaction",
        "params": [BASE64_STANDARD.encode(bytes), config],
    });
    // Idempotent: reqwest wants a provider even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let sent = http
        .post(&shop.rpc)
        .header("content-type", "application/json");
    let sent = sent.body(call.to_string()).send().await.expect("an answer");
    let sent: Value = serde_json::from_slice(&sent.bytes().await.expect("a body")).expect("JSON");
    let name = SvmSignature(signature.as_ref().try_into().expect("64 bytes")).to_string();
    assert_eq!(sent["result"], name, "{sent}");
    name
}

#[test]
fn a_page_is_bought_on_solana_and_the_books_say_what_the_chain_says() {
    let stage = Stage::new(Seller::Honest);
    let (exit, answer) = stage.fetch(&[]);
    assert_eq!((exit, &answer["body"]), (0, &json!("served\n")), "{answer}");
    let payment = &answer["payment"];
    assert_eq!(payment["state"], "settled", "{answer}");
    assert_eq!(
        (&payment["rail"], &payment["network"]),
        (&json!("solana"), &json!(stage.devnet.network()))
    );
    assert_eq!(payment["amount"]["atomic"], "1000");
    assert_eq!(payment["amount"]["symbol"], "USDC");
    assert_eq!(
        payment["payee"],
        stage.devnet.accounts()[9].address.to_string()
    );
    assert_eq!(stage.paid(), AMOUNT);
    // The receipt is no more than a word until the chain has been asked.
    let resumed = stage.resume();
    assert_eq!(resumed["still_unknown"], 0, "{resumed}");
    let balance = ["wallet", "balance", "--config", "buyer.toml"];
    let (exit, held) = stage.user.json(&balance);
    assert_eq!(exit, 0, "{held}");
    let text = held.to_string();
    assert!(text.contains("999999999000"), "{text}");
    let (exit, answer) = stage.fetch(&[]);
    assert_eq!(exit, 0, "another purchase: {answer}");
    assert_eq!(stage.paid(), 2 * AMOUNT);
}

#[test]
fn a_payment_that_nobody_sends_is_held_until_the_chain_says_that_it_never_can() {
    let stage = Stage::new(Seller::Silent);
    let (exit, answer) = stage.fetch(&[]);
    assert_eq!(exit, 5, "{answer}");
    assert_eq!(answer["payment"]["state"], "unknown", "{answer}");
    let resumed = stage.resume();
    assert_eq!(resumed["still_unknown"], 1, "{resumed}");
    stage.devnet.expire_blockhashes();
    let resumed = stage.resume();
    assert_eq!(
        (&resumed["resolved"], &resumed["still_unknown"]),
        (&json!(1), &json!(0)),
        "{resumed}"
    );
    assert_eq!(resumed["payments"][0]["state"], "released");
    assert_eq!(stage.paid(), 0);
}

#[test]
fn a_payment_that_moved_without_a_receipt_is_found_on_the_chain() {
    let stage = Stage::new(Seller::Forgetful);
    let (exit, answer) = stage.fetch(&[]);
    assert_eq!((exit, stage.paid()), (5, AMOUNT), "{answer}");
    let resumed = stage.resume();
    let payment = &resumed["payments"][0];
    assert_eq!(
        (&payment["state"], stage.paid()),
        (&json!("settled"), AMOUNT),
        "{resumed}"
    );
    let transaction = payment["transaction"].as_str().expect("a name");
    assert!(transaction.parse::<SvmSignature>().is_ok(), "{transaction}");
}

#[test]
fn of_two_rails_the_one_that_is_asked_for_pays() {
    let user = User::new();
    let net = user.devnet();
    let evm = json!({
        "scheme": "exact", "network": "eip155:84532", "amount": AMOUNT.to_string(),
        "asset": net.text("/evm/usdc"), "payTo": PAYEE, "maxTimeoutSeconds": 60,
        "extra": {"name": "USDC", "version": "2"},
    });
    let stage = Stage::with(Seller::Honest, user, |accepts| accepts.insert(0, evm));
    // One buyer with a key on either rail.
    let wallet = "solana_key = \"file:solana.key\"\nevm_key = \"file:net/buyer.key\"\n";
    let file = stage.user.read("buyer.toml");
    let both = file.replace("solana_key = \"file:solana.key\"\n", wallet);
    let chain = format!(
        "[network.\"eip155:84532\"]\nrpc = [\"{}\"]\n",
        net.text("/evm/rpc")
    );
    stage.user.write("buyer.toml", &format!("{chain}{both}"));
    let chosen = |flags: &[&str]| {
        let (exit, answer) = stage.fetch(&[&["--dry-run"], flags].concat());
        assert_eq!(exit, 0, "{answer}");
        let offers = answer["offers"].as_array().expect("offers");
        assert_eq!(offers.len(), 2);
        let payable = offers.iter().find(|offer| offer["payable"] == true);
        payable.expect("one that can be paid")["rail"].clone()
    };
    assert_eq!(chosen(&["--rail", "evm"]), "evm");
    assert_eq!(chosen(&["--rail", "solana"]), "solana");
    // Both can be paid; which one would be is a matter of rank.
    let first = |wish: &str| {
        let (_, answer) = stage.fetch(&["--prefer", wish, "--dry-run"]);
        let offers = answer["offers"].as_array().expect("offers");
        let first = offers.iter().find(|offer| offer["rank"] == 1);
        first.expect("one is first")["rail"].clone()
    };
    assert_eq!(
        (first("solana"), first("evm")),
        (json!("solana"), json!("evm"))
    );
    let (exit, answer) = stage.fetch(&["--prefer", "solana"]);
    assert_eq!(
        (exit, &answer["payment"]["rail"]),
        (0, &json!("solana")),
        "{answer}"
    );
    assert_eq!(stage.paid(), AMOUNT);
}

/// Whose offer would be paid with these words in the file and these flags.
fn chosen(stage: &Stage, prefer: &str, flags: &[&str]) -> (Value, Vec<Value>) {
    let file = stage.user.read("buyer.toml");
    let file = file.split("[prefer]").next().expect("the rest").to_owned();
    stage
        .user
        .write("buyer.toml", &format!("{file}[prefer]\n{prefer}\n"));
    let (exit, answer) = stage.fetch(&[&["--dry-run"], flags].concat());
    assert_eq!(exit, 0, "{answer}");
    let offers = answer["offers"].as_array().expect("offers").clone();
    let first = offers.iter().find(|offer| offer["rank"] == 1);
    let network = first.expect("one is first")["network"].clone();
    (network, offers)
}

#[test]
fn no_mainnet_only_these_assets_and_an_order_hold_by_file_and_by_flag() {
    let base = json!({
        "scheme": "exact", "network": "eip155:8453", "amount": AMOUNT.to_string(),
        "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "payTo": PAYEE,
        "maxTimeoutSeconds": 60, "extra": {"name": "USD Coin", "version": "2"},
    });
    let mut test = base.clone();
    test["network"] = json!("eip155:84532");
    test["asset"] = json!("0x036CbD53842c5426634e7929541eC2318f3dCF7e");
    test["extra"]["name"] = json!("USDC");
    let stage = Stage::with(Seller::Honest, User::new(), |accepts| {
        accepts.insert(0, base);
        accepts.push(test);
    });
    let file = stage.user.read("buyer.toml");
    let wallet = "solana_key = \"file:solana.key\"\nevm_key = \"file:evm.key\"\n";
    stage.user.write("evm.key", &"11".repeat(32));
    let both = file.replace("solana_key = \"file:solana.key\"\n", wallet);
    let chains = "[network.\"eip155:8453\"]\n[network.\"eip155:84532\"]\n";
    stage.user.write("buyer.toml", &format!("{chains}{both}"));

    let solana = json!(stage.devnet.network());
    let (mainnet, testnet) = (json!("eip155:8453"), json!("eip155:84532"));
    let network = |prefer: &str, flags: &[&str]| chosen(&stage, prefer, flags).0;
    assert_eq!(network("order = [\"solana\"]", &[]), solana);
    assert_eq!(network("", &["--prefer", "solana"]), solana);
    assert_eq!(network("order = [\"evm\"]", &[]), mainnet);
    assert_eq!(
        network("order = [\"solana\"]", &["--prefer", "evm"]),
        mainnet
    );
    assert_eq!(network("order = [\"evm\"]\nmainnets = false", &[]), testnet);
    assert_eq!(network("order = [\"evm\"]", &["--no-mainnet"]), testnet);
    let usdc = "order = [\"evm\"]\nassets = [\"USDC\"]\nmainnets = false";
    assert_eq!(network(usdc, &[]), testnet);
    let (_, offers) = chosen(&stage, "mainnets = false", &["--asset", "USDC"]);
    let of_base = offers.iter().find(|offer| offer["network"] == mainnet);
    let of_base = of_base.expect("it is shown all the same");
    assert_eq!(of_base["payable"], false, "{of_base}");
    assert!(of_base["reason"].is_string() && of_base["rank"].is_null());
    // One token only, by the name that no other has.
    let name = format!("{}/token:{}", stage.devnet.network(), stage.devnet.usdc());
    assert_eq!(network("order = [\"evm\"]", &["--asset", &name]), solana);
    let by_file = format!("order = [\"evm\"]\nassets = [\"{name}\"]");
    assert_eq!(network(&by_file, &[]), solana);
    // And it is what is paid.
    let (exit, answer) = stage.fetch(&[]);
    assert_eq!(
        (exit, &answer["payment"]["network"]),
        (0, &solana),
        "{answer}"
    );
    assert_eq!(stage.paid(), AMOUNT);
}

#[test]
fn what_cannot_be_paid_on_solana_says_why() {
    let stage = Stage::new(Seller::Honest);
    let reason = || {
        let (exit, answer) = stage.fetch(&["--dry-run"]);
        assert_eq!(exit, 4, "{answer}");
        answer["offers"][0]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let (payee, usdc) = (stage.devnet.accounts()[9].address, stage.devnet.usdc());
    stage
        .devnet
        .remove_token_account(payee, usdc)
        .expect("it was there");
    assert!(reason().contains("has no account for USDC"), "{}", reason());
    let file = stage.user.read("buyer.toml");
    let line = format!("rpc = [\"{}\"]\n", stage.devnet.rpc_url());
    stage.user.write("buyer.toml", &file.replace(&line, ""));
    assert!(reason().contains("set `rpc`"), "{}", reason());
    stage.user.write(
        "buyer.toml",
        &file.replace("solana_key = \"file:solana.key\"\n", ""),
    );
    let (exit, answer) = stage.fetch(&[]);
    assert_eq!(exit, 4, "{answer}");
    // An address is no key, and is not shown.
    let address = stage.devnet.accounts()[1].address.to_string();
    stage.user.write("solana.key", &address);
    stage.user.write("buyer.toml", &file);
    let (exit, answer) = stage.fetch(&[]);
    assert_eq!(
        (exit, &answer["error"]["code"]),
        (2, &json!("key_invalid")),
        "{answer}"
    );
    assert!(!answer.to_string().contains(&address));
}
