//! Lightning in the configuration: what makes no sense is refused in one sentence, and the doctor says
//! what a node is in the way of.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::market::Server;
use crate::support::User;

/// Of a node.
const PUBKEY: &str = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";

/// Where nobody listens.
const NOBODY: &str = "https://127.0.0.1:1";

pub(crate) fn network(name: &str, node: &str, more: &str) -> String {
    format!("[network.\"lightning:{name}\"]\n{node}\n{more}\n")
}

fn lnd(url: &str, macaroon: &str) -> String {
    format!("node = {{ kind = \"lnd\", url = \"{url}\", macaroon = \"{macaroon}\" }}")
}

/// A user with something that looks like a macaroon.
pub(crate) fn user() -> User {
    let user = User::new();
    user.write("lnd.macaroon", &"02".repeat(60));
    user
}

/// Why nothing is paid with this file.
pub(crate) fn refused(user: &User, file: &str) -> String {
    user.write("farebox.toml", file);
    let url = "http://127.0.0.1:1/";
    let (exit, answer) = user.json(&["fetch", "--config", "farebox.toml", url]);
    assert_eq!(exit, 2, "{file}: {answer}");
    let message = answer["error"]["message"].as_str().expect("a sentence");
    message.to_owned()
}

#[test]
fn a_node_that_cannot_be_reached_as_written_is_refused_with_the_key() {
    let user = user();
    user.write("other.txt", "not a macaroon");
    let good = lnd(NOBODY, "file:lnd.macaroon");
    let pinned = "node = { kind = \"lnd\", url = \"https://a.example\", macaroon = \"file:lnd.macaroon\", cert = \"file:other.txt\" }";
    for (file, said) in [
        (network("regtest", "", ""), "has no node"),
        (network("simnet", &good, ""), "no network of Lightning"),
        (
            network("regtest", &lnd("http://10.0.0.1", "file:lnd.macaroon"), ""),
            "needs https",
        ),
        (
            network("regtest", &lnd("10.0.0.1", "file:lnd.macaroon"), ""),
            "https address",
        ),
        (
            network("regtest", &lnd(NOBODY, "file:none"), ""),
            "cannot be read",
        ),
        (
            network("regtest", &lnd(NOBODY, "file:other.txt"), ""),
            "no macaroon",
        ),
        (network("regtest", pinned, ""), "no certificate"),
        (
            network("regtest", &good, "rpc = [\"http://127.0.0.1:1\"]"),
            "keys of an EVM chain",
        ),
        (
            network("regtest", &good, "max_fee = \"1 gwei\""),
            "gas money",
        ),
    ] {
        let message = refused(&user, &file);
        assert!(message.contains(said), "{file}: {message}");
        assert!(message.contains("lightning:"), "{message}");
    }
    let chain = "[network.\"eip155:84532\"]\nmax_fee = \"1%\"\n";
    assert!(refused(&user, chain).contains("fee of Lightning"));
}

#[test]
fn an_embedded_node_is_refused_with_the_name_of_its_feature_in_a_build_without_it() {
    if cfg!(feature = "embedded-node") {
        return;
    }
    let node = "node = { kind = \"embedded\", chain = { esplora = \"https://a.example\" } }";
    let message = refused(&user(), &network("regtest", node, ""));
    assert!(message.contains("feature `embedded-node`"), "{message}");
}

#[test]
fn a_rate_is_fixed_or_read_within_bounds() {
    let user = user();
    let node = lnd(NOBODY, "file:lnd.macaroon");
    let with = |name: &str, rate: &str| {
        format!(
            "{}[rates]\n\"BTC/USD\" = {{ {rate} }}\n",
            network(name, &node, "")
        )
    };
    let url = "url = \"https://rates.example/btc\", pointer = \"/price\"";
    for (file, said) in [
        (with("regtest", ""), "either fixed or read"),
        (
            with("regtest", &format!("fixed = \"60000\", {url}")),
            "either fixed or read",
        ),
        (with("mainnet", "fixed = \"60000\""), "real money"),
        (
            with("regtest", "url = \"https://rates.example/btc\""),
            "needs pointer",
        ),
        (with("regtest", url), "needs min"),
        (
            with("regtest", &format!("{url}, min = \"20000\"")),
            "needs max",
        ),
        (
            with("regtest", &format!("{url}, min = \"5\", max = \"5\"")),
            "no range",
        ),
        (
            with(
                "regtest",
                &format!("{url}, min = \"1\", max = \"5\", max_age = \"1s\""),
            ),
            "too short",
        ),
        (
            with(
                "regtest",
                "url = \"http://rates.example/btc\", pointer = \"/price\", min = \"1\", max = \"5\"",
            ),
            "no https address",
        ),
        (
            with(
                "regtest",
                "url = \"https://rates.example/btc\", pointer = \"price\", min = \"1\", max = \"5\"",
            ),
            "no JSON pointer",
        ),
    ] {
        let message = refused(&user, &file);
        assert!(message.contains(said), "{file}: {message}");
    }
}

