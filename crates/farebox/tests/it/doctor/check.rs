//! `gate --check` and `facilitator --check`: exactly this configuration, and nothing is opened.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use super::Diagnosis;
use super::shop::Shop;
use crate::market::Server;
use crate::support::User;

const SALE: [&str; 4] = [
    "--upstream",
    "http://127.0.0.1:3000",
    "--price",
    "0.001 USD",
];

fn check(user: &User, arguments: &[&str]) -> Diagnosis {
    Diagnosis::of(user, &[&["gate", "--check"], &SALE[..], arguments].concat())
}

#[test]
fn a_check_opens_nothing_and_works_beside_the_running_gate() {
    let shop = Shop::open();
    let config = ["--config", "seller.toml"];
    for command in ["gate", "facilitator"] {
        let sale = if command == "gate" { &SALE[..] } else { &[] };
        let checking = [&[command, "--check"], sale, &config].concat();
        assert!(Diagnosis::of(&shop.user, &checking).ok);
        assert!(!shop.user.path("seller.db").exists() && !shop.user.path("data").exists());
        let running = [
            &[command],
            sale,
            &config,
            &["--listen", "127.0.0.1:0", "--json"],
        ]
        .concat();
        let running = shop.user.start(&running);
        let listening = running.text("/listening");
        let taken = listening.trim_start_matches("http://");
        let beside = [&checking[..], &["--listen", taken]].concat();
        let diagnosis = Diagnosis::of(&shop.user, &beside);
        assert!(diagnosis.ok && diagnosis.severity("gas") == "ok");
        drop(running);
        for file in ["seller.db", "seller.db-wal", "seller.db-shm"] {
            // A file that was not there is as gone as one that was removed.
            let _ = std::fs::remove_file(shop.user.path(file));
        }
        std::fs::remove_dir_all(shop.user.path("data")).expect("the running one made it");
    }
}

#[test]
fn a_check_takes_the_flags_and_fails_on_what_they_name() {
    let shop = Shop::open();
    let node = format!("eip155:84532={}", shop.net.rpc_url());
    let flags = [
        "--network",
        "eip155:84532",
        "--pay-to",
        "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
        "--gas-key",
        "file:gas.key",
        "--rpc",
    ];
    assert!(check(&shop.user, &[&flags[..], &[&node]].concat()).ok);
    let away = check(
        &shop.user,
        &[&flags[..], &["eip155:84532=http://127.0.0.1:1"]].concat(),
    );
    assert_eq!(away.severity("rpc_unreachable"), "error");
    assert!(!away.ok);
}

#[test]
fn a_check_refuses_what_the_start_would_refuse() {
    let shop = Shop::open();
    let refused = |arguments: &[&str]| {
        let (exit, answer) = shop.user.json(arguments);
        assert_eq!(exit, 2, "{answer}");
        answer["error"]["code"].as_str().expect("a code").to_owned()
    };
    assert_eq!(refused(&["gate", "--check"]), "config_missing");
    assert_eq!(refused(&["facilitator", "--check"]), "config_missing");
    let config = [
        "gate",
        "--check",
        "--config",
        "seller.toml",
        "--price",
        "0.001 USD",
    ];
    let upstream = ["--upstream", "ftp://example.com"];
    assert_eq!(
        refused(&[&config[..], &upstream].concat()),
        "config_invalid"
    );
    let upstream = [
        "--upstream",
        "http://127.0.0.1:3000",
        "--public-url",
        "not a url",
    ];
    assert_eq!(
        refused(&[&config[..], &upstream].concat()),
        "config_invalid"
    );
    let beyond = [
        "facilitator",
        "--check",
        "--config",
        "seller.toml",
        "--listen",
        "0.0.0.0:0",
    ];
    assert_eq!(refused(&beyond), "config_missing");
}

#[test]
fn a_facilitator_that_would_settle_at_a_loss_is_told_the_least_amount() {
    let shop = Shop::open();
    let file = shop.user.read("seller.toml");
    let check = ["facilitator", "--check", "--config", "seller.toml"];
    let with = |rate: &str, least: &str| {
        let limits = format!("limits = {{ min_amount = \"{least} USD\" }}\n");
        let rate = format!("[rates]\n\"ETH/USD\" = {{ fixed = \"{rate} USD\" }}\n");
        shop.user
            .write("seller.toml", &format!("{file}{limits}{rate}"));
        Diagnosis::of(&shop.user, &check)
    };
    let dear = with("1000000", "0.000001");
    assert_eq!(dear.severity("min_amount_below_gas"), "error");
    assert!(
        dear.text("min_amount_below_gas", "advice")
            .contains("min_amount = ")
    );
    assert!(with("3000", "1000000").ok);
}

