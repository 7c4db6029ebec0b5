//! `farebox payments revoke`, and what a gate without a Lightning node says to routes that need one.

use crate::support::User;

const HASH: &str = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";

#[test]
fn what_a_payment_hash_buys_is_revoked_once() {
    let user = User::new();
    for is_new in [true, false] {
        let (exit, answer) = user.json(&["payments", "revoke", HASH]);
        assert_eq!(exit, 0, "{answer}");
        assert_eq!(answer["identity"], format!("l402:{HASH}"));
        assert_eq!(answer["revoked"], is_new);
    }
    let (exit, answer) = user.json(&["payments", "revoke", "pay_none"]);
    assert_eq!(exit, 2, "{answer}");
    let (exit, listed) = user.json(&["payments", "list"]);
    assert_eq!(
        (exit, listed["payments"].as_array().map(Vec::len)),
        (0, Some(0))
    );
}

#[test]
fn a_route_for_l402_without_a_node_does_not_open() {
    let user = User::new();
    user.write(
        "seller.toml",
        "[[route]]\nmatch = \"/*\"\nupstream = \"http://127.0.0.1:9\"\nprice = \"10 sat\"\naccept = [\"l402\"]\n",
    );
    for check in [&["--check"][..], &[]] {
        let mut arguments = vec!["gate", "--config", "seller.toml", "--listen", "127.0.0.1:0"];
        arguments.extend(check);
        let (exit, answer) = user.json(&arguments);
        assert_eq!(exit, 2, "{answer}");
        let message = answer["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains("Lightning node"), "{message}");
    }
}
