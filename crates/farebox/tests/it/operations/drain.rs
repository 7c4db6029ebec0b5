//! SIGTERM while requests are paid.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::Semaphore;

use super::payers::{self, Payer};
use super::{SHOP, ask};
use crate::market::Server;
use crate::support::{Running, User};

/// Paid requests under way at the signal.
const UNDER_WAY: usize = 40;

/// An upstream that answers when the test lets it.
struct Slow {
    server: Server,
    reached: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
}

impl Slow {
    fn start() -> Self {
        let (reached, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (told, waiting) = (Arc::clone(&reached), Arc::clone(&let_go));
        let slow = move || {
            let (told, waiting) = (Arc::clone(&told), Arc::clone(&waiting));
            async move {
                told.add_permits(1);
                waiting.acquire().await.expect("open").forget();
                "at last\n"
            }
        };
        Self {
            server: Server::start(Router::new().route("/slow", get(slow))),
            reached,
            let_go,
        }
    }
}

/// A gate before it, with an admin server.
fn gate(user: &User, slow: &Slow, keys: &str) -> Running {
    let head = user.read("net/seller.toml");
    let routes = SHOP.replace("{upstream}", &slow.server.url());
    user.write("net/shop.toml", &format!("{keys}\n{head}\n{routes}"));
    user.start(&[
        "gate",
        "--config",
        "net/shop.toml",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--json",
    ])
}

fn payments(user: &User) -> Vec<serde_json::Value> {
    let list = [
        "payments",
        "list",
        "--role",
        "seller",
        "--config",
        "net/shop.toml",
    ];
    let (_, answer) = user.json(&list);
    answer["payments"].as_array().expect("payments").clone()
}

#[test]
fn what_is_paid_and_under_way_at_the_signal_is_served_before_the_end() {
    let user = User::new();
    let net = user.devnet();
    let slow = Slow::start();
    let gate = gate(&user, &slow, "");
    let (url, admin) = (
        format!("{}/slow", gate.text("/listening")),
        gate.text("/admin"),
    );
    let payers: Vec<Payer> = (0..UNDER_WAY)
        .map(|n| {
            let key = net.text(&format!("/evm/accounts/{}/key", 1 + n % 8));
            Payer::new(&key, &net.text("/evm/rpc"))
        })
        .collect();
    let target = url.clone();
    let buyers = std::thread::spawn(move || {
        payers::run(async {
            let tasks: Vec<_> = payers
                .into_iter()
                .map(|payer| {
                    let url = target.clone();
                    tokio::spawn(async move {
                        let signed = payer.sign(&url).await;
                        payer.pay(&url, &signed).await
                    })
                })
                .collect();
            let mut got = Vec::new();
            for task in tasks {
                got.push(task.await.expect("an answer"));
            }
            got
        })
    });
    // At the upstream, claimed, and nothing settled.
    payers::eventually(|| (slow.reached.available_permits() == UNDER_WAY).then_some(()));
    gate.signal("TERM");
    payers::eventually(|| {
        let (status, body) = ask(&format!("{admin}/readyz"));
        (status == 503 && body.contains("draining")).then_some(())
    });
    // The listener closes, and the admin server tells of the drain meanwhile.
    let port = url
        .trim_start_matches("http://")
        .split('/')
        .next()
        .expect("an address")
        .to_owned();
    payers::eventually(|| std::net::TcpStream::connect(&port).is_err().then_some(()));
    assert_eq!(ask(&format!("{admin}/healthz")).0, 200);
    slow.let_go.add_permits(UNDER_WAY);
    for got in buyers.join().expect("answers") {
        assert_eq!(
            (got.status, got.body.as_str()),
            (200, "at last\n"),
            "{got:?}"
        );
        assert!(got.has_receipt);
    }
    let (exit, stderr) = gate.wait();
    assert_eq!((exit, stderr.as_str()), (0, ""));
    let payments = payments(&user);
    assert_eq!(payments.len(), UNDER_WAY);
    for payment in payments {
        assert_eq!(payment["state"], "settled", "{payment}");
        assert_eq!(payment["delivery"], "delivered", "{payment}");
    }
}

#[test]
fn what_does_not_end_within_stop_timeout_is_cut_off_and_charged_to_nobody() {
    let user = User::new();
    let net = user.devnet();
    let slow = Slow::start();
    let first = gate(&user, &slow, "stop_timeout = \"1s\"");
    let url = format!("{}/slow", first.text("/listening"));
    let payer = Payer::new(&net.text("/evm/accounts/1/key"), &net.text("/evm/rpc"));
    let before = payers::run(payer.balance());
    let signed = payers::run(payer.sign(&url));
    let buyer = std::thread::spawn(move || {
        payers::run(async {
            let paid = payer
                .client
                .get(&url)
                .header("payment-signature", &signed.value);
            let broken = paid.send().await.is_err();
            (broken, payer.balance().await)
        })
    });
    payers::eventually(|| (slow.reached.available_permits() == 1).then_some(()));
    first.signal("TERM");
    let (exit, stderr) = first.wait();
    assert_eq!(exit, 0, "{stderr}");
    assert!(stderr.contains("cutting off"), "{stderr}");
    assert_eq!(buyer.join().expect("an end"), (true, before));
    // Nothing had left, so the next start gives it back.
    drop(gate(&user, &slow, ""));
    let payments = payments(&user);
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0]["state"], "released", "{payments:?}");
}
