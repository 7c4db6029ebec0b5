//! Running a gate or facilitator for others: the admin server, reloads, drains, the request log, and
//! that nothing of it tells a secret.

#[cfg(unix)]
mod collector;
#[cfg(unix)]
mod drain;
mod payers;
#[cfg(unix)]
mod reload;
#[cfg(unix)]
mod secrets;
#[cfg(unix)]
mod traces;

use serde_json::Value;

use crate::market::{Market, Upstream};
use crate::support::User;

/// One paid and one free route.
pub(crate) const SHOP: &str = concat!(
    "[[route]]\nmatch = \"/status/*\"\nupstream = \"{upstream}\"\nprice = \"0 USD\"\n",
    "[[route]]\nmatch = \"/*\"\nupstream = \"{upstream}\"\nprice = \"0.001 USD\"\n",
);

/// What a path of the admin server answers: status and body.
pub(crate) fn ask(url: &str) -> (u16, String) {
    payers::run(async {
        let answer = payers::client().get(url).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("a body"))
    })
}

/// The value of one sample of `/metrics`.
pub(crate) fn sample(metrics: &str, name: &str) -> u128 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("{name} in\n{metrics}"));
    line.trim().parse().expect("a whole number")
}

#[test]
fn the_admin_server_of_a_gate_tells_life_readiness_and_counts() {
    let market = Market::with_file("admin = \"127.0.0.1:0\"", SHOP);
    let admin = market.gate.as_ref().expect("it runs").text("/admin");
    assert_eq!(ask(&format!("{admin}/healthz")).0, 200);
    assert_eq!(ask(&format!("{admin}/readyz")).0, 200);
    assert_eq!(market.fetch(&[&market.url("/ok")]).exit, 0);
    let (_, metrics) = ask(&format!("{admin}/metrics"));
    assert_eq!(
        sample(
            &metrics,
            "farebox_challenges_total{route=\"/*\",protocol=\"x402\"}"
        ),
        1
    );
    let settled = "farebox_payments_total{state=\"settled\",route=\"/*\",rail=\"evm\",network=\"eip155:84532\"}";
    assert_eq!(sample(&metrics, settled), 1);
    // It is for the owner, and not at the gate.
    assert_eq!(ask(&market.url("/metrics")).0, 402);
}

#[test]
fn the_admin_server_of_a_facilitator_counts_its_settlements() {
    let user = User::new();
    let _net = user.devnet();
    let facilitator = user.start(&[
        "facilitator",
        "--config",
        "net/seller.toml",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--json",
    ]);
    let admin = facilitator.text("/admin");
    assert_eq!(
        ask(&format!("{}/supported", facilitator.text("/listening"))).0,
        200
    );
    assert_eq!(ask(&format!("{admin}/readyz")).0, 200);
    let (_, metrics) = ask(&format!("{admin}/metrics"));
    let supported = "farebox_answers_total{route=\"/supported\",status=\"2xx\"}";
    assert_eq!(sample(&metrics, supported), 1);
}

#[test]
fn an_admin_server_that_strangers_could_reach_has_to_be_meant() {
    let user = User::new();
    let _net = user.devnet();
    let written = user.read("net/seller.toml");
    let upstream = Upstream::start();
    let routes = SHOP.replace("{upstream}", &upstream.url());
    for command in ["gate", "facilitator"] {
        user.write("net/open.toml", &format!("{written}\n{routes}"));
        let start = [
            command,
            "--config",
            "net/open.toml",
            "--listen",
            "127.0.0.1:0",
        ];
        let admin = ["--admin", "0.0.0.0:0"];
        for check in [&[][..], &["--check"]] {
            let (exit, answer) = user.json(&[&start[..], &admin, check].concat());
            assert_eq!(exit, 2, "{answer}");
            let message = answer["error"]["message"].as_str().expect("a sentence");
            assert!(message.contains("admin_open = true"), "{message}");
        }
        user.write(
            "net/open.toml",
            &format!("admin_open = true\n{written}\n{routes}"),
        );
        drop(user.start(&[&start[..], &admin, &["--json"]].concat()));
    }
}

#[test]
fn the_request_log_has_a_line_of_json_for_each_request() {
    let market = Market::with_file(
        "",
        &format!("[log]\nformat = \"json\"\nfile = \"requests.log\"\n{SHOP}"),
    );
    assert_eq!(market.fetch(&[&market.url("/ok?token=hidden")]).exit, 0);
    assert_eq!(ask(&market.url("/status/204")).0, 204);
    let gate = market.gate.as_ref().expect("it runs");
    let lines = payers::eventually(|| {
        let text = market.user.read("net/requests.log");
        (text.lines().count() == 3).then_some(text)
    });
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [challenge, paid, free] = &lines[..] else {
        panic!("three lines, not {lines:?}");
    };
    assert_eq!(
        (&challenge["status"], &challenge["path"]),
        (&402.into(), &"/ok".into())
    );
    assert_eq!(challenge["credential"], Value::Null);
    assert_eq!(
        (&paid["status"], &paid["route"]),
        (&200.into(), &"/*".into())
    );
    assert_eq!(paid["payment"], market.payments("seller")[0]["id"]);
    assert_eq!(paid["credential"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&free["status"], &free["route"]),
        (&204.into(), &"/status/*".into())
    );
    assert!(!market.user.read("net/requests.log").contains("hidden"));
    assert!(gate.ready.get("admin").is_none());
}

#[test]
fn a_shadow_gate_needs_no_keys_counts_prices_and_charges_nobody() {
    let user = User::new();
    let upstream = Upstream::start();
    let routes = SHOP.replace("{upstream}", &upstream.url());
    user.write("shop.toml", &format!("shadow = true\n{routes}"));
    let gate = user.start(&[
        "gate",
        "--config",
        "shop.toml",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--json",
    ]);
    let url = |path: &str| format!("{}{path}", gate.text("/listening"));
    assert_eq!(ask(&url("/ok")), (200, "ok\n".to_owned()));
    assert_eq!(ask(&url("/status/204")).0, 204);
    let (_, metrics) = ask(&format!("{}/metrics", gate.text("/admin")));
    let count = |name: &str| sample(&metrics, name);
    assert_eq!(count("farebox_shadow_requests_total{route=\"/*\"}"), 1);
    assert_eq!(
        count("farebox_shadow_usd_micros_total{route=\"/*\"}"),
        1_000
    );
    assert_eq!(
        count("farebox_shadow_requests_total{route=\"/status/*\"}"),
        0
    );
    assert_eq!(upstream.calls(), 2);
}
