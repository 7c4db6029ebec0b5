//! Selling and buying over L402 with a real channel between two real nodes: what moved over it is what the books of
//! both sides say, however often a token is used and whoever loses a reply.

use serde_json::Value;

use crate::channel::{Channel, PRICE_MSAT, PRICE_USD, wait_until};
use crate::support::Running;

/// How each payment of one side ended: its state, and at a seller whether it was handed over.
fn states(payments: &[Value]) -> Vec<String> {
    let text = |payment: &Value, key: &str| payment[key].as_str().unwrap_or("-").to_owned();
    let mut states: Vec<String> = payments
        .iter()
        .map(|payment| format!("{} {}", text(payment, "state"), text(payment, "delivery")))
        .collect();
    states.sort();
    states
}

#[test]
fn what_moves_over_the_channel_is_what_the_books_of_both_sides_say() {
    let channel = Channel::open(2);
    let url = channel.url("/ok");
    let (exit, answer) = channel.fetch_json(&[&url]);
    assert_eq!((exit, &answer["body"]), (0, &"ok\n".into()), "{answer}");
    let payment = &answer["payment"];
    for (key, value) in [
        ("state", "settled"),
        ("outcome", "settled"),
        ("protocol", "l402"),
        ("rail", "lightning"),
        ("network", "lightning:regtest"),
    ] {
        assert_eq!(payment[key], value, "{answer}");
    }
    assert_eq!(payment["amount"]["atomic"], PRICE_MSAT.to_string());
    assert_eq!(answer["cost"]["amount"], PRICE_USD);
    assert_eq!(channel.tokens()[0]["uses_left"], 1);
    // The second use is paid already, the third is not.
    let (exit, again) = channel.fetch_json(&[&url]);
    assert_eq!((exit, &again["body"]), (0, &"ok\n".into()), "{again}");
    channel.assert_moved(PRICE_MSAT);
    assert_eq!(channel.fetch(&[&url]).exit, 0);
    channel.assert_moved(2 * PRICE_MSAT);
    assert_eq!(channel.upstream.calls(), 3);
    assert_eq!(
        channel.spent_and_reserved(),
        ("0.012".to_owned(), "0".to_owned())
    );
    let (bought, sold) = (channel.payments("buyer"), channel.payments("seller"));
    assert_eq!(states(&bought), ["settled -"; 2]);
    assert_eq!(states(&sold), ["settled delivered"; 2]);
    for (bought, sold) in bought.iter().zip(&sold) {
        for key in ["transaction", "amount", "payee", "network", "protocol"] {
            assert_eq!(bought[key], sold[key], "{key}");
        }
    }
    assert_eq!(bought[1]["transaction"], payment["transaction"]);
    assert_eq!(sold[0]["payee"], channel.net.devnet().nodes()[0].pubkey);
}

#[test]
fn a_payment_that_the_node_has_not_decided_is_taken_up_again_and_not_paid_twice() {
    let channel = Channel::open(1);
    let url = channel.url("/ok");
    channel.net.devnet().faults(0).hold_payments();
    let (exit, answer) = channel.fetch_json(&["--max-time", "8s", &url]);
    assert_eq!(exit, 6, "{answer}");
    assert_eq!(answer["error"]["money_may_have_moved"], true, "{answer}");
    assert_ne!(channel.spent_and_reserved().1, "0");
    channel.net.devnet().faults(0).release_payments();
    channel.assert_moved(PRICE_MSAT);
    let resume = ["payments", "resume", "--all", "--config", "buyer.toml"];
    let (exit, resumed) = channel.user.json(&resume);
    assert_eq!((exit, &resumed["resolved"]), (0, &1.into()), "{resumed}");
    assert_eq!(
        channel.spent_and_reserved(),
        (PRICE_USD.to_owned(), "0".to_owned())
    );
    // The seller learns of it from its node, before anybody shows the token.
    wait_until(|| !channel.payments("seller").is_empty());
    let sold = channel.payments("seller");
    assert_eq!(states(&sold), ["settled undelivered"]);
    assert_eq!(sold[0]["route"], "/*");
    assert_eq!(channel.fetch(&[&url]).stdout, "ok\n");
    channel.assert_moved(PRICE_MSAT);
    assert_eq!(states(&channel.payments("seller")), ["settled delivered"]);
    assert_eq!(channel.payments("buyer").len(), 1);
}

#[test]
fn a_use_that_was_not_delivered_is_given_back_and_not_paid_for_again() {
    let channel = Channel::open(1);
    for calls in 1..=2 {
        let (exit, answer) = channel.fetch_json(&[&channel.url("/status/503")]);
        assert_eq!((exit, &answer["status"]), (7, &503.into()), "{answer}");
        assert_eq!(channel.upstream.calls(), calls);
    }
    channel.assert_moved(PRICE_MSAT);
    assert_eq!(states(&channel.payments("seller")), ["settled undelivered"]);
    assert_eq!(channel.payments("buyer").len(), 1);
}

#[test]
fn a_dry_run_tells_what_the_invoice_asks_and_pays_nothing() {
    let channel = Channel::open(1);
    let (exit, answer) = channel.fetch_json(&["--dry-run", &channel.url("/ok")]);
    assert_eq!(
        (exit, &answer["decision"]["allow"]),
        (0, &true.into()),
        "{answer}"
    );
    let offer = &answer["offers"][0];
    assert_eq!(offer["protocol"], "l402", "{answer}");
    assert_eq!(offer["payable"], true, "{answer}");
    assert!(channel.payments("buyer").is_empty());
    assert_eq!(channel.upstream.calls(), 0);
    channel.assert_moved(0);
}

/// The mode of a file, its kind left out.
#[cfg(unix)]
fn mode(channel: &Channel, name: &str) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    let about = std::fs::metadata(channel.user.path(name)).expect("the file is there");
    about.mode() & 0o777
}

#[cfg(unix)]
#[test]
fn the_key_of_a_gate_is_made_for_its_owner_alone_and_opens_old_tokens_after_a_restart() {
    use std::os::unix::fs::PermissionsExt as _;

    let mut channel = Channel::open(2);
    let url = channel.url("/ok");
    let made = channel.user.read("l402.key");
    assert_eq!(made.trim().len(), 64);
    assert_eq!(mode(&channel, "l402.key"), 0o600);
    assert_eq!(channel.fetch(&[&url]).exit, 0);
    drop(channel.gate.take());
    channel.start_gate();
    assert_eq!(channel.user.read("l402.key"), made);
    assert_eq!(channel.fetch(&[&url]).stdout, "ok\n");
    channel.assert_moved(PRICE_MSAT);
    let (_, stderr) = channel.gate.take().map(Running::interrupt).expect("it ran");
    assert!(!stderr.contains(made.trim()), "{stderr}");
    // Whoever can read it can mint.
    let others = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(channel.user.path("l402.key"), others).expect("a mode");
    for check in [&[][..], &["--check"]] {
        let gate = ["gate", "--config", "seller.toml", "--listen", "127.0.0.1:0"];
        let (exit, answer) = channel.user.json(&[&gate[..], check].concat());
        assert_eq!(exit, 2, "{answer}");
        let message = answer["error"]["message"].as_str().expect("a sentence");
        assert!(
            message.contains("l402.key") && message.contains("chmod 600"),
            "{message}"
        );
    }
}