#[test]
fn a_rate_of_gas_that_is_read_is_needed_at_the_start_and_judged_as_one_by_hand() {
    let shop = Shop::open();
    let file = shop.user.read("seller.toml");
    let quiet = Server::start(Router::new().route("/", get(|| async { "{\"eth\": 3000.5}" })));
    let dear = Server::start(Router::new().route("/", get(|| async { "{\"eth\": 1000000}" })));
    let wild = Server::start(Router::new().route("/", get(|| async { "{\"eth\": 3000000}" })));
    let with = |url: &str, least: &str| {
        let limits = format!("limits = {{ min_amount = \"{least} USD\" }}\n");
        let source =
            format!("{{ url = \"{url}\", pointer = \"/eth\", min = \"100\", max = \"2000000\" }}");
        let rate = format!("[rates]\n\"ETH/USD\" = {source}\n");
        shop.user
            .write("seller.toml", &format!("{file}{limits}{rate}"));
    };
    let check = ["facilitator", "--check", "--config", "seller.toml"];
    let start = [
        "facilitator",
        "--config",
        "seller.toml",
        "--listen",
        "127.0.0.1:0",
    ];
    for (url, least, code) in [
        (dear.url(), "0.000001", "min_amount_below_gas"),
        (wild.url(), "1000000", "rate_out_of_range"),
        ("http://127.0.0.1:1/".to_owned(), "1000000", "rate_missing"),
    ] {
        with(&url, least);
        let diagnosis = Diagnosis::of(&shop.user, &check);
        assert_eq!(diagnosis.severity(code), "error", "{url}");
        let (exit, answer) = shop.user.json(&start);
        assert_eq!((exit, &answer["error"]["code"]), (2, &code.into()));
    }
    with(&quiet.url(), "1000000");
    let diagnosis = Diagnosis::of(&shop.user, &check);
    assert!(diagnosis.ok && diagnosis.severity("rate") == "ok");
    drop(shop.user.start(&[&start[..], &["--json"]].concat()));
    // What cannot be meant is said before anybody is asked.
    let rate = "[rates]\n\"ETH/USD\" = { url = \"http://rates.example/\", pointer = \"/eth\", min = \"1\", max = \"2\" }\n";
    shop.user.write("seller.toml", &format!("{file}{rate}"));
    for arguments in [&check[..], &start] {
        let (exit, answer) = shop.user.json(arguments);
        assert_eq!(
            (exit, &answer["error"]["code"]),
            (2, &"config_invalid".into())
        );
    }
}

fn facilitator(answer: &'static str, status: StatusCode) -> Server {
    let supported = move || async move { (status, answer) };
    Server::start(Router::new().route("/supported", get(supported)))
}

#[test]
fn facilitators_are_asked_whether_they_settle_here() {
    let shop = Shop::open();
    let of = |url: &str| {
        check(
            &shop.user,
            &["--config", "seller.toml", "--facilitator", url],
        )
    };
    let away = of("http://127.0.0.1:1");
    assert_eq!(away.severity("facilitator_unreachable"), "error");
    assert!(!away.has("facilitator_unsupported"), "nobody has said so");
    let none = facilitator(
        "{\"kinds\": [], \"extensions\": [], \"signers\": {}}",
        StatusCode::OK,
    );
    assert_eq!(of(&none.url()).severity("facilitator_unsupported"), "error");
    let refuses = facilitator("", StatusCode::UNAUTHORIZED);
    assert_eq!(of(&refuses.url()).severity("facilitator_refuses"), "error");
    let other = facilitator("<html>", StatusCode::OK);
    assert_eq!(of(&other.url()).severity("facilitator_invalid"), "error");
    let good = facilitator(
        "{\"kinds\": [{\"x402Version\": 2, \"scheme\": \"exact\", \"network\": \"eip155:84532\"}], \"extensions\": [], \"signers\": {}}",
        StatusCode::OK,
    );
    let diagnosis = of(&good.url());
    assert!(diagnosis.ok);
    assert_eq!(diagnosis.severity("facilitator"), "ok");
    assert!(
        !diagnosis.has("gas"),
        "a key that is not needed is not looked at"
    );
}
