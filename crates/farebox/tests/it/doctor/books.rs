//! Ledgers that are missing, damaged, or not what the chain says.

use serde_json::{Value, json};

use super::Diagnosis;
use super::shop::client;
use crate::market::Market;
use crate::support::User;

/// Calls a method of the chain, and reads its result.
fn call(market: &Market, method: &str, params: Value) -> Value {
    let rpc = market.net.text("/evm/rpc");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let answer = runtime.block_on(async {
        let asked = client()
            .post(rpc)
            .header("content-type", "application/json");
        let answer = asked
            .body(body.to_string())
            .send()
            .await
            .expect("an answer");
        answer.text().await.expect("text")
    });
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert!(answer["error"].is_null(), "{answer}");
    answer["result"].clone()
}

#[test]
fn a_file_that_is_no_ledger_is_damaged_or_unusable_and_left_alone() {
    let user = User::new();
    user.write("farebox.toml", "ledger = \"sqlite:books.db\"\n");
    let junk = "this is no database, and is longer than the head of one. ".repeat(20);
    user.write("books.db", &junk);
    assert_eq!(
        Diagnosis::on(&user, "farebox.toml").severity("ledger_damaged"),
        "error"
    );
    assert_eq!(user.read("books.db"), junk);
    user.write("farebox.toml", "ledger = \"sqlite:folder\"\n");
    std::fs::create_dir(user.path("folder")).expect("a folder");
    user.write("folder/file", "");
    assert_eq!(
        Diagnosis::on(&user, "farebox.toml").severity("ledger_unusable"),
        "error"
    );
}

#[test]
fn full_finds_what_a_look_at_the_newest_entries_does_not() {
    let mut market = Market::open();
    assert_eq!(market.fetch(&[&market.url("/ok")]).exit, 0);
    market.gate = None;
    let file = rusqlite::Connection::open(market.user.path("net/seller.db")).expect("a database");
    let tamper = "UPDATE payments SET state = replace(state, '\"spent\"', '\"held\"')";
    assert_eq!(file.execute(tamper, []).expect("it is not guarded"), 1);
    drop(file);
    let config = ["doctor", "--config", "net/seller.toml"];
    assert_eq!(
        Diagnosis::of(&market.user, &config).severity("ledger"),
        "ok"
    );
    let full = Diagnosis::of(&market.user, &[&config[..], &["--full"]].concat());
    assert_eq!(full.severity("ledger_damaged"), "error");
}

#[test]
fn settled_payments_are_found_on_the_chain_and_missed_where_it_has_undone_them() {
    let mut market = Market::open();
    assert_eq!(market.fetch(&[&market.url("/ok")]).exit, 0);
    let beside = Diagnosis::on(&market.user, "net/seller.toml");
    assert_eq!(beside.severity("settled"), "ok", "beside the running gate");
    market.gate = None;
    for config in ["net/seller.toml", "net/buyer.toml"] {
        let full = ["doctor", "--full", "--config", config];
        let diagnosis = Diagnosis::of(&market.user, &full);
        assert_eq!(diagnosis.severity("settled"), "ok");
        assert!(
            diagnosis
                .text("ledger", "message")
                .starts_with("every entry")
        );
    }
    let head = call(&market, "eth_blockNumber", json!([]));
    call(&market, "anvil_reorg", json!([head]));
    for (config, role) in [("net/seller.toml", "seller"), ("net/buyer.toml", "buyer")] {
        let diagnosis = Diagnosis::on(&market.user, config);
        assert_eq!(diagnosis.severity("ledger_not_on_chain"), "error");
        let id = market.payments(role)[0]["id"].clone();
        assert_eq!(diagnosis.find("ledger_not_on_chain")["subject"], id);
        assert_eq!(
            market.payments(role)[0]["state"],
            "settled",
            "looking books nothing"
        );
    }
}

#[test]
fn what_nobody_can_look_up_is_said_once() {
    let mut market = Market::open();
    for _ in 0..2 {
        assert_eq!(market.fetch(&[&market.url("/ok")]).exit, 0);
    }
    market.gate = None;
    let file = market.user.read("net/seller.toml");
    let rpc = market.net.text("/evm/rpc");
    market
        .user
        .write("net/seller.toml", &file.replace(&rpc, "http://127.0.0.1:1"));
    let diagnosis = Diagnosis::on(&market.user, "net/seller.toml");
    assert_eq!(diagnosis.severity("payment_unanswered"), "warning");
    assert!(
        diagnosis
            .text("payment_unanswered", "message")
            .starts_with("2 settled")
    );
}

#[test]
fn an_unknown_payment_comes_with_the_command_that_resolves_it() {
    let market = Market::open();
    let file = market.user.read("net/buyer.toml");
    market.user.write(
        "net/buyer.toml",
        &file.replace("[wallet]\n", "[wallet]\nmax_validity = \"3s\"\n"),
    );
    assert_eq!(market.fetch(&[&market.url("/status/500")]).exit, 5);
    let id = market.payments("buyer")[0]["id"]
        .as_str()
        .expect("a name")
        .to_owned();
    let resume = format!("farebox payments resume {id} --config net/buyer.toml");
    let mut seen = Vec::new();
    // Its credential expires by our clock meanwhile.
    while !seen.contains(&"hold_expired") {
        let diagnosis = Diagnosis::on(&market.user, "net/buyer.toml");
        let now = ["payment_unknown", "hold_expired"]
            .into_iter()
            .find(|id| diagnosis.has(id));
        let now = now.expect("one of them");
        assert_eq!(diagnosis.severity(now), "warning");
        assert_eq!(diagnosis.text(now, "subject"), id);
        assert!(diagnosis.text(now, "advice").contains(&resume));
        seen.push(now);
    }
    assert!(
        seen.contains(&"payment_unknown"),
        "it was unknown before it expired"
    );
}
