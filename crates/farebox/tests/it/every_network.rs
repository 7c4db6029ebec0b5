//! The rules of budget, replay, kill and lost reply, with one payment each and nothing left to chance, on every network:
//! what is held against them at random runs in `cargo xtask soak`. Real processes, real sockets, a real chain.

use std::process::Stdio;
use std::time::{Duration, Instant};

use farebox_core::rail::PayRail;
use farebox_wire::challenge;
use reqwest::Client;
use serde_json::Value;

use crate::market::Market;
use crate::nets::{Net, PAYEE, PRICE_ATOMIC, Pace, Payee, Trouble, on_every_network};

/// Longer than any healthy machine needs; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Who buy at the same time, and for how many of them the budget is enough.
const BUYERS: usize = 6;
const ALLOWED: usize = 3;
/// How often one credential is shown at the same time.
const SHOWN: usize = 8;
/// For how long a buyer waits whose seller cannot settle, as a flag.
const HURRY: &str = "5s";
const BLOCK_TIME: Duration = Duration::from_millis(200);

on_every_network! {
    many_processes_at_once_never_spend_more_than_the_budget,
    a_credential_is_served_once_however_often_it_is_shown,
    a_lost_reply_to_the_sent_transaction_pays_once,
    a_node_that_is_in_trouble_while_it_sends_is_no_lost_payment,
    a_gate_killed_between_sending_and_knowing_delivers_what_was_paid_and_once,
    a_buyer_killed_while_the_money_moves_is_told_and_does_not_pay_again,
    what_no_block_ever_took_is_given_back_and_was_not_delivered,
}

/// How each payment of one side stands.
fn states<N: Net>(market: &Market<N>, role: &str) -> Vec<String> {
    let text = |payment: &Value, key: &str| payment[key].as_str().unwrap_or("-").to_owned();
    let payments = market.payments(role);
    let states = payments
        .iter()
        .map(|payment| format!("{} {}", text(payment, "state"), text(payment, "delivery")));
    states.collect()
}

/// Both books have one payment, it is settled and was delivered, and it is all that the chain has moved.
fn assert_sold_once<N: Net>(market: &Market<N>, payee: &Payee) {
    assert_eq!(states(market, "buyer"), ["settled -"]);
    assert_eq!(states(market, "seller"), ["settled delivered"]);
    assert_eq!(market.spent_and_reserved(), ("0.001".into(), "0".into()));
    assert_eq!(payee.income(market), PRICE_ATOMIC);
    assert_on_chain(market, 1);
}

/// So many payments have been carried out, and every settled one of the books by its own transaction.
fn assert_on_chain<N: Net>(market: &Market<N>, count: usize) {
    let done = run(market.net.carried_out(&client()));
    assert_eq!(done.len(), count, "{done:?}");
    for role in ["buyer", "seller"] {
        let payments = market.payments(role);
        let settled = payments.iter().filter(|p| p["state"] == "settled");
        let mut named: Vec<&str> = settled
            .map(|p| p["transaction"].as_str().expect("a transaction"))
            .collect();
        let mut on_chain: Vec<&str> = done.values().map(String::as_str).collect();
        named.sort_unstable();
        on_chain.sort_unstable();
        assert_eq!(named, on_chain, "{role}");
    }
}

/// Looks until there is something.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "it never happened");
        std::thread::sleep(LOOK);
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let within = async { tokio::time::timeout(PATIENCE, future).await };
    runtime.block_on(within).expect("it took for ever")
}

fn client() -> Client {
    // An error means that it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().expect("a client")
}

/// The buyer's word on what became of all his payments.
fn resume<N: Net>(market: &Market<N>) -> Value {
    let resume = ["payments", "resume", "--all", "--config", "net/buyer.toml"];
    let (exit, answer) = market.user.json(&resume);
    assert_eq!(exit, 0, "{answer}");
    answer
}

