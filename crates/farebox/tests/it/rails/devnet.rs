//! `farebox devnet` with Lightning and Solana: the line that scripts read and the files that it leaves.

use serde_json::{Value, json};

use crate::acme::eventually;
use crate::devnet::{call, keys};
use crate::market::Upstream;
use crate::support::{Running, User};
use crate::version_1::ask;

/// A gate with the files of the devnet, in front of `upstream`, that has its first invoice: a 402 does not wait long for a
/// node on a busy machine.
fn gate(user: &User, upstream: &Upstream) -> Running {
    let gate = open(user, upstream);
    let page = format!("{}/ok", gate.text("/listening"));
    eventually("an offer over Lightning", || {
        let headers = ask(&page, &[], None).headers;
        headers.iter().any(|(name, _)| name == "www-authenticate")
    });
    gate
}

/// The same gate, whatever it sells over.
fn open(user: &User, upstream: &Upstream) -> Running {
    user.start(&[
        "gate",
        "--config",
        "net/seller.toml",
        "--upstream",
        &upstream.url(),
        "--price",
        "0.001 USD",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ])
}

/// Buys with the files of the devnet.
fn buy(user: &User, gate: &Running, flags: &[&str]) -> Value {
    let page = format!("{}/ok", gate.text("/listening"));
    let usual = ["fetch", "--config", "net/buyer.toml", &page];
    let (exit, answer) = user.json(&[&usual[..], flags].concat());
    assert_eq!((exit, &answer["body"]), (0, &json!("ok\n")), "{answer}");
    let payment = &answer["payment"];
    assert_eq!(payment["state"], "settled", "{answer}");
    payment.clone()
}

/// What the seller's books say was paid for, by rail.
fn sold(user: &User) -> Vec<Value> {
    let list = ["payments", "list", "--role", "seller"];
    let (_, answer) = user.json(&[&list[..], &["--config", "net/seller.toml"]].concat());
    let payments = answer["payments"].as_array().expect("payments");
    payments
        .iter()
        .map(|payment| payment["rail"].clone())
        .collect()
}

#[test]
fn its_lightning_nodes_are_told_and_their_keys_written() {
    let user = User::new();
    let net = user.start(&["devnet", "--only", "lightning", "--write", "net", "--json"]);
    assert_eq!(keys(&net.ready), ["lightning"]);
    let lightning = &net.ready["lightning"];
    assert_eq!(keys(lightning), ["bitcoind", "network", "nodes"]);
    assert_eq!(lightning["network"], "lightning:regtest");
    assert_eq!(
        keys(&lightning["bitcoind"]),
        ["host", "password", "port", "user"]
    );
    let nodes = lightning["nodes"].as_array().expect("nodes");
    for (node, name) in nodes.iter().zip(["seller", "buyer"]) {
        assert_eq!(keys(node), ["cert", "macaroon", "p2p", "pubkey", "url"]);
        let cert = user.read(&format!("net/{name}-tls.cert"));
        assert_eq!(node["cert"].as_str(), Some(cert.as_str()));
        let macaroon = std::fs::read(user.path(&format!("net/{name}.macaroon"))).expect("bytes");
        assert_eq!(
            node["macaroon"].as_str(),
            Some(hex::encode(macaroon).as_str())
        );
    }
    assert_eq!(nodes.len(), 2);
}

#[test]
fn a_gate_with_its_files_sells_over_both_rails_and_a_buyer_buys_over_either() {
    let user = User::new();
    let only = ["--only", "evm,lightning", "--evm-port", "0"];
    let net = user.start(&[&["devnet", "--write", "net", "--json"], &only[..]].concat());
    assert_eq!(keys(&net.ready), ["evm", "lightning"]);
    let upstream = Upstream::start();
    let gate = gate(&user, &upstream);
    let paid = buy(&user, &gate, &["--rail", "lightning"]);
    assert_eq!(paid["network"], "lightning:regtest", "{paid}");
    assert_eq!(paid["amount"]["atomic"], "1000", "1 sat: {paid}");
    let paid = buy(&user, &gate, &["--rail", "evm"]);
    assert_eq!(paid["network"], "eip155:84532", "{paid}");
    assert_eq!(paid["amount"]["atomic"], "1000", "{paid}");
    assert_eq!(upstream.calls(), 2);
    drop(gate);
    assert_eq!(sold(&user), ["evm", "lightning"]);
    for file in ["net/seller.toml", "net/buyer.toml"] {
        let (exit, answer) = user.json(&["doctor", "--config", file]);
        assert_eq!(exit, 0, "{answer}");
    }
    let usual = ["facilitator", "--config", "net/seller.toml"];
    let more = ["--listen", "127.0.0.1:0", "--json"];
    user.start(&[&usual[..], &more].concat()).text("/listening");
}

