//! The examples that sell and buy over Lightning, between two real nodes.

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};

use super::{Trial, origin};
use crate::acme::eventually;
use crate::channel::Net;
use crate::market::Server;
use crate::version_1::ask;

/// A rate by hand, as a test network may have it, in place of the source in the example.
const SOURCE: &str = "{ url = \"https://rates.example.com/btc\", pointer = \"/price\", max_age = \"5m\", max_jump = \"10%\", min = \"20000\", max = \"500000\" }";
const FIXED: &str = "{ fixed = \"60000\" }";
const NODE: &str = "https://127.0.0.1:8080";
const TESTNET: &str = "lightning:testnet";
const REGTEST: &str = "lightning:regtest";

/// Buys with the buyer of the examples.
fn fetch(trial: &Trial, url: &str, flags: &[&str]) -> (i32, Value) {
    let usual = ["fetch", "--config", "buyer/lightning-buyer.toml", url];
    trial.user.json(&[&usual[..], flags].concat())
}

#[test]
fn an_api_is_sold_over_lightning_and_a_chain_to_the_buyers_of_the_examples() {
    let trial = Trial::new();
    let net = Net::take();
    let [seller, buyer] = net.devnet().nodes();
    let api = Server::start(Router::new().fallback(get(async || "sunny\n")));
    trial.user.write("invoice.macaroon", &seller.macaroon);
    trial.user.write("tls.cert", &seller.cert);
    let (upstream, ours) = (trial.upstream.url(), api.url());
    let filled = [
        (TESTNET, REGTEST),
        (NODE, &seller.url),
        (SOURCE, FIXED),
        (&upstream, &ours),
    ];
    trial.place("lightning.toml", &filled);
    std::fs::create_dir(trial.user.path("buyer")).expect("a folder");
    trial.user.write("buyer/pay.macaroon", &buyer.macaroon);
    trial.user.write("buyer/tls.cert", &buyer.cert);
    trial.place(
        "lightning-buyer.toml",
        &[(TESTNET, REGTEST), (NODE, &buyer.url)],
    );
    let file = trial.user.read("lightning-buyer.toml");
    trial.user.write("buyer/lightning-buyer.toml", &file);

    let gate = trial.start("gate", "lightning.toml");
    let [weather, search, archive] =
        ["/weather/oslo", "/search/rain", "/archive/2026"].map(|path| origin(&gate) + path);
    // A 402 does not wait long for the first invoice of a node on a busy machine.
    for page in [&weather, &search, &archive] {
        eventually("an offer over Lightning", || {
            let headers = ask(page, &[], None).headers;
            headers.iter().any(|(name, _)| name == "www-authenticate")
        });
    }
    let (exit, answer) = fetch(&trial, &weather, &[]);
    assert_eq!((exit, &answer["body"]), (0, &json!("sunny\n")), "{answer}");
    assert_eq!(answer["payment"]["network"], REGTEST, "{answer}");
    assert_eq!(answer["cost"]["amount"], "0.001001", "{answer}");
    for cost in ["0.03", "0"] {
        let (exit, answer) = fetch(&trial, &search, &[]);
        assert_eq!(
            (exit, &answer["cost"]["amount"]),
            (0, &json!(cost)),
            "{answer}"
        );
    }
    let (_, answer) = fetch(&trial, &archive, &["--dry-run"]);
    assert_eq!(answer["offers"][0]["protocol"], "l402", "{answer}");
    assert_eq!(
        answer["offers"].as_array().map(Vec::len),
        Some(1),
        "{answer}"
    );

    let (exit, answer) = trial
        .user
        .json(&["fetch", "--config", "net/buyer.toml", &weather]);
    assert_eq!((exit, &answer["body"]), (0, &json!("sunny\n")), "{answer}");
    assert_eq!(answer["payment"]["rail"], "evm", "{answer}");
}
