//! The embedded node in the configuration: what makes no sense is refused in one sentence.

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
