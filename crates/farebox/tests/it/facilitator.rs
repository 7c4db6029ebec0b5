//! `farebox facilitator`: what it needs to start, and how it stops.

use serde_json::Value;

use crate::support::{Running, User};

fn refused(user: &User, arguments: &[&str]) -> String {
    let (exit, answer) = user.json(&[&["facilitator"], arguments].concat());
    assert_eq!(exit, 2, "{answer}");
    assert_eq!(answer["ok"], false);
    let message = answer["error"]["message"].as_str();
    message.expect("a sentence").to_owned()
}

const ON_A_FREE_PORT: [&str; 4] = ["--config", "net/seller.toml", "--listen", "127.0.0.1:0"];

/// What it answers, read with our own client.
fn get(user: &User, facilitator: &Running, path: &str) -> Value {
    let url = format!("{}{path}", facilitator.text("/listening"));
    let ended = user.run(&["fetch", "--config", "net/buyer.toml", &url]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[test]
fn it_serves_the_file_that_devnet_writes() {
    let user = User::new();
    let _net = user.devnet();
    let facilitator = user.start(&[&["facilitator"], &ON_A_FREE_PORT[..], &["--json"]].concat());
    let keys: Vec<&String> = facilitator
        .ready
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(keys, ["listening"]);
    let supported = get(&user, &facilitator, "/supported");
    assert_eq!(supported["kinds"][0]["network"], "eip155:84532");
    let health = get(&user, &facilitator, "/health");
    assert_eq!(health["status"], "ok", "{health}");
}

#[test]
fn it_names_everything_that_a_facilitator_lacks_with_the_flag_that_supplies_it() {
    let user = User::new();
    let message = refused(&user, &[]);
    for flag in ["--network", "--gas-key"] {
        assert!(message.contains(flag), "{flag} in: {message}");
    }
    let message = refused(&user, &["--network", "eip155:84532"]);
    for flag in ["--rpc eip155:84532=URL", "--gas-key"] {
        assert!(message.contains(flag), "{flag} in: {message}");
    }
}

#[test]
fn beyond_loopback_a_facilitator_without_limits_does_not_start() {
    let user = User::new();
    let _net = user.devnet();
    let everywhere = ["--config", "net/seller.toml", "--listen", "0.0.0.0:0"];
    let message = refused(&user, &everywhere);
    for key in [
        "payees",
        "tokens",
        "open = true",
        "--payee",
        "--token",
        "--open",
    ] {
        assert!(message.contains(key), "{key} in: {message}");
    }
    for limit in [
        &["--open"][..],
        &["--payee", "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"],
    ] {
        let arguments = [&["facilitator"], &everywhere[..], limit, &["--json"]].concat();
        drop(user.start(&arguments));
    }
}

#[test]
fn one_gas_key_has_one_owner() {
    let user = User::new();
    let _net = user.devnet();
    let start = [&["facilitator"], &ON_A_FREE_PORT[..], &["--json"]].concat();
    let first = user.start(&start);
    let message = refused(&user, &ON_A_FREE_PORT);
    assert!(
        message.contains("another gate or facilitator"),
        "its books: {message}"
    );
    let file = user
        .read("net/seller.toml")
        .replace("seller.db", "other.db");
    user.write("net/other.toml", &file);
    let other = ["--config", "net/other.toml", "--listen", "127.0.0.1:0"];
    let message = refused(&user, &other);
    assert!(message.contains("gas key"), "its key: {message}");
    drop(first);
    drop(user.start(&[&["facilitator"], &other[..], &["--json"]].concat()));
}

#[cfg(unix)]
#[test]
fn ctrl_c_closes_the_facilitator_well() {
    let user = User::new();
    let _net = user.devnet();
    let facilitator = user.start(&[&["facilitator"], &ON_A_FREE_PORT[..], &["--json"]].concat());
    let (exit, stderr) = facilitator.interrupt();
    assert_eq!((exit, stderr.as_str()), (0, ""));
}

#[test]
fn the_settler_is_deployed_once_on_each_chain() {
    let user = User::new();
    let _net = user.devnet();
    let deploy = [
        "facilitator",
        "deploy-settler",
        "--config",
        "net/seller.toml",
    ];
    let (exit, first) = user.json(&deploy);
    assert_eq!(exit, 0, "{first}");
    let row = &first["deployed"][0];
    assert_eq!(row["network"], "eip155:84532");
    assert!(row["transaction"].is_string(), "{row}");
    let (exit, again) = user.json(&deploy);
    assert_eq!(exit, 0);
    assert_eq!(again["deployed"][0]["settler"], row["settler"]);
    assert!(again["deployed"][0]["transaction"].is_null(), "{again}");
    let (exit, answer) = user.json(&["facilitator", "deploy-settler"]);
    assert_eq!(exit, 2, "{answer}");
}