#[test]
fn the_doctor_says_that_a_node_is_away_and_that_nobody_knows_the_rate() {
    let user = user();
    let node = lnd(NOBODY, "file:lnd.macaroon");
    user.write("farebox.toml", &network("regtest", &node, ""));
    let (exit, answer) = user.json(&["doctor", "--config", "farebox.toml"]);
    assert_eq!(exit, 1, "{answer}");
    let text = answer.to_string();
    for id in ["node_unreachable", "rate_missing"] {
        assert!(text.contains(id), "{id}: {text}");
    }
    user.write(
        "farebox.toml",
        &network("regtest", &lnd(NOBODY, "file:none"), ""),
    );
    let (exit, answer) = user.json(&["doctor", "--config", "farebox.toml"]);
    assert_eq!(exit, 1, "{answer}");
    assert!(answer.to_string().contains("node_invalid"), "{answer}");
}

#[test]
fn a_wallet_of_lightning_alone_tells_what_its_node_can_pay() {
    let info = json!({
        "identity_pubkey": PUBKEY, "chains": [{"chain": "bitcoin", "network": "regtest"}],
        "synced_to_chain": true, "block_height": 7, "num_active_channels": 1,
    });
    let amount = |msat: u64| json!({"sat": (msat / 1_000).to_string(), "msat": msat.to_string()});
    let balance = json!({"local_balance": amount(123_456), "remote_balance": amount(7)});
    let node = Server::start(
        Router::new()
            .route("/v1/getinfo", get(async move || Json(info)))
            .route("/v1/balance/channels", get(async move || Json(balance))),
    );
    let user = user();
    let file = network("regtest", &lnd(&node.url(), "file:lnd.macaroon"), "");
    user.write("farebox.toml", &file);
    let (exit, answer) = user.json(&["wallet", "balance", "--config", "farebox.toml"]);
    assert_eq!(exit, 0, "{answer}");
    let expected = json!({"balances": [{
        "network": "lightning:regtest", "asset": "1", "symbol": "sat", "decimals": 3,
        "address": PUBKEY, "atomic": "123456", "amount": "123.456",
    }], "errors": []});
    assert_eq!(answer, expected);
}

#[test]
fn the_operator_of_an_embedded_node_is_told_what_the_build_lacks() {
    if cfg!(feature = "embedded-node") {
        return;
    }
    let user = User::new();
    for command in [
        &["info"][..],
        &["address"],
        &["channels"],
        &["open", "02aa@127.0.0.1:9735", "200000sat"],
        &["close", "a"],
        &["run"],
    ] {
        let (exit, answer) = user.json(&[&["node"], command].concat());
        assert_eq!(exit, 2, "{command:?}: {answer}");
        assert_eq!(answer["error"]["code"], "feature_missing", "{command:?}");
        let message = answer["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains("`embedded-node`"), "{message}");
    }
}

#[test]
fn a_channel_that_makes_no_sense_is_a_usage_error() {
    let user = User::new();
    for (arguments, said) in [
        (["02aa", "200000sat", ""], "where it listens"),
        (["02aa@127.0.0.1:9735", "200000", ""], "no sum of satoshis"),
        (["02aa@127.0.0.1:9735", "0.5sat", ""], "no sum of satoshis"),
        (
            ["02aa@127.0.0.1:9735", "20000sat", "--push=20001sat"],
            "more than the channel holds",
        ),
    ] {
        let given = arguments.iter().filter(|argument| !argument.is_empty());
        let arguments: Vec<&str> = ["node", "open"].iter().chain(given).copied().collect();
        let (exit, answer) = user.json(&arguments);
        assert_eq!(exit, 2, "{arguments:?}: {answer}");
        assert_eq!(answer["error"]["code"], "usage", "{arguments:?}");
        assert!(answer.to_string().contains(said), "{arguments:?}: {answer}");
    }
}
