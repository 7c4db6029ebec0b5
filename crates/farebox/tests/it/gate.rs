//! `farebox gate`: what it needs to start, and how it stops.

use serde_json::json;

use crate::market::{Market, Upstream};
use crate::support::User;

const PAY_TO: &str = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720";

fn refused(user: &User, arguments: &[&str]) -> String {
    let (exit, answer) = user.json(&[&["gate"], arguments].concat());
    assert_eq!(exit, 2, "{answer}");
    assert_eq!(answer["ok"], false);
    answer["error"]["message"]
        .as_str()
        .expect("a sentence")
        .to_owned()
}

#[test]
fn it_names_everything_that_is_missing_with_the_flag_that_supplies_it() {
    let user = User::new();
    let message = refused(&user, &[]);
    for flag in [
        "--upstream",
        "[[route]]",
        "--network",
        "--pay-to",
        "--gas-key",
    ] {
        assert!(message.contains(flag), "{flag} in: {message}");
    }
    let sale = [
        "--upstream",
        "http://127.0.0.1:3000",
        "--price",
        "0.001 USD",
    ];
    let message = refused(&user, &[&sale[..], &["--network", "eip155:84532"]].concat());
    for flag in ["--rpc eip155:84532=URL", "--pay-to", "--gas-key"] {
        assert!(message.contains(flag), "{flag} in: {message}");
    }
    assert!(!message.contains("--upstream"), "{message}");
    let message = refused(&user, &[&sale[..], &["--listen", "0.0.0.0:0"]].concat());
    assert!(message.contains("--public-url"), "{message}");
}

#[test]
fn it_takes_the_factories_and_settler_of_the_file() {
    let user = User::new();
    let _net = user.devnet();
    let written = user.read("net/seller.toml");
    let sale = ["--config", "net/own.toml", "--listen", "127.0.0.1:0"];
    let price = [
        "--upstream",
        "http://127.0.0.1:3000",
        "--price",
        "0.001 USD",
    ];
    for (section, key, value) in [
        ("[facilitator]", "erc6492_factories", "[\"0x12\"]"),
        ("[network.\"eip155:84532\"]", "settler", "\"0x12\""),
    ] {
        let with_key = format!("{section}\n{key} = {value}");
        assert!(written.contains(section), "{written}");
        user.write("net/own.toml", &written.replace(section, &with_key));
        let message = refused(&user, &[&sale[..], &price[..]].concat());
        assert!(
            message.contains(key) && message.contains("0x12"),
            "{message}"
        );
    }
}

#[test]
fn it_refuses_what_cannot_be_meant() {
    let user = User::new();
    let _net = user.devnet();
    let sale = [
        "--config",
        "net/seller.toml",
        "--listen",
        "127.0.0.1:0",
        "--price",
        "0.001 USD",
    ];
    let rows: [(&[&str], &str); 6] = [
        (&["--upstream", "ftp://example.com"], "h2c://"),
        (&["--upstream", "http://127.0.0.1:3000/path"], "path"),
        (
            &[
                "--upstream",
                "http://a",
                "--pay-to",
                "0xA0Ee7A142d267C1f36714E4a8F75612F20a79720",
            ],
            "checksum",
        ),
        (
            &[
                "--upstream",
                "http://a",
                "--pay-to",
                "0x0000000000000000000000000000000000000000",
            ],
            "cannot be paid",
        ),
        (
            &[
                "--upstream",
                "http://a",
                "--gas-key",
                "env:NOT_SET_ANYWHERE",
            ],
            "NOT_SET_ANYWHERE",
        ),
        (
            &[
                "--upstream",
                "http://a",
                "--rpc",
                "eip155:84532=http://127.0.0.1:1",
            ],
            "check --rpc",
        ),
    ];
    for (arguments, why) in rows {
        let message = refused(&user, &[&sale[..], arguments].concat());
        assert!(message.contains(why), "{why} in: {message}");
    }
}

#[test]
fn an_upstream_needs_a_price_and_a_price_an_upstream() {
    let user = User::new();
    assert_eq!(
        user.run(&["gate", "--upstream", "http://127.0.0.1:3000"])
            .exit,
        2
    );
    assert_eq!(user.run(&["gate", "--price", "0.001 USD"]).exit, 2);
}

