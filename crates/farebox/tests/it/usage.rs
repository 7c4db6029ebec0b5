//! Mistakes on the command line: exit 2, with a sentence on stderr, and an object where one was
//! asked for.

use std::process::Stdio;

use crate::support::{Ended, User};

#[test]
fn an_unknown_flag_is_a_usage_error_in_both_languages() {
    let user = User::new();
    let (exit, answer) = user.json(&["budget", "show", "--curency"]);
    assert_eq!(exit, 2);
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["exit"], 2);
    assert_eq!(answer["error"]["code"], "usage");
    assert_eq!(answer["error"]["money_may_have_moved"], false);
    let message = answer["error"]["message"].as_str().expect("a sentence");
    assert!(message.contains("--curency"), "{message}");
}

#[test]
fn a_usage_error_names_what_is_missing() {
    let user = User::new();
    let (_, answer) = user.json(&["fetch"]);
    let message = answer["error"]["message"].as_str().expect("a sentence");
    assert!(message.ends_with("not provided: <URL>"), "{message}");
    let ended = user.run(&["payments", "resume"]);
    assert!(ended.stderr.contains("<ID|--all>"), "{}", ended.stderr);
}

#[test]
fn an_agent_without_a_name_is_a_usage_error() {
    let user = User::new();
    for arguments in [
        &["fetch", "http://127.0.0.1:1/"][..],
        &["budget", "set", "--total", "1 USD"],
    ] {
        let mut command = user.command(arguments);
        let ended = Ended::of(
            command
                .env("FAREBOX_AGENT", "")
                .output()
                .expect("it starts"),
        );
        assert_eq!(ended.exit, 2);
        assert!(ended.stderr.contains("--agent"), "{}", ended.stderr);
    }
}

#[test]
fn no_command_is_a_usage_error() {
    let ended = User::new().run(&[]);
    assert_eq!(ended.exit, 2);
    assert!(ended.stderr.contains("Usage: farebox"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn commands_of_later_releases_do_not_exist() {
    let user = User::new();
    for command in ["agent", "policy", "approvals", "audit", "token", "mcp"] {
        assert_eq!(user.run(&[command]).exit, 2, "{command}");
    }
}

#[test]
fn an_amount_that_is_not_in_dollars_is_refused() {
    let user = User::new();
    for amount in ["1 EUR", "-1 USD", "1e3 USD", "0.0000001 USD", "", "1,5 USD"] {
        let ended = user.run(&["budget", "set", "--total", amount]);
        assert_eq!(ended.exit, 2, "{amount:?}");
        assert_eq!(ended.stdout, "");
    }
    let (_, answer) = user.json(&["budget", "show"]);
    assert_eq!(answer["levels"], serde_json::json!([]), "nothing was set");
}

#[test]
fn a_reader_who_goes_away_is_success() {
    let user = User::new();
    let mut child = user
        .command(&["payments", "list", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("farebox starts");
    // The reading end is closed before a byte has been written.
    drop(child.stdout.take());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_payment_that_does_not_exist_is_a_usage_error() {
    let user = User::new();
    for command in [
        ["payments", "show", "pay_nobody"],
        ["payments", "resume", "pay_nobody"],
    ] {
        let (exit, answer) = user.json(&command);
        assert_eq!(exit, 2);
        assert_eq!(answer["error"]["code"], "payment_not_found");
    }
}

#[test]
fn resume_wants_one_payment_or_all() {
    let user = User::new();
    assert_eq!(user.run(&["payments", "resume"]).exit, 2);
    assert_eq!(user.run(&["payments", "resume", "pay_x", "--all"]).exit, 2);
    let (exit, answer) = user.json(&["payments", "resume", "--all"]);
    assert_eq!(exit, 0);
    assert_eq!(
        answer,
        serde_json::json!({"resolved": 0, "still_unknown": 0, "payments": []})
    );
}
