//! Files that others can read, and addresses that money should not go to.
#![cfg(unix)]

use super::Diagnosis;
use super::shop::Shop;
use crate::support::{Ended, User};

#[test]
fn a_secret_that_others_can_read_is_an_error_and_is_never_shown() {
    let shop = Shop::open();
    shop.set_mode("gas.key", 0o644);
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("key_readable"), "error");
    assert!(
        diagnosis
            .text("key_readable", "advice")
            .contains("chmod 600 gas.key")
    );
    let key = shop.user.read("gas.key");
    let ended = shop.user.run(&["doctor", "--config", "seller.toml", "-vv"]);
    assert_eq!(ended.exit, 1);
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(key.trim_start_matches("0x")), "{text}");
    }
}

#[test]
fn a_gas_key_that_is_not_there_is_explained() {
    let shop = Shop::open();
    std::fs::remove_file(shop.user.path("gas.key")).expect("it was there");
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("key_unreadable"), "error");
    assert_eq!(
        diagnosis.severity("chain"),
        "ok",
        "the rest is looked at all the same"
    );
}

#[test]
fn a_kept_key_that_others_can_read_is_a_warning() {
    let shop = Shop::open();
    let mut create = shop.user.command(&["wallet", "create"]);
    let made = Ended::of(
        create
            .env("FAREBOX_PASSPHRASE", "correct horse")
            .output()
            .expect("it runs"),
    );
    assert_eq!(made.exit, 0, "{}", made.stderr);
    let of_buyer = |user: &User| Diagnosis::of(user, &["doctor"]);
    assert!(!of_buyer(&shop.user).has("keystore_readable"));
    shop.set_mode("data/keystore/default.key.json", 0o640);
    assert_eq!(
        of_buyer(&shop.user).severity("keystore_readable"),
        "warning"
    );
}

#[test]
fn a_ledger_that_others_can_read_is_a_warning() {
    let shop = Shop::open();
    assert_eq!(
        shop.user
            .run(&["payments", "list", "--config", "seller.toml"])
            .exit,
        0
    );
    let diagnosis = shop.diagnosis();
    assert!(diagnosis.ok && !diagnosis.has("ledger_readable"));
    assert_eq!(diagnosis.severity("ledger"), "ok");
    shop.set_mode("seller.db", 0o644);
    assert_eq!(shop.diagnosis().severity("ledger_readable"), "warning");
}

#[test]
fn a_file_with_an_access_key_that_others_can_read_is_a_warning() {
    let shop = Shop::open();
    let key = "/v2/3f9d2c51aa0b4e7f8c61";
    shop.write(&[&format!("{}{key}", shop.net.rpc_url())], "");
    shop.set_mode("seller.toml", 0o644);
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("config_readable"), "warning");
    let ended = shop.user.run(&["doctor", "--config", "seller.toml", "-vv"]);
    assert!(
        !ended.stdout.contains(key) && !ended.stderr.contains(key),
        "{}",
        ended.stderr
    );
    shop.close_to_others("seller.toml");
    assert!(!shop.diagnosis().has("config_readable"));
}

#[test]
fn a_payee_that_loses_money_is_an_error_and_one_that_risks_it_a_warning() {
    let shop = Shop::open();
    let file = shop.user.read("seller.toml");
    let pay = |payee: &str| {
        shop.user
            .write("seller.toml", &file.replace(crate::market::PAYEE, payee));
        shop.diagnosis()
    };
    let zero = "0x0000000000000000000000000000000000000000";
    assert_eq!(pay(zero).severity("payee_invalid"), "error");
    assert_eq!(
        pay(&shop.net.usdc().to_string()).severity("payee_invalid"),
        "error"
    );
    assert_eq!(pay("somebody").severity("payee_invalid"), "error");
    let gas_key = shop.net.accounts()[0].address_hex();
    let diagnosis = pay(&gas_key);
    assert_eq!(diagnosis.severity("payee_is_gas_key"), "warning");
    assert!(diagnosis.ok);
}