#[test]
fn without_a_file_flags_are_enough() {
    let user = User::new();
    let net = user.devnet();
    let upstream = Upstream::start();
    let rpc = format!("eip155:84532={}", net.text("/evm/rpc"));
    let url = upstream.url();
    let mut command = user.command(&[
        "gate",
        "--upstream",
        &url,
        "--price",
        "0.001 USD",
        "--network",
        "eip155:84532",
        "--rpc",
        &rpc,
        "--pay-to",
        PAY_TO,
        "--gas-key",
        "env:GAS_KEY",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    command.env("GAS_KEY", user.read("net/gas.key"));
    let gate = crate::support::Running::of(command);
    assert!(
        user.path("data/farebox.db").exists(),
        "the ledger is in the data directory"
    );
    let paid = user.run(&[
        "fetch",
        "--config",
        "net/buyer.toml",
        &format!("{}/ok", gate.text("/listening")),
    ]);
    assert_eq!(
        (paid.exit, paid.stdout.as_str()),
        (0, "ok\n"),
        "{}",
        paid.stderr
    );
}

#[test]
fn it_prints_where_it_listens_as_one_line() {
    let market = Market::open();
    let gate = market.gate.as_ref().expect("it runs");
    let keys: Vec<&String> = gate.ready.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["listening"]);
    assert!(
        market.url("").starts_with("http://127.0.0.1:"),
        "{}",
        market.url("")
    );
    assert!(!market.url("").ends_with(":0"), "the real port");
}

#[test]
fn one_ledger_has_one_gate() {
    let market = Market::open();
    let url = market.upstream.url();
    let arguments = [
        "--config",
        "net/seller.toml",
        "--upstream",
        &url,
        "--price",
        "0.001 USD",
        "--listen",
        "127.0.0.1:0",
    ];
    let message = refused(&market.user, &arguments);
    assert!(message.contains("another gate"), "{message}");
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let market = Market::open();
    let (url, address) = (market.upstream.url(), market.url(""));
    let listen = address.trim_start_matches("http://");
    let file = market
        .user
        .read("net/seller.toml")
        .replace("seller.db", "other.db");
    market.user.write("net/other.toml", &file);
    let arguments = [
        "--config",
        "net/other.toml",
        "--upstream",
        &url,
        "--price",
        "0.001 USD",
        "--listen",
        listen,
    ];
    let message = refused(&market.user, &arguments);
    assert!(message.contains("cannot listen"), "{message}");
}

#[test]
fn routes_are_tried_in_their_order_and_the_rest_is_not_found() {
    let market = Market::with_routes(concat!(
        "[[route]]\nmatch = \"GET /ok\"\nupstream = \"{upstream}\"\nprice = \"0 USD\"\n",
        "[[route]]\nmatch = \"/echo\"\nupstream = \"{upstream}\"\nprice = \"0.002 USD\"\n",
    ));
    let status = |path: &str, more: &[&str]| {
        let url = market.url(path);
        let (_, answer) = market.fetch_json(&[more, &["--dry-run", &url]].concat());
        (
            answer["status"].clone(),
            answer["offers"][0]["amount"].clone(),
        )
    };
    assert_eq!(status("/ok", &[]).0, json!(200));
    assert_eq!(status("/echo", &[]), (json!(402), json!("2000")));
    assert_eq!(status("/ok", &["-X", "DELETE"]).0, json!(404));
    assert_eq!(status("/else", &[]).0, json!(404));
}

#[test]
fn two_equal_routes_are_a_mistake() {
    let user = User::new();
    let _net = user.devnet();
    let route = "[[route]]\nmatch = \"/a\"\nupstream = \"http://127.0.0.1:1\"\nprice = \"1 USD\"\n";
    user.write(
        "net/twice.toml",
        &format!("{}{route}{route}", user.read("net/seller.toml")),
    );
    let message = refused(
        &user,
        &["--config", "net/twice.toml", "--listen", "127.0.0.1:0"],
    );
    assert!(message.contains("\"/a\""), "{message}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_closes_it_well_and_its_books_stay() {
    let mut market = Market::open();
    assert_eq!(market.fetch(&[&market.url("/ok")]).exit, 0);
    let gate = market.gate.take();
    let (exit, stderr) = gate.expect("it runs").interrupt();
    assert_eq!((exit, stderr.as_str()), (0, ""));
    let (_, answer) = market.user.json(&[
        "payments",
        "list",
        "--role",
        "seller",
        "--config",
        "net/seller.toml",
    ]);
    let payment = &answer["payments"][0];
    assert_eq!(
        (&payment["state"], &payment["delivery"]),
        (&json!("settled"), &json!("delivered"))
    );
}

/// Two gates of one user need two ledgers, and neither a gas key nor, in the second, a node.
#[test]
fn a_facilitator_settles_for_a_gate_that_has_no_gas_key() {
    let user = User::new();
    let net = user.devnet();
    let serving = [
        "--config",
        "net/seller.toml",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ];
    let facilitator = user.start(&[&["facilitator"], &serving[..]].concat());
    let (settler, upstream) = (facilitator.text("/listening"), Upstream::start());
    let rpc = format!("eip155:84532={}", net.text("/evm/rpc"));
    let url = upstream.url();
    for (data, node) in [("proven", &["--rpc", &rpc][..]), ("word", &[])] {
        let sale = [
            "gate",
            "--data-dir",
            data,
            "--upstream",
            &url,
            "--price",
            "0.001 USD",
            "--network",
            "eip155:84532",
            "--pay-to",
            PAY_TO,
            "--facilitator",
            &settler,
            "--listen",
            "127.0.0.1:0",
            "--json",
        ];
        let gate = user.start(&[&sale[..], node].concat());
        let page = format!("{}/ok", gate.text("/listening"));
        let (exit, answer) = user.json(&["fetch", "--config", "net/buyer.toml", &page]);
        assert_eq!(exit, 0, "{answer}");
        assert_eq!(answer["payment"]["state"], "settled", "{answer}");
        let (_, stderr) = gate.interrupt();
        let is_warned = stderr.contains("the facilitator's word alone");
        assert_eq!(is_warned, node.is_empty(), "{stderr}");
    }
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn facilitators_that_cannot_be_meant_are_refused_at_start() {
    let user = User::new();
    user.write(
        "seller.toml",
        "[facilitator]\nurls = [\"https://x402.example.com\"]\nheaders = { Authorization = \"Bearer abc\" }\n",
    );
    let sale = [
        "--upstream",
        "http://127.0.0.1:3000",
        "--price",
        "0.001 USD",
        "--network",
        "eip155:84532",
        "--pay-to",
        PAY_TO,
        "--listen",
        "127.0.0.1:0",
    ];
    let rows: [(&[&str], &str); 5] = [
        (&["--facilitator", "http://x402.example.com"], "https"),
        (
            &["--facilitator", "https://a:b@x402.example.com"],
            "https URL",
        ),
        (
            &[
                "--facilitator",
                "http://127.0.0.1:1",
                "--facilitator",
                "http://127.0.0.1:1",
            ],
            "twice",
        ),
        (&["--facilitator", "http://127.0.0.1:1,local"], "--gas-key"),
        (&["--config", "seller.toml"], "reference"),
    ];
    for (arguments, why) in rows {
        let message = refused(&user, &[&sale[..], arguments].concat());
        assert!(message.contains(why), "{why} in: {message}");
        assert!(!message.contains("abc"), "{message}");
    }
}

#[test]
fn an_authority_for_upstreams_is_read_before_the_gate_opens() {
    let user = User::new();
    user.write("empty.pem", "");
    let https = |ca: &str| format!("upstream = \"https://a\"\nupstream_ca = \"{ca}\"");
    for (timeouts, upstream, said) in [
        ("", https("ca.pem"), "file:ca.pem"),
        ("", https("file:missing.pem"), "missing.pem"),
        ("", https("file:empty.pem"), "no certificate"),
        (
            "",
            https("file:empty.pem").replace("https", "http"),
            "https",
        ),
        (
            "[timeouts]\nidle = \"0s\"\n",
            "upstream = \"http://a\"".to_owned(),
            "idle",
        ),
    ] {
        let route = format!("[[route]]\nmatch = \"/*\"\nprice = \"0.001 USD\"\n{upstream}\n");
        user.write("seller.toml", &format!("{timeouts}{route}"));
        let message = refused(
            &user,
            &[
                "--config",
                "seller.toml",
                "--network",
                "eip155:84532",
                "--pay-to",
                PAY_TO,
                "--facilitator",
                "https://x402.example.com",
                "--listen",
                "127.0.0.1:0",
            ],
        );
        assert!(message.contains(said), "{message}");
    }
}