#[test]
fn of_three_rails_in_one_402_the_preferred_one_is_paid_by_file_and_by_flag() {
    let user = User::new();
    let ports = ["--evm-port", "0", "--solana-port", "0"];
    let only = ["--only", "evm,lightning,solana"];
    let net = ["devnet", "--write", "net", "--json"];
    let _net = user.start(&[&net[..], &only, &ports].concat());
    let upstream = Upstream::start();
    let gate = gate(&user, &upstream);
    let file = user.read("net/buyer.toml");
    let prefer = |text: &str| user.write("net/buyer.toml", &format!("{file}\n[prefer]\n{text}\n"));
    let rail = |flags: &[&str]| buy(&user, &gate, flags)["rail"].clone();
    for first in ["solana", "lightning", "evm"] {
        prefer("");
        assert_eq!(rail(&["--prefer", first]), first);
        prefer(&format!("order = [\"{first}\"]"));
        assert_eq!(rail(&[]), first);
    }
    // A dollar token is wanted, so that Lightning is out, whoever comes first; all are test networks.
    prefer("order = [\"lightning\", \"solana\"]\nassets = [\"USDC\"]\nmainnets = false");
    assert_eq!(rail(&[]), "solana");
    prefer("");
    let wish = [
        "--prefer",
        "lightning,evm",
        "--asset",
        "USDC",
        "--no-mainnet",
    ];
    assert_eq!(rail(&wish), "evm");
    assert_eq!(upstream.calls(), 8);
}

#[test]
fn its_files_sell_over_lightning_alone_where_no_chain_runs() {
    let user = User::new();
    let _net = user.start(&["devnet", "--only", "lightning", "--write", "net", "--json"]);
    let upstream = Upstream::start();
    let gate = gate(&user, &upstream);
    let paid = buy(&user, &gate, &[]);
    assert_eq!(paid["rail"], "lightning", "{paid}");
    drop(gate);
    assert_eq!(sold(&user), ["lightning"]);
}

#[tokio::test]
async fn its_solana_network_is_told_and_answers_at_once() {
    let user = User::new();
    let net = user.start(&["devnet", "--only", "solana", "--solana-port", "0", "--json"]);
    assert_eq!(keys(&net.ready), ["solana"]);
    let solana = &net.ready["solana"];
    assert_eq!(keys(solana), ["accounts", "network", "rpc", "usdc"]);
    let usdc = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
    assert_eq!(solana["usdc"], usdc);
    let rpc = net.text("/solana/rpc");
    let genesis = call(&rpc, "getGenesisHash", json!([])).await;
    let reference = &genesis.as_str().expect("a hash")[..32];
    assert_eq!(solana["network"], format!("solana:{reference}"));
    let accounts = solana["accounts"].as_array().expect("accounts");
    assert_eq!(accounts.len(), 10);
    for (number, account) in accounts.iter().enumerate() {
        assert_eq!(keys(account), ["address", "key"]);
        let key = account["key"].as_str().expect("a key");
        assert!(matches!(key.len(), 86..=88), "64 bytes in base58: {key}");
        let balance = call(&rpc, "getBalance", json!([account["address"]])).await;
        assert_eq!(balance["value"], json!(100_000_000_000_u64));
        let ask = json!([account["address"], {"mint": usdc}, {"encoding": "jsonParsed"}]);
        let found = call(&rpc, "getTokenAccountsByOwner", ask).await;
        let tokens = found["value"][0]
            .pointer("/account/data/parsed/info/tokenAmount/uiAmountString")
            .cloned();
        let expected = match number {
            0 => None,
            9 => Some(json!("0")),
            _ => Some(json!("1000000")),
        };
        assert_eq!(tokens, expected, "account {number}");
    }
}

#[cfg(unix)]
#[test]
fn solana_runs_beside_a_chain_and_stops_with_it() {
    let user = User::new();
    let ports = ["--evm-port", "0", "--solana-port", "0"];
    let only = ["devnet", "--only", "evm,solana", "--json"];
    let net = user.start(&[&only[..], &ports].concat());
    assert_eq!(keys(&net.ready), ["evm", "solana"]);
    let (exit, stderr) = net.interrupt();
    assert_eq!((exit, stderr.as_str()), (0, ""));
}

#[test]
fn a_port_of_solana_that_is_taken_is_refused() {
    let user = User::new();
    let only = ["devnet", "--only", "solana"];
    let net = user.start(&[&only[..], &["--solana-port", "0", "--json"]].concat());
    let rpc = net.text("/solana/rpc");
    let port = rpc.rsplit(':').next().expect("a port");
    let (exit, answer) = user.json(&[&only[..], &["--solana-port", port]].concat());
    assert_eq!(exit, 2, "{answer}");
    assert_eq!(answer["error"]["code"], "devnet_failed");
}

#[test]
fn a_gate_with_its_files_sells_on_solana_beside_a_chain_and_alone() {
    for (only, rails) in [
        ("evm,solana", &["solana", "evm"][..]),
        ("solana", &["solana"]),
    ] {
        let user = User::new();
        let ports = ["--evm-port", "0", "--solana-port", "0"];
        let flags = ["devnet", "--only", only, "--write", "net", "--json"];
        let _net = user.start(&[&flags[..], &ports].concat());
        let upstream = Upstream::start();
        let gate = open(&user, &upstream);
        for rail in rails {
            let paid = buy(&user, &gate, &["--rail", rail]);
            assert_eq!(paid["rail"], *rail, "{paid}");
            assert_eq!(paid["amount"]["atomic"], "1000", "{paid}");
        }
        drop(gate);
        let mut sold = sold(&user);
        sold.sort_by_key(Value::to_string);
        let mut rails = rails.to_vec();
        rails.sort_unstable();
        assert_eq!(json!(sold), json!(rails));
    }
}
