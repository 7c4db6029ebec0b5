//! The flags of `farebox fetch`: what is sent, where the answer goes, who pays and with which key.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::market::Market;
use crate::support::{Ended, User};

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

#[test]
fn a_dry_run_explains_and_pays_nothing() {
    let market = Market::open();
    let (exit, answer) = market.fetch_json(&["--dry-run", &market.url("/ok")]);
    assert_eq!((exit, &answer["payment"]), (0, &Value::Null));
    assert_eq!(answer["decision"]["allow"], true);
    let offer = &answer["offers"][0];
    assert_eq!(offer["amount"], "1000");
    assert_eq!(offer["cost"], json!({"amount": "0.001", "currency": "USD"}));
    assert_eq!(
        (&offer["payable"], &offer["reason"]),
        (&json!(true), &Value::Null)
    );
    let ended = market.fetch(&["--dry-run", &market.url("/ok")]);
    assert!(
        ended.stdout.contains("Nothing was paid"),
        "{}",
        ended.stdout
    );
    assert_eq!(market.payments("buyer"), Vec::<Value>::new());
    assert_eq!(market.upstream.calls(), 0);
}

#[test]
fn method_headers_and_body_reach_the_upstream_as_given() {
    let market = Market::open();
    let url = market.url("/echo");
    let plain = market.fetch(&["-d", "a=1", &url]);
    assert_eq!(
        plain.stdout,
        "POST\ncontent-type: application/x-www-form-urlencoded\nx-test: -\na=1"
    );
    market.user.write("body.json", "{\"q\": 1}\n");
    let file = market.fetch(&[
        "-X",
        "PUT",
        "-H",
        "Content-Type: application/json",
        "-H",
        "X-Test: yes",
        "-d",
        "@body.json",
        &url,
    ]);
    assert_eq!(
        file.stdout,
        "PUT\ncontent-type: application/json\nx-test: yes\n{\"q\": 1}\n"
    );
}

