//! `farebox fetch`: the one exit code that each ending has, and its object (docs/command-line.md).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use farebox_wire::x402::header;
use serde_json::{Value, json};

use crate::market::{Market, PAYEE, Server};
use crate::support::User;

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
    assert_eq!((exit, code(&answer)), (1, "connect_failed"), "{answer}");
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
    let (exit, answer) =
        market
            .user
            .json(&["fetch", "--config", "net/broke.toml", &market.url("/ok")]);
    assert_eq!((exit, code(&answer)), (3, "no_budget"));
}

#[test]
fn exit_4_an_offer_on_an_unknown_network_cannot_be_paid() {
    let user = User::new();
    let _net = user.devnet();
    let ask = async || {
        (
            StatusCode::PAYMENT_REQUIRED,
            challenge("eip155:999999", "1"),
        )
    };
    let server = Server::start(Router::new().route("/", get(ask)));
    let (exit, answer) = user.json(&["fetch", "--config", "net/buyer.toml", &server.url()]);
    assert_eq!((exit, code(&answer)), (4, "no_payable_offer"), "{answer}");
}

#[test]
fn exit_4_without_a_key_nothing_can_be_paid() {
    let market = Market::open();
    let (exit, answer) = market.user.json(&["fetch", &market.url("/ok")]);
    assert_eq!(exit, 4);
    let message = answer["error"]["message"].as_str().expect("a sentence");
    assert!(message.contains("farebox wallet create"), "{message}");
}

#[test]
fn exit_5_a_failing_upstream_is_not_paid_and_the_amount_stays_reserved() {
    let market = Market::open();
    let before = market.balance();
    let (exit, answer) = market.fetch_json(&[&market.url("/status/500")]);
    assert_eq!((exit, &answer["status"]), (5, &json!(500)));
    assert_eq!(code(&answer), "payment_refused");
    assert!(answer["payment"]["reserved_until"].is_u64());
    assert_eq!(answer["error"]["money_may_have_moved"], true);
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0.001".into()));
    assert_eq!(market.balance(), before);
}

#[test]
fn exit_6_a_seller_who_hangs_up_after_the_credential() {
    let user = User::new();
    let _net = user.devnet();
    let (exit, answer) = user.json(&["fetch", "--config", "net/buyer.toml", &hanging_up_server()]);
    assert_eq!((exit, code(&answer)), (6, "no_answer"), "{answer}");
    assert_eq!(answer["status"], Value::Null);
    assert_eq!(answer["payment"]["state"], "unknown");
    assert_eq!(answer["error"]["money_may_have_moved"], true);
    assert_eq!(answer["error"]["retry_safe"], true);
}

/// A seller who asks for a tenth of a cent, and hangs up on whoever pays it.
fn hanging_up_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let [(name, value)] = challenge("eip155:84532", "1000");
        let (mut socket, _) = listener.accept().expect("the buyer connects");
        read_head(&socket);
        let head = format!(
            "HTTP/1.1 402 Payment Required\r\n{name}: {value}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        socket
            .write_all(head.as_bytes())
            .expect("the buyer listens");
        drop(socket);
        let (socket, _) = listener.accept().expect("the buyer comes again");
        read_head(&socket);
    });
    format!("http://{address}/")
}

/// Reads up to the blank line that ends a request's head.
fn read_head(socket: &TcpStream) {
    let mut lines = BufReader::new(socket.try_clone().expect("a second handle")).lines();
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
}

#[test]
fn exit_7_paid_before_an_upstream_that_fails() {
    let market = Market::with_routes(
        "[[route]]\nmatch = \"/*\"\nupstream = \"{upstream}\"\nprice = \"0.001 USD\"\nsettle = \"before\"\n",
    );
    let (exit, answer) = market.fetch_json(&[&market.url("/status/500")]);
    assert_eq!((exit, &answer["status"]), (7, &json!(500)), "{answer}");
    assert_eq!(answer["payment"]["state"], "settled");
    assert_eq!(answer["body"], "as you wish\n");
    assert_eq!(code(&answer), "paid_not_delivered");
}

#[test]
fn exit_7_a_body_that_breaks_off_was_paid() {
    let severed = severed_server();
    let market = Market::with_routes(&format!(
        "[[route]]\nmatch = \"/*\"\nupstream = \"{severed}\"\nprice = \"0.001 USD\"\n"
    ));
    let (exit, answer) = market.fetch_json(&[&market.url("/")]);
    assert_eq!((exit, &answer["status"]), (7, &json!(200)), "{answer}");
    assert_eq!(answer["payment"]["state"], "settled");
    assert_eq!(code(&answer), "body_broke_off");
}

/// A server that promises a hundred bytes, sends ten and hangs up; it serves one request.
fn severed_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the gate connects");
        read_head(&socket);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes.";
        socket.write_all(head.as_bytes()).expect("the gate listens");
    });
    format!("http://{address}")
}

#[test]
fn exit_22_an_error_without_a_payment_prints_its_body() {
    let market = Market::with_price("0 USD");
    let ended = market.fetch(&[&market.url("/status/404")]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (22, "as you wish\n"));
    assert!(ended.stderr.contains("404"), "{}", ended.stderr);
}

#[test]
fn the_configuration_says_which_offers_are_taken_and_flags_win() {
    let (user, _net, server) = stranger(|| StatusCode::OK.into_response());
    let file = user.read("net/buyer.toml");
    let decision = |section: &str, flags: &[&str]| {
        user.write("net/prefer.toml", &format!("{file}\n[prefer]\n{section}\n"));
        let url = server.url();
        let usual = ["fetch", "--dry-run", "--config", "net/prefer.toml", &url];
        let (exit, answer) = user.json(&[&usual[..], flags].concat());
        let reason = answer["offers"][0]["reason"].as_str().map(str::to_owned);
        (exit, reason.unwrap_or_default())
    };
    let taken = (0, String::new());
    let unwanted = |reason: &str| (4, reason.to_owned());
    assert_eq!(decision("", &[]), taken);
    let lightning = "protocol = \"l402\"";
    assert_eq!(
        decision(lightning, &[]),
        unwanted("--protocol asks for l402")
    );
    assert_eq!(decision(lightning, &["--protocol", "x402"]), taken);
    let euros = "assets = [\"EURC\"]";
    assert_eq!(decision(euros, &[]), unwanted("--asset asks for EURC"));
    assert_eq!(decision(euros, &["--asset", "USDC, EURC"]), taken);
    assert_eq!(
        decision("mainnets = false", &[]),
        taken,
        "it is a test network"
    );
    assert_eq!(
        decision("order = [\"lightning\", \"eip155:84532\"]", &[]),
        taken
    );
}
