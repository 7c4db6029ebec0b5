//! `farebox devnet` with Lightning: the line that scripts read and the files that it leaves.

use crate::devnet::keys;
use crate::support::User;

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
