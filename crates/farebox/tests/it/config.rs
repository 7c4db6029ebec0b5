//! The configuration file: what is not understood is refused, by name and line (ARCHITECTURE law 14).

use crate::support::User;

fn refused(text: &str) -> (String, String) {
    let user = User::new();
    user.write("farebox.toml", text);
    let (exit, answer) = user.json(&["budget", "show", "--config", "farebox.toml"]);
    assert_eq!(exit, 2, "{text}");
    assert_eq!(answer["ok"], false);
    let text = |key: &str| answer["error"][key].as_str().expect("a text").to_owned();
    (text("code"), text("message"))
}

#[test]
fn an_unknown_key_is_refused_with_its_name_and_line() {
    let (code, message) = refused("ledger = \"sqlite:a.db\"\n\nlisten_on = \"127.0.0.1:1\"\n");
    assert_eq!(code, "config_invalid");
    assert!(
        message.starts_with("farebox.toml line 3: unknown field `listen_on`"),
        "{message}"
    );
    let (_, message) = refused("[wallet]\nevm-key = \"env:KEY\"\n");
    assert!(
        message.starts_with("farebox.toml line 2: unknown field `evm-key`"),
        "{message}"
    );
}

#[test]
fn keys_of_later_releases_are_refused_by_name() {
    let rows = [
        ("[rates]\n\"EUR/USD\" = { fixed = \"1\" }", "rates"),
        ("[rates]\n\"SOL/USD\" = { url = \"http://a\" }", "rates"),
        ("[pay_to]\nlightning = \"x\"", "pay_to.lightning"),
        ("[facilitator]\nshared_payee = true", "shared_payee"),
        (
            "[[route]]\nmatch = \"/\"\nupstream = \"http://a\"\nprice = \"1 USD\"\naccept = [\"mpp\"]",
            "mpp",
        ),
    ];
    for (text, name) in rows {
        let (code, message) = refused(text);
        assert_eq!(code, "config_not_yet", "{text}: {message}");
        assert!(
            message.contains("not yet: ") && message.contains(name),
            "{message}"
        );
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let rows = [
        "listen = \"8402\"",
        "unmatched = \"405\"",
        "tls = { cert = \"file:cert.pem\" }",
        "tls = { cert = \"file:c\", key = \"file:k\", redirect_from = \"80\" }",
        "trusted_proxies = \"10.0.0.0/8\"",
        "connections = -1",
        "ledger = \"postgres:x\"",
        "[network.\"base\"]\nrpc = []",
        "[network.\"eip155:84532\"]\nfinal = \"soon\"",
        "[network.\"eip155:84532\"]\nfinal = -1",
        "[network.\"eip155:84532\"]\nmax_fee = \"100\"",
        "[network.\"lightning:regtest\"]\nmax_fee = \"10 sats\"",
        "[network.\"lightning:regtest\"]\nnode = { kind = \"cln\" }",
        "[network.\"lightning:regtest\"]\nnode = { url = \"https://127.0.0.1:1\" }",
        "[rates]\n\"BTC/USD\" = { max_jump = \"10\" }",
        "[rates]\n\"ETH/USD\" = { fixed = \"many\" }",
        "[limits]\nbad_signatures_per_s = -1",
        "[facilitator]\nsigner = { evm = 1 }",
        "[facilitator]\nlimits = { max_gas_per_day = \"1 USD\" }",
        "[facilitator]\nlimits = { min_amount = \"1 ETH\" }",
        "[budget]\nper_day = \"1 EUR\"",
        "[budget]\nper_day = 1.5",
        "[wallet]\nmax_validity = \"120\"",
        "[[route]]\nmatch = \"/\"\nupstream = \"http://a\"",
        "[[route]]\nmatch = \"/\"\nupstream = \"http://a\"\nprice = \"10 sats\"",
        "[[route]]\nmatch = \"/\"\nupstream = \"http://a\"\nprice = \"1.5 msat\"",
        "[[route]]\nmatch = \"/\"\nupstream = \"http://a\"\nprice = \"1 sat\"\nuses = 0",
        "[[route]]\nmatch = \"/\"\nupstream = \"http://a\"\nprice = \"1 sat\"\nuses = \"many\"",
        "[[route]]\nmatch = \"/\"\nupstream = \"http://a\"\nprice = \"1 sat\"\ntier = 256",
        "[limits]\nopen_invoices = -1",
        "not toml",
    ];
    for text in rows {
        let (code, message) = refused(text);
        assert_eq!(code, "config_invalid", "{text}");
        assert!(!message.contains('\n'), "one sentence: {message}");
    }
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let (exit, answer) = User::new().json(&["budget", "show", "--config", "missing.toml"]);
    assert_eq!(exit, 2);
    assert_eq!(answer["error"]["code"], "config_unreadable");
}

#[test]
fn paths_are_relative_to_the_file_and_the_ledger_wins_over_the_data_directory() {
    let user = User::new();
    std::fs::create_dir(user.path("etc")).expect("a folder");
    user.write("etc/buyer.toml", "ledger = \"sqlite:books.db\"\n");
    let (exit, _) = user.json(&["budget", "show", "--config", "etc/buyer.toml"]);
    assert_eq!(exit, 0);
    assert!(user.path("etc/books.db").exists());
    assert!(
        !user.path("data").exists(),
        "the data directory is not needed"
    );
}

#[test]
fn flags_win_over_the_environment() {
    let user = User::new();
    let other = user.path("other");
    let (exit, _) = user.json(&[
        "budget",
        "show",
        "--data-dir",
        other.to_str().expect("UTF-8"),
    ]);
    assert_eq!(exit, 0);
    assert!(other.join("farebox.db").exists());
    assert!(!user.path("data").exists());
}

#[cfg(unix)]
#[test]
fn the_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let user = User::new();
    user.json(&["budget", "show"]);
    let mode = std::fs::metadata(user.path("data"))
        .expect("it was created")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_documented_file_is_read_as_it_stands() {
    let page = include_str!("../../../../docs/configuration.md");
    let (_, rest) = page.split_once("```toml\n").expect("the page has a file");
    let (file, _) = rest.split_once("```").expect("which ends");
    let user = User::new();
    user.write("farebox.toml", file);
    let (exit, answer) = user.json(&["budget", "show", "--config", "farebox.toml"]);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(
        answer["levels"][2]["limit"], "20",
        "its budget seeds the ledger"
    );
    let (exit, answer) = user.json(&["gate", "--config", "farebox.toml"]);
    assert_eq!(exit, 2, "the gas key of the page is not set");
    let message = answer["error"]["message"].as_str().expect("a sentence");
    assert!(
        message.contains("FAREBOX_GAS_KEY"),
        "all the rest of it is taken: {message}"
    );
}
