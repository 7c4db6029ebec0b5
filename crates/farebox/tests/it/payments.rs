//! `farebox payments`: both sides of one payment, and what became of an open one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::market::Market;

/// Moves the chain's clock, as tests of expiry need.
fn later(market: &Market, seconds: u64) {
    let rpc = market.net.text("/evm/rpc");
    for (method, params) in [
        ("evm_increaseTime", json!([seconds])),
        ("evm_mine", json!([])),
    ] {
        let body =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let address = rpc.trim_start_matches("http://");
        let mut socket = TcpStream::connect(address).expect("the chain answers");
        write!(
            socket,
            "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("it listens");
        let status = BufReader::new(socket)
            .lines()
            .next()
            .expect("a line")
            .expect("UTF-8");
        assert!(status.contains("200"), "{status}");
    }
}

#[test]
fn both_sides_list_the_same_payment() {
    let market = Market::open();
    assert_eq!(market.fetch(&[&market.url("/ok")]).exit, 0);
    let (bought, sold) = (market.payments("buyer"), market.payments("seller"));
    assert_eq!((bought.len(), sold.len()), (1, 1));
    for key in ["transaction", "amount", "payee", "network", "payer"] {
        assert_eq!(bought[0][key], sold[0][key], "{key}");
    }
    assert_eq!(bought[0]["url"], market.url("/ok").as_str());
    assert_eq!(sold[0]["route"], "/*");
    let id = bought[0]["id"].as_str().expect("a name");
    let (exit, shown) = market
        .user
        .json(&["payments", "show", id, "--config", "net/buyer.toml"]);
    assert_eq!((exit, &shown), (0, &bought[0]));
    let text = market
        .user
        .run(&["payments", "show", id, "--config", "net/buyer.toml"])
        .stdout;
    assert!(text.contains(id) && text.contains("0.001 USDC"), "{text}");
    assert!(
        text.contains("\ncreated ") && text.contains(" GMT\n"),
        "{text}"
    );
}

#[test]
fn an_empty_list_is_a_list() {
    let user = crate::support::User::new();
    assert_eq!(
        user.json(&["payments", "list"]),
        (0, json!({"payments": []}))
    );
    assert_eq!(user.run(&["payments", "list"]).stdout, "No payments.\n");
}

#[test]
fn resume_gives_back_what_the_chain_says_can_never_be_spent() {
    let market = Market::open();
    let file = market.user.read("net/buyer.toml");
    market.user.write(
        "net/buyer.toml",
        &file.replace("[wallet]\n", "[wallet]\nmax_validity = \"1s\"\n"),
    );
    let (exit, answer) = market.fetch_json(&[&market.url("/status/500")]);
    assert_eq!(exit, 5, "{answer}");
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0.001".into()));
    // The chain's clock moves; the credential is dead on the chain's side, and provably unused.
    later(&market, 60);
    let resume = ["payments", "resume", "--all", "--config", "net/buyer.toml"];
    let (exit, answer) = market.user.json(&resume);
    assert_eq!(
        (exit, &answer["resolved"], &answer["still_unknown"]),
        (0, &json!(1), &json!(0)),
        "{answer}"
    );
    assert_eq!(answer["payments"][0]["state"], "released");
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0".into()));
    let (_, again) = market.user.json(&resume);
    assert_eq!(
        (&again["resolved"], &again["payments"]),
        (&json!(0), &json!([]))
    );
}

#[test]
fn resume_keeps_what_may_still_be_spent() {
    let market = Market::open();
    let (_, answer) = market.fetch_json(&[&market.url("/status/500")]);
    let id = answer["payment"]["id"].as_str().expect("a name");
    let (exit, answer) =
        market
            .user
            .json(&["payments", "resume", id, "--config", "net/buyer.toml"]);
    assert_eq!((exit, &answer["still_unknown"]), (0, &json!(1)), "{answer}");
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0.001".into()));
}

#[test]
fn resume_tells_why_nobody_could_be_asked() {
    let market = Market::open();
    let file = market.user.read("net/buyer.toml");
    assert_eq!(market.fetch(&[&market.url("/status/500")]).exit, 5);
    let resume = ["payments", "resume", "--all", "--config", "net/buyer.toml"];
    let rpc = market.net.text("/evm/rpc");
    let cases = [
        (
            "",
            "there is no node to ask about eip155:84532; add [network",
        ),
        ("http://127.0.0.1:1", "cannot be reached"),
    ];
    for (node, reason) in cases {
        let changed = match node {
            "" => file.replace(&format!("\"{rpc}\""), ""),
            node => file.replace(&rpc, node),
        };
        market.user.write("net/buyer.toml", &changed);
        let ended = market.user.run(&resume);
        assert_eq!(ended.exit, 0);
        assert!(ended.stdout.contains("1 still unknown"), "{}", ended.stdout);
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
}

#[test]
fn resume_of_a_seller_leaves_a_running_gate_alone() {
    let market = Market::open();
    assert_eq!(market.fetch(&[&market.url("/status/500")]).exit, 5);
    let resume = [
        "payments",
        "resume",
        "--all",
        "--role",
        "seller",
        "--config",
        "net/seller.toml",
    ];
    let (exit, answer) = market.user.json(&resume);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(answer["still_unknown"], 0);
    assert_eq!(market.payments("seller")[0]["state"], "released");
    assert_ne!(answer["payments"], Value::Null);
}
