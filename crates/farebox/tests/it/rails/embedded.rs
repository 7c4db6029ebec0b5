//! The embedded node in the configuration, and what its operator may ask: what makes no sense is refused in one sentence.

use crate::lightning::{network, refused, user};

#[test]
fn an_embedded_node_has_one_chain_source_and_no_keys_of_lnd() {
    let user = user();
    for node in [
        "kind = \"embedded\"",
        "kind = \"embedded\", chain = {}",
        "kind = \"embedded\", chain = { esplora = \"https://a\", electrum = \"ssl://a:1\" }",
        "kind = \"embedded\", chain = { esplora = \"https://a\" }, url = \"https://a\"",
    ] {
        let node = format!("node = {{ {node} }}");
        let message = refused(&user, &network("regtest", &node, ""));
        assert!(
            message.contains("chain") || message.contains("remove them"),
            "{message}"
        );
    }
}

#[test]
fn the_operator_names_one_embedded_node() {
    let user = user();
    let embedded = "node = { kind = \"embedded\", chain = { esplora = \"http://127.0.0.1:1\" } }";
    let lnd = "node = { kind = \"lnd\", url = \"https://127.0.0.1:1\", macaroon = \"file:lnd.macaroon\" }";
    let both = network("regtest", embedded, "") + &network("signet", embedded, "");
    let beside = network("regtest", lnd, "");
    for (file, wanted, code, said) in [
        (both.as_str(), None, "usage", "--network"),
        (
            beside.as_str(),
            Some("lightning:regtest"),
            "node_not_embedded",
            "lncli",
        ),
        (beside.as_str(), None, "config_missing", "kind = "),
        ("", None, "config_missing", "kind = "),
        (
            both.as_str(),
            Some("lightning:mainnet"),
            "config_missing",
            "lightning:mainnet",
        ),
    ] {
        user.write("farebox.toml", file);
        let mut arguments = vec!["node", "address", "--config", "farebox.toml"];
        arguments.extend(wanted.iter().flat_map(|network| ["--network", network]));
        let (exit, answer) = user.json(&arguments);
        assert_eq!(
            (exit, &answer["error"]["code"]),
            (2, &code.into()),
            "{answer}"
        );
        let message = answer["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains(said), "{message}");
    }
}
