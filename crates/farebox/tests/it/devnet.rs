//! `farebox devnet`: the line that scripts read and the files that it leaves.

use serde_json::{Value, json};

use crate::support::User;

pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn it_prints_one_line_with_the_network_that_was_asked_for() {
    let user = User::new();
    let net = user.start(&["devnet", "--only", "evm", "--evm-port", "0", "--json"]);
    assert_eq!(keys(&net.ready), ["evm"]);
    let evm = &net.ready["evm"];
    assert_eq!(
        keys(evm),
        ["accounts", "chain_id", "network", "rpc", "usdc"]
    );
    assert_eq!(evm["chain_id"], 84532);
    assert_eq!(evm["network"], "eip155:84532");
    assert_eq!(evm["usdc"], "0x036CbD53842c5426634e7929541eC2318f3dCF7e");
    let accounts = evm["accounts"].as_array().expect("accounts");
    assert_eq!(accounts.len(), 10);
    assert_eq!(
        accounts[0],
        json!({
            "address": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "key": "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        })
    );
    assert_eq!(
        accounts[9]["address"],
        "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"
    );
}

#[tokio::test]
async fn its_chain_answers_at_once() {
    let user = User::new();
    let net = user.devnet();
    let chain_id = call(&net.text("/evm/rpc"), "eth_chainId", json!([])).await;
    assert_eq!(chain_id, "0x14a34");
}

/// What a node answers to one call.
pub(crate) async fn call(rpc: &str, method: &str, params: Value) -> Value {
    // The client of this test makes no TLS, but its builder asks for a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = reqwest::Client::new()
        .post(rpc)
        .header("content-type", "application/json")
        .body(call.to_string())
        .send()
        .await
        .expect("an answer");
    let text = answer.text().await.expect("a body");
    let mut answer: Value = serde_json::from_str(&text).expect("JSON");
    answer["result"].take()
}

#[test]
fn it_leaves_files_for_a_seller_and_a_buyer() {
    let user = User::new();
    let net = user.devnet();
    let seller: toml::Table = user.read("net/seller.toml").parse().expect("TOML");
    let buyer: toml::Table = user.read("net/buyer.toml").parse().expect("TOML");
    for key in ["listen", "public_url", "route"] {
        assert!(!seller.contains_key(key), "{key}");
    }
    assert_eq!(seller["ledger"].as_str(), Some("sqlite:seller.db"));
    assert_eq!(buyer["ledger"].as_str(), Some("sqlite:buyer.db"));
    assert_eq!(
        seller["pay_to"]["evm"].as_str(),
        Some("0xa0Ee7A142d267C1f36714E4a8F75612F20a79720")
    );
    assert_eq!(
        seller["facilitator"]["signer"]["evm"].as_str(),
        Some("file:gas.key")
    );
    assert_eq!(buyer["wallet"]["evm_key"].as_str(), Some("file:buyer.key"));
    for file in [&seller, &buyer] {
        let network = &file["network"]["eip155:84532"];
        assert_eq!(
            network["rpc"][0].as_str(),
            Some(net.text("/evm/rpc").as_str())
        );
        assert_eq!(network["final"].as_integer(), Some(0));
    }
    let budget: Vec<_> = ["per_payment", "per_day", "total"]
        .map(|key| buyer["budget"][key].as_str())
        .into();
    assert_eq!(budget, [Some("1 USD"), Some("10 USD"), Some("10 USD")]);
    let address = user.run(&["wallet", "address", "--config", "net/buyer.toml"]);
    assert_eq!(
        address.stdout,
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8\n"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_well() {
    let user = User::new();
    let (exit, stderr) = user.devnet().interrupt();
    assert_eq!(exit, 0);
    assert_eq!(stderr, "");
}

#[test]
fn a_network_that_was_not_compiled_in_names_its_feature() {
    let user = User::new();
    let mut missing = Vec::new();
    if cfg!(not(feature = "devnet-svm")) {
        missing.push(("solana", "devnet-svm"));
    }
    if cfg!(not(feature = "devnet-ln")) {
        missing.push(("lightning", "devnet-ln"));
    }
    for (network, feature) in missing {
        let (exit, answer) = user.json(&["devnet", "--only", network]);
        assert_eq!(exit, 2);
        assert_eq!(answer["error"]["code"], "feature_missing");
        let message = answer["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains(feature), "{message}");
    }
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let user = User::new();
    let net = user.devnet();
    let rpc = net.text("/evm/rpc");
    let port = rpc.rsplit(':').next().expect("a port");
    let (exit, answer) = user.json(&["devnet", "--only", "evm", "--evm-port", port]);
    assert_eq!(exit, 2);
    assert_eq!(answer["error"]["code"], "devnet_failed");
}
