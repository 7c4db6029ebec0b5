//! `farebox wallet`: keys go in, never out.

use crate::support::{Ended, User};

/// The second well-known development key and its address.
const KEY: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// Runs with a passphrase and a key in the environment.
fn run(user: &User, arguments: &[&str]) -> Ended {
    let mut command = user.command(arguments);
    command
        .env("FAREBOX_PASSPHRASE", "correct horse")
        .env("BUYER_KEY", KEY);
    Ended::of(command.output().expect("farebox starts"))
}

#[test]
fn an_imported_key_shows_its_address_and_never_itself() {
    let user = User::new();
    let made = run(
        &user,
        &["wallet", "create", "--evm-key", "env:BUYER_KEY", "--json"],
    );
    assert_eq!(made.exit, 0, "{}", made.stderr);
    assert_eq!(made.json()["address"], ADDRESS);
    let address = user.run(&["wallet", "address"]);
    assert_eq!(
        address.stdout,
        format!("{ADDRESS}\n"),
        "no passphrase is needed for it"
    );
    let shown = user.run(&["wallet", "show"]);
    assert!(shown.stdout.contains(ADDRESS));
    let kept = user.read("data/keystore/default.key.json");
    assert!(!kept.contains(&KEY[2..]), "the key is encrypted");
}

#[test]
fn a_new_key_is_random_and_is_not_overwritten() {
    let (one, two) = (User::new(), User::new());
    let first = run(&one, &["wallet", "create"]);
    let second = run(&two, &["wallet", "create"]);
    assert_eq!((first.exit, second.exit), (0, 0), "{}", first.stderr);
    assert_ne!(first.stdout, second.stdout);
    let again = run(&one, &["wallet", "create"]);
    assert_eq!(again.exit, 2);
    assert!(again.stderr.contains("not overwritten"), "{}", again.stderr);
    assert_eq!(one.run(&["wallet", "address"]).stdout, first.stdout);
}

#[test]
fn half_a_key_is_not_taken_for_a_whole_one() {
    let user = User::new();
    user.write("half.key", &KEY[2..34]);
    let ended = run(&user, &["wallet", "create", "--evm-key", "file:half.key"]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (2, ""));
    assert!(!ended.stderr.contains(&KEY[2..34]), "{}", ended.stderr);
}

#[test]
fn a_secret_that_is_written_out_is_refused_and_not_repeated() {
    let user = User::new();
    let ended = run(&user, &["wallet", "create", "--evm-key", KEY]);
    assert_eq!(ended.exit, 2);
    assert!(!ended.stderr.contains(&KEY[2..]), "{}", ended.stderr);
    user.write("farebox.toml", &format!("[wallet]\nevm_key = \"{KEY}\"\n"));
    let ended = user.run(&["wallet", "address", "--config", "farebox.toml"]);
    assert_eq!(ended.exit, 2);
    assert!(!ended.stderr.contains(&KEY[2..]), "{}", ended.stderr);
}

#[test]
fn without_a_terminal_the_passphrase_has_to_come_from_elsewhere() {
    let user = User::new();
    let (exit, answer) = user.json(&["wallet", "create"]);
    assert_eq!(exit, 2);
    assert_eq!(answer["error"]["code"], "passphrase_missing");
    user.write("passphrase.txt", "correct horse\n");
    let ended = user.run(&["wallet", "create", "--passphrase", "file:passphrase.txt"]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
}

#[test]
fn a_wallet_without_a_key_says_how_to_make_one() {
    let (exit, answer) = User::new().json(&["wallet", "address"]);
    assert_eq!(exit, 2);
    assert_eq!(answer["error"]["code"], "key_missing");
    let message = answer["error"]["message"].as_str().expect("a sentence");
    assert!(message.contains("farebox wallet create"), "{message}");
}

#[test]
fn the_balance_of_a_wallet_needs_a_chain() {
    let user = User::new();
    run(&user, &["wallet", "create"]);
    let (exit, answer) = user.json(&["wallet", "balance"]);
    assert_eq!(exit, 2);
    assert_eq!(answer["error"]["code"], "network_missing");
}

#[test]
fn the_balance_is_what_the_chain_says() {
    let user = User::new();
    let _net = user.devnet();
    let (exit, answer) = user.json(&["wallet", "balance", "--config", "net/buyer.toml"]);
    assert_eq!(exit, 0, "{answer}");
    let line = &answer["balances"][0];
    assert_eq!(line["atomic"], "1000000000000");
    assert_eq!(line["amount"], "1000000");
    assert_eq!(line["symbol"], "USDC");
    assert_eq!(line["network"], "eip155:84532");
}