#[test]
fn the_body_may_come_from_stdin() {
    let market = Market::open();
    let mut command = market.user.command(&[
        "fetch",
        "--config",
        "net/buyer.toml",
        "-d",
        "@-",
        &market.url("/echo"),
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("farebox starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(b"from stdin")
        .expect("it reads");
    let ended = Ended::of(child.wait_with_output().expect("it ends"));
    assert!(ended.stdout.ends_with("\nfrom stdin"), "{}", ended.stdout);
}

#[test]
fn the_answer_may_go_to_a_file() {
    let market = Market::open();
    let (exit, answer) = market.fetch_json(&["-o", "answer.txt", &market.url("/ok")]);
    assert_eq!((exit, &answer["output"]), (0, &json!("answer.txt")));
    assert!(answer.get("body").is_none());
    assert_eq!(market.user.read("answer.txt"), "ok\n");
    let ended = market.fetch(&["-O", &market.url("/ok?x=1")]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, ""));
    assert_eq!(market.user.read("ok"), "ok\n");
}

#[test]
fn a_file_that_cannot_be_written_is_found_out_before_anything_is_paid() {
    let market = Market::open();
    let (exit, answer) = market.fetch_json(&["-o", "no/such/folder/answer", &market.url("/ok")]);
    assert_eq!((exit, code(&answer)), (2, "output_failed"));
    assert_eq!(market.payments("buyer"), Vec::<Value>::new());
}

#[test]
fn a_refused_call_leaves_no_file_and_spoils_none() {
    let market = Market::open();
    market.user.write("kept.txt", "kept");
    for name in ["kept.txt", "new.txt"] {
        assert_eq!(
            market
                .fetch(&["--max-cost", "0.0001", "-o", name, &market.url("/ok")])
                .exit,
            3
        );
    }
    assert_eq!(market.user.read("kept.txt"), "kept");
    assert!(!market.user.path("new.txt").exists());
}

#[test]
fn the_head_is_printed_on_request_and_errors_can_be_silenced() {
    let market = Market::open();
    let ended = market.fetch(&["-i", &market.url("/ok")]);
    assert!(
        ended.stdout.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("\r\npayment-response: "),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.ends_with("\r\n\r\nok\n"), "{}", ended.stdout);
    let ended = market.fetch(&["-s", "--max-cost", "0.0001", &market.url("/ok")]);
    assert_eq!(
        (ended.exit, ended.stdout.as_str(), ended.stderr.as_str()),
        (3, "", "")
    );
}

#[test]
fn redirects_are_followed_before_paying_only_on_request() {
    let market = Market::with_routes(concat!(
        "[[route]]\nmatch = \"/away\"\nupstream = \"{upstream}\"\nprice = \"0 USD\"\n",
        "[[route]]\nmatch = \"/*\"\nupstream = \"{upstream}\"\nprice = \"0.001 USD\"\n",
    ));
    let (exit, answer) = market.fetch_json(&[&market.url("/away")]);
    assert_eq!((exit, &answer["status"]), (0, &json!(307)));
    let (exit, answer) = market.fetch_json(&["-L", &market.url("/away")]);
    assert_eq!((exit, &answer["body"]), (0, &json!("ok\n")));
    assert_eq!(answer["payment"]["state"], "settled");
}

#[test]
fn an_agent_reaches_no_private_address_that_is_not_allowed() {
    let market = Market::open();
    market.user.json(&[
        "budget",
        "set",
        "--agent",
        "bot",
        "--total",
        "1 USD",
        "--config",
        "net/buyer.toml",
    ]);
    let (exit, answer) = market.fetch_json(&["--agent", "bot", &market.url("/ok")]);
    assert_eq!(exit, 0, "the devnet's file allows 127.0.0.1: {answer}");
    let file = market.user.read("net/buyer.toml");
    market.user.write(
        "net/strict.toml",
        &file.replace("allow_private = [\"127.0.0.1/32\"]", ""),
    );
    let (exit, answer) = market.user.json(&[
        "fetch",
        "--config",
        "net/strict.toml",
        "--agent",
        "bot",
        &market.url("/ok"),
    ]);
    assert_eq!(
        (exit, code(&answer)),
        (3, "private_address_refused"),
        "{answer}"
    );
    assert_eq!(answer["payment"], Value::Null);
    assert_eq!(market.upstream.calls(), 1);
}

#[test]
fn an_agent_without_limits_spends_nothing() {
    let market = Market::open();
    let (exit, answer) = market.fetch_json(&["--agent", "nobody", &market.url("/ok")]);
    assert_eq!((exit, code(&answer)), (3, "no_budget"));
}

#[test]
fn a_key_in_the_keystore_pays_with_its_passphrase() {
    let market = Market::open();
    let file = market
        .user
        .read("net/buyer.toml")
        .replace("file:buyer.key", "keystore:shop");
    market.user.write("net/locked.toml", &file);
    let run = |arguments: &[&str]| {
        let mut command = market.user.command(arguments);
        command.env("FAREBOX_PASSPHRASE", "correct horse");
        Ended::of(command.output().expect("farebox starts"))
    };
    let made = run(&[
        "wallet",
        "create",
        "--name",
        "shop",
        "--evm-key",
        "file:net/buyer.key",
    ]);
    assert_eq!(made.exit, 0, "{}", made.stderr);
    let url = market.url("/ok");
    let paid = run(&["fetch", "--config", "net/locked.toml", &url]);
    assert_eq!(
        (paid.exit, paid.stdout.as_str()),
        (0, "ok\n"),
        "{}",
        paid.stderr
    );
    let refused = market
        .user
        .run(&["fetch", "--config", "net/locked.toml", &url]);
    assert_eq!(
        refused.exit, 4,
        "without the passphrase: {}",
        refused.stderr
    );
    assert!(refused.stderr.contains("passphrase"), "{}", refused.stderr);
}

#[test]
fn a_reader_who_has_read_enough_is_success() {
    let market = Market::open();
    let mut command =
        market
            .user
            .command(&["fetch", "--config", "net/buyer.toml", &market.url("/ok")]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("farebox starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_does_not_fit_on_the_disk_was_paid_and_not_delivered() {
    let market = Market::open();
    let nowhere = market.fetch(&["-o", "/dev/null", &market.url("/ok?kept=no")]);
    assert_eq!(
        (nowhere.exit, nowhere.stdout.as_str()),
        (0, ""),
        "{}",
        nowhere.stderr
    );
    let (exit, answer) = market.fetch_json(&["-o", "/dev/full", &market.url("/ok")]);
    assert_eq!((exit, code(&answer)), (7, "output_failed"), "{answer}");
    assert_eq!(answer["payment"]["state"], "settled");
}

#[cfg(target_os = "linux")]
#[test]
fn an_object_that_cannot_be_printed_does_not_hide_that_money_moved() {
    let market = Market::open();
    let full = || std::fs::File::options().write(true).open("/dev/full");
    let mut paying = market.user.command(&["fetch", "--json"]);
    paying.args(["--config", "net/buyer.toml", &market.url("/ok")]);
    let paid = Ended::of(
        paying
            .stdout(full().expect("Linux has it"))
            .output()
            .expect("farebox starts"),
    );
    assert_eq!(paid.exit, 7, "{}", paid.stderr);
    assert_eq!(market.spent_and_reserved().0, "0.001");
    let mut refused = market
        .user
        .command(&["fetch", "--json", "http://127.0.0.1:1/"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let gone = Ended::of(refused.stdout(writer).output().expect("farebox starts"));
    assert_eq!(gone.exit, 1, "the reader has gone, the failure has not");
}

#[test]
fn a_password_in_a_url_or_header_is_never_repeated() {
    let user = User::new();
    for arguments in [
        &["-v", "--task", "t", "http://me:hunter2@127.0.0.1:1/"][..],
        &["--config", "none.toml", "http://me:hunter2@127.0.0.1:1/"],
        &["http://me:hunter2@127.0.0.1:99999/"],
        &["ftp://me:hunter2@127.0.0.1/"],
        &["-O", "http://me:hunter2@127.0.0.1/"],
        &["-H", "authorization Bearer hunter2", "http://127.0.0.1:1/"],
        &["-H", "authorization: hunter2\u{1}", "http://127.0.0.1:1/"],
    ] {
        let ended = user.run(&[&["fetch", "--json"], arguments].concat());
        assert_ne!(ended.exit, 0);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
    }
}
