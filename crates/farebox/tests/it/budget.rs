//! `farebox budget`: the shape that scripts read, and who may change limits.

use serde_json::json;

use crate::support::User;

#[test]
fn a_wallet_without_a_budget_says_that_it_spends_nothing() {
    let user = User::new();
    let (exit, answer) = user.json(&["budget", "show"]);
    assert_eq!(exit, 0);
    assert_eq!(answer, json!({"currency": "USD", "levels": []}));
    let ended = user.run(&["budget", "show"]);
    assert!(
        ended.stdout.contains("nothing is spent"),
        "{}",
        ended.stdout
    );
}

#[test]
fn limits_are_decimal_dollars_in_one_consistent_object() {
    let user = User::new();
    let (exit, answer) = user.json(&[
        "budget",
        "set",
        "--per-payment",
        "0.05 USD",
        "--per-day",
        "1 USD",
        "--total",
        "20 USD",
    ]);
    assert_eq!(exit, 0);
    let level = |level: &str, limit: &str| json!({"level": level, "agent": null, "limit": limit, "spent": "0", "reserved": "0", "left": limit});
    let expected = json!({
        "currency": "USD",
        "levels": [level("payment", "0.05"), level("day", "1"), level("total", "20")],
    });
    assert_eq!(answer, expected);
    assert_eq!(user.json(&["budget", "show"]).1, expected);
}

#[test]
fn setting_one_limit_keeps_the_others() {
    let user = User::new();
    user.json(&["budget", "set", "--per-day", "1 USD", "--total", "20 USD"]);
    let (_, answer) = user.json(&["budget", "set", "--total", "5 USD"]);
    let limits: Vec<_> = answer["levels"]
        .as_array()
        .expect("levels")
        .iter()
        .map(|l| l["limit"].clone())
        .collect();
    assert_eq!(limits, [json!(null), json!("1"), json!("5")]);
}

#[test]
fn an_agent_has_limits_of_its_own() {
    let user = User::new();
    let (_, answer) = user.json(&[
        "budget",
        "set",
        "--agent",
        "researcher",
        "--per-day",
        "0.5 USD",
    ]);
    let levels = answer["levels"].as_array().expect("levels");
    let day = levels
        .iter()
        .find(|l| l["level"] == "day" && l["agent"] == "researcher");
    assert_eq!(day.expect("a line")["limit"], "0.5");
}

#[test]
fn a_section_in_the_file_seeds_a_new_ledger_and_is_ignored_afterwards() {
    let user = User::new();
    user.write(
        "buyer.toml",
        "ledger = \"sqlite:buyer.db\"\n[budget]\ntotal = \"10 USD\"\n",
    );
    let show = ["budget", "show", "--config", "buyer.toml"];
    let total = |answer: &serde_json::Value| answer["levels"][2]["limit"].clone();
    assert_eq!(total(&user.json(&show).1), "10");
    user.json(&[
        "budget",
        "set",
        "--total",
        "7 USD",
        "--config",
        "buyer.toml",
    ]);
    let ended = user.run(&[&show[..], &["--json"]].concat());
    assert_eq!(total(&ended.json()), "7");
    assert!(
        ended.stderr.contains("[budget] in buyer.toml is ignored"),
        "{}",
        ended.stderr
    );
}

#[test]
fn setting_nothing_is_a_usage_error() {
    let ended = User::new().run(&["budget", "set"]);
    assert_eq!(ended.exit, 2);
    assert!(ended.stderr.contains("--per-day"), "{}", ended.stderr);
}