fn many_processes_at_once_never_spend_more_than_the_budget<N: Net>() {
    let market = Market::<N>::on(Pace::AtOnce);
    let payee = Payee::watch(&market);
    let file = market.user.read("net/buyer.toml");
    let file = file.replace("total = \"10 USD\"", "total = \"0.003 USD\"");
    market.user.write("net/buyer.toml", &file);
    let buying: Vec<_> = (0..BUYERS)
        .map(|number| {
            let url = market.url(&format!("/ok?call={number}"));
            let fetch = ["fetch", "--config", "net/buyer.toml", &url];
            let mut command = market.user.command(&fetch);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().expect("farebox starts")
        })
        .collect();
    let mut exits: Vec<i32> = buying
        .into_iter()
        .map(|mut child| child.wait().expect("it ends").code().unwrap_or(-1))
        .collect();
    exits.sort_unstable();
    let expected = [vec![0; ALLOWED], vec![3; BUYERS - ALLOWED]].concat();
    assert_eq!(exits, expected);
    assert_eq!(market.upstream.calls(), ALLOWED);
    assert_eq!(market.spent_and_reserved(), ("0.003".into(), "0".into()));
    assert_eq!(payee.income(&market), 3 * PRICE_ATOMIC);
    assert_on_chain(&market, ALLOWED);
}

/// An answer: its status, and the receipt where it has one.
async fn show(client: &Client, url: &str, credential: &str) -> (u16, Option<String>) {
    let shown = client.get(url).header("payment-signature", credential);
    let answer = shown.send().await.expect("an answer");
    let receipt = answer.headers().get("payment-response");
    let receipt = receipt.map(|value| value.to_str().expect("text").to_owned());
    let status = answer.status().as_u16();
    answer.bytes().await.expect("a whole body");
    (status, receipt)
}

/// What pays for one request.
async fn sign(client: &Client, buyer: &dyn PayRail, url: &str) -> String {
    let asked = client.get(url).send().await.expect("an answer");
    assert_eq!(asked.status().as_u16(), 402);
    let headers = asked.headers().clone();
    let body = asked.bytes().await.expect("a body");
    let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let challenge = challenge::read(header, &body).expect("a challenge");
    let quote = buyer.quote(&challenge.offers[0]).await.expect("payable");
    let signed = buyer.authorise(&quote, &challenge, 60).await;
    signed
        .expect("signed")
        .credential
        .expect("a credential")
        .value
}

fn a_credential_is_served_once_however_often_it_is_shown<N: Net>() {
    let market = Market::<N>::on(Pace::AtOnce);
    let payee = Payee::watch(&market);
    let (ok, other) = (market.url("/ok"), market.url("/bytes"));
    let receipt = run(async {
        let client = client();
        let credential = sign(&client, &*market.net.buyer(), &ok).await;
        let shown = (0..SHOWN).map(|_| show(&client, &ok, &credential));
        let answers = futures_util::future::join_all(shown).await;
        let served: Vec<_> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .collect();
        assert_eq!(served.len(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|(status, _)| [200, 409].contains(status)),
            "{answers:?}"
        );
        let receipt = served[0].1.clone();
        assert!(receipt.is_some(), "{answers:?}");
        // Whoever shows it once more gets the receipt that there is, and nothing else.
        assert_eq!(
            show(&client, &ok, &credential).await,
            (409, receipt.clone())
        );
        assert_eq!(show(&client, &other, &credential).await.0, 402);
        receipt
    });
    assert!(receipt.is_some());
    assert_eq!(market.upstream.calls(), 1);
    assert_eq!(states(&market, "seller"), ["settled delivered"]);
    assert_eq!(payee.income(&market), PRICE_ATOMIC);
}

