//! `farebox fetch`: where the answer goes, and the one exit code that each ending has (DESIGN §4).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use farebox_wire::x402::header;
use serde_json::{Value, json};

use crate::market::{Market, PAYEE, Server};
use crate::support::{Ended, User};

/// A 402 of a seller who is not ours.
fn challenge(network: &str, amount: &str) -> [(&'static str, String); 1] {
    let body = json!({
        "x402Version": 2,
        "resource": {"url": "http://127.0.0.1/"},
        "accepts": [{
            "scheme": "exact", "network": network, "amount": amount,
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "payTo": "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
            "maxTimeoutSeconds": 60, "extra": {"name": "USDC", "version": "2"},
        }],
    });
    [(
        "payment-required",
        header::encode(&body).expect("it encodes"),
    )]
}

/// A buyer, and a seller who asks for a tenth of a cent and then answers as `paid` says.
fn stranger(paid: fn() -> axum::response::Response) -> (User, crate::support::Running, Server) {
    let user = User::new();
    let net = user.devnet();
    let ask = async move |headers: HeaderMap| match headers.contains_key("payment-signature") {
        true => paid(),
        false => (
            StatusCode::PAYMENT_REQUIRED,
            challenge("eip155:84532", "1000"),
            "pay first",
        )
            .into_response(),
    };
    (user, net, Server::start(Router::new().route("/", get(ask))))
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

#[test]
fn exit_0_a_paid_answer_goes_to_stdout_and_nothing_else_does() {
    let market = Market::open();
    let before = market.balance();
    let ended = market.fetch(&[&market.url("/ok")]);
    assert_eq!(
        (ended.exit, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, "ok\n", "")
    );
    assert_eq!(market.spent_and_reserved(), ("0.001".into(), "0".into()));
    assert_eq!(before - market.balance(), 1000);
    assert_eq!(market.upstream.calls(), 1);
}

#[test]
fn the_object_of_a_paid_call_has_the_documented_shape() {
    let market = Market::open();
    let url = market.url("/ok");
    let (exit, answer) = market.fetch_json(&[&url]);
    assert_eq!(exit, 0);
    let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "body", "cost", "error", "exit", "headers", "ok", "payment", "status", "url"
        ]
    );
    assert_eq!(answer["url"], url.as_str());
    assert_eq!(answer["status"], 200);
    assert_eq!(answer["body"], "ok\n");
    assert_eq!(
        answer["cost"],
        json!({"amount": "0.001", "currency": "USD"})
    );
    assert_eq!(answer["error"], Value::Null);
    assert!(answer["headers"]["payment-response"].is_array());
    let payment = &answer["payment"];
    assert_eq!(payment["state"], "settled");
    assert_eq!(payment["outcome"], "settled");
    assert_eq!(payment["reserved_until"], Value::Null);
    assert_eq!(payment["protocol"], "x402");
    assert_eq!(payment["rail"], "evm");
    assert_eq!(payment["network"], "eip155:84532");
    assert_eq!(payment["amount"]["atomic"], "1000");
    assert_eq!(payment["amount"]["decimals"], 6);
    assert_eq!(payment["amount"]["symbol"], "USDC");
    assert_eq!(payment["payee"], PAYEE);
    assert_eq!(payment["receipt"]["transaction"], payment["transaction"]);
    let (_, listed) = market
        .user
        .json(&["payments", "list", "--config", "net/buyer.toml"]);
    for (key, value) in payment.as_object().expect("an object") {
        assert_eq!(
            &listed["payments"][0][key], value,
            "the list shows the same {key}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_come_as_base64() {
    let market = Market::open();
    let (_, answer) = market.fetch_json(&[&market.url("/bytes")]);
    assert_eq!(answer["body_base64"], "/wD+");
    assert!(answer.get("body").is_none());
}

#[test]
fn a_free_answer_pays_nothing() {
    let market = Market::with_price("0 USD");
    let (exit, answer) = market.fetch_json(&[&market.url("/ok")]);
    assert_eq!(
        (exit, &answer["payment"], &answer["cost"]),
        (0, &Value::Null, &Value::Null)
    );
}

#[test]
fn exit_0_an_answer_without_a_receipt_leaves_the_payment_to_be_resolved() {
    let (user, _net, server) = stranger(|| "thanks".into_response());
    let ended = user.run(&["fetch", "--config", "net/buyer.toml", &server.url()]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, "thanks"));
    assert!(ended.stderr.contains("payments resume"), "{}", ended.stderr);
    let (_, answer) = user.json(&["payments", "list", "--config", "net/buyer.toml"]);
    assert_eq!(answer["payments"][0]["state"], "unknown");
    assert!(answer["payments"][0]["reserved_until"].is_u64());
}

#[test]
fn exit_1_a_server_that_is_not_there() {
    let user = User::new();
    let (exit, answer) = user.json(&["fetch", "http://127.0.0.1:1/"]);
    assert_eq!(exit, 1, "{answer}");
    assert_eq!(answer["error"]["money_may_have_moved"], false);
}

#[test]
fn exit_2_the_object_has_its_keys_even_where_nothing_was_fetched() {
    let user = User::new();
    for arguments in [
        &["fetch", "ftp://example.com/"][..],
        &["fetch", "http://x/", "-H", "nonsense"],
        &["fetch"],
    ] {
        let (exit, answer) = user.json(arguments);
        assert_eq!(exit, 2, "{answer}");
        assert_eq!(answer["ok"], false);
        assert_eq!(answer["exit"], 2);
        for key in ["status", "body", "payment", "cost"] {
            assert_eq!(answer.get(key), Some(&Value::Null), "{key} in {answer}");
        }
        assert_eq!(answer["headers"], json!({}));
    }
}

#[test]
fn exit_3_above_max_cost_nothing_is_signed() {
    let market = Market::open();
    let (exit, answer) = market.fetch_json(&["--max-cost", "0.0009 USD", &market.url("/ok")]);
    assert_eq!(
        (exit, code(&answer), &answer["payment"]),
        (3, "over_max_cost", &Value::Null)
    );
    assert_eq!(answer["status"], 402);
    assert_eq!(market.upstream.calls(), 0);
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0".into()));
}

#[test]
fn exit_3_above_the_budget_nothing_is_signed_and_the_402_is_not_printed() {
    let market = Market::with_price("1.01 USD");
    let ended = market.fetch(&[&market.url("/ok")]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (3, ""));
    assert!(ended.stderr.starts_with("farebox: "), "{}", ended.stderr);
    assert_eq!(market.payments("buyer"), Vec::<Value>::new());
}

#[test]
fn exit_3_a_wallet_without_a_budget_spends_nothing() {
    let market = Market::open();
    let file = market
        .user
        .read("net/buyer.toml")
        .replace("buyer.db", "broke.db");
    let (before_the_budget, _) = file.split_once("[budget]").expect("the file has a budget");
    market.user.write("net/broke.toml", before_the_budget);
    let (exit, answer) = market.user.json(&[
        "fetch",
        "--config",
        "net/strict.toml",
        "--agent",
        "bot",
        &market.url("/ok"),
    ]);
    assert_ne!(exit, 0, "{answer}");
    assert_eq!(answer["payment"], Value::Null);
    assert_eq!(market.upstream.calls(), 1);
}

#[test]
fn an_agent_without_limits_spends_nothing() {
    let market = Market::open();
    let (exit, answer) = market.fetch_json(&["--agent", "nobody", &market.url("/ok")]);
    assert_eq!((exit, code(&answer)), (3, "no_budget"));
}

#[test]
fn a_key_in_the_keystore_pays_with_its_passphrase() {
    let market = Market::open();
    let file = market
        .user
        .read("net/buyer.toml")
        .replace("file:buyer.key", "keystore:shop");
    market.user.write("net/locked.toml", &file);
    let run = |arguments: &[&str]| {
        let mut command = market.user.command(arguments);
        command.env("FAREBOX_PASSPHRASE", "correct horse");
        Ended::of(command.output().expect("farebox starts"))
    };
    let made = run(&[
        "wallet",
        "create",
        "--name",
        "shop",
        "--evm-key",
        "file:net/buyer.key",
    ]);
    assert_eq!(made.exit, 0, "{}", made.stderr);
    let url = market.url("/ok");
    let paid = run(&["fetch", "--config", "net/locked.toml", &url]);
    assert_eq!(
        (paid.exit, paid.stdout.as_str()),
        (0, "ok\n"),
        "{}",
        paid.stderr
    );
    let refused = market
        .user
        .run(&["fetch", "--config", "net/locked.toml", &url]);
    assert_eq!(
        refused.exit, 4,
        "without the passphrase: {}",
        refused.stderr
    );
    assert!(refused.stderr.contains("passphrase"), "{}", refused.stderr);
}

#[test]
fn a_reader_who_has_read_enough_is_success() {
    let market = Market::open();
    let mut command =
        market
            .user
            .command(&["fetch", "--config", "net/buyer.toml", &market.url("/ok")]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("farebox starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