fn a_lost_reply_to_the_sent_transaction_pays_once<N: Net>() {
    let market = Market::<N>::on(Pace::AtOnce);
    let payee = Payee::watch(&market);
    market.net.trouble(Some(N::SEND), Trouble::LoseReply, 1);
    let ended = market.fetch(&[&market.url("/ok")]);
    assert_eq!(
        (ended.exit, ended.stdout.as_str()),
        (0, "ok\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(market.upstream.calls(), 1);
    assert_sold_once(&market, &payee);
}

fn a_node_that_is_in_trouble_while_it_sends_is_no_lost_payment<N: Net>() {
    for trouble in [
        Trouble::Disconnect,
        Trouble::Unavailable,
        Trouble::Garbage,
        Trouble::Refuse,
        Trouble::Delay(Duration::from_millis(500)),
    ] {
        let market = Market::<N>::on(Pace::AtOnce);
        let payee = Payee::watch(&market);
        market.net.trouble(Some(N::SEND), trouble, 1);
        // A rail that is told no may leave it undecided for the moment; the same call shows the same credential.
        eventually(|| {
            let ended = market.fetch(&[&market.url("/ok")]);
            assert!(
                [0, 6].contains(&ended.exit),
                "{trouble:?}: {}",
                ended.stderr
            );
            (ended.exit == 0).then_some(())
        });
        assert_sold_once(&market, &payee);
    }
}

fn a_gate_killed_between_sending_and_knowing_delivers_what_was_paid_and_once<N: Net>() {
    let mut market = Market::<N>::on(Pace::AtOnce);
    let (payee, url, listen) = (Payee::watch(&market), market.url("/ok"), market.listen());
    // The node takes the transaction, says nothing, and makes no block.
    market.net.hold();
    market.net.trouble(Some(N::SEND), Trouble::LoseReply, 1);
    let (exit, answer) = market.fetch_json(&["--max-time", HURRY, &url]);
    assert_eq!(exit, 6, "{answer}");
    assert_eq!(answer["error"]["money_may_have_moved"], true, "{answer}");
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0.001".into()));
    // Dropping it is kill -9.
    drop(market.gate.take());
    market.net.release();
    let gate = market.start_gate(&listen);
    market.opened(gate);
    let ended = market.fetch(&[&url]);
    assert_eq!(
        (ended.exit, ended.stdout.as_str()),
        (0, "ok\n"),
        "{}",
        ended.stderr
    );
    assert_sold_once(&market, &payee);
}

fn a_buyer_killed_while_the_money_moves_is_told_and_does_not_pay_again<N: Net>() {
    let market = Market::<N>::on(Pace::AtOnce);
    let (payee, url) = (Payee::watch(&market), market.url("/ok"));
    let before = market.net.balance(PAYEE);
    market.net.hold();
    let fetch = ["fetch", "--config", "net/buyer.toml", &url];
    let mut command = market.user.command(&fetch);
    let mut buyer = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("farebox starts");
    // The seller has it, and the node has the transaction.
    eventually(|| (states(&market, "seller") == ["sent undelivered"]).then_some(()));
    buyer.kill().expect("it can be killed");
    buyer.wait().expect("it ends");
    market.net.release();
    eventually(|| (market.net.balance(PAYEE) > before).then_some(()));
    let resumed = eventually(|| {
        let answer = resume(&market);
        (answer["still_unknown"] == 0).then_some(answer)
    });
    assert_eq!(states(&market, "buyer"), ["settled -"], "{resumed}");
    assert_eq!(market.spent_and_reserved(), ("0.001".into(), "0".into()));
    assert_eq!(payee.income(&market), PRICE_ATOMIC);
    assert_on_chain(&market, 1);
}

fn what_no_block_ever_took_is_given_back_and_was_not_delivered<N: Net>() {
    let market = Market::<N>::on(Pace::Blocks(BLOCK_TIME));
    let (payee, url) = (Payee::watch(&market), market.url("/ok"));
    market.net.swallow();
    let (exit, answer) = market.fetch_json(&["--max-time", HURRY, &url]);
    assert_eq!(exit, 6, "{answer}");
    let resumed = resume(&market);
    assert_eq!(resumed["still_unknown"], 1, "it may still come: {resumed}");
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0.001".into()));
    market.net.outlive();
    market.net.clear();
    eventually(|| (resume(&market)["still_unknown"] == 0).then_some(()));
    assert_eq!(states(&market, "buyer"), ["released -"]);
    assert_eq!(market.spent_and_reserved(), ("0".into(), "0".into()));
    eventually(|| {
        let seller = states(&market, "seller");
        let is_over = |state: &String| {
            ["rejected undelivered", "released undelivered"].contains(&state.as_str())
        };
        seller.iter().all(is_over).then_some(())
    });
    assert_eq!(payee.income(&market), 0);
    assert_on_chain(&market, 0);
}
