//! What is earned over L402 is in the books once, whoever tells first, and through every restart.

use farebox_core::ledger::Ledger;
use farebox_core::payment::Delivery;
use farebox_seller::l402::{TokenTerms, Uses};
use farebox_seller::{Protocol, Seller, SellerConfig};
use http::StatusCode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::l402::{Stand, challenge_of, config, sold, sold_for};
use crate::support::{NOW_S, eventually, get};

struct Watching {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watching {
    fn start(seller: &Seller) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(seller.clone().watch(async move {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.send(()).expect("a watch");
        self.task.await.expect("no panic");
    }
}

fn usual() -> SellerConfig {
    config(vec![sold("weather", "/weather/*", &[Protocol::L402])])
}

/// The hash of the only invoice that is open.
async fn asked(stand: &Stand) -> [u8; 32] {
    let seen = stand.send(get("/weather/x")).await;
    assert!(challenge_of(&seen).is_some());
    stand.node.made().last().expect("an invoice").hash
}

#[tokio::test]
async fn a_payment_that_nobody_shows_is_earned() {
    let stand = Stand::new();
    let watching = Watching::start(&stand.seller);
    let hash = asked(&stand).await;
    stand.node.pay(hash, NOW_S);
    eventually(|| async { stand.revenue().await == 1_000 }).await;
    let [payment] = &stand.payments().await[..] else {
        panic!("one payment");
    };
    assert_eq!(payment.seller.as_ref().expect("a seller").route, "weather");
    assert_eq!(payment.state.delivery, Delivery::Undelivered);
    assert_eq!(stand.seller.open_invoices(), Some(0));
    let counts = stand.seller.till().counts().money();
    assert_eq!(counts.payments[0].states.settled, 1);
    assert_eq!(counts.revenue[0].settled, 1_000);
    watching.end().await;
}

#[tokio::test]
async fn the_node_and_the_buyer_book_one_payment_in_either_order() {
    let stand = Stand::new();
    let watching = Watching::start(&stand.seller);
    let first = stand.buy("/weather/x").await;
    let shown = stand.node.made()[0].hash;
    assert_eq!(
        stand.show("/weather/x", &first).await.status,
        StatusCode::OK
    );
    stand.node.pay(shown, NOW_S);
    let second = stand.buy("/weather/x").await;
    stand.node.pay(stand.node.made()[1].hash, NOW_S);
    eventually(|| async { stand.payments().await.len() == 2 }).await;
    assert_eq!(
        stand.show("/weather/x", &second).await.status,
        StatusCode::OK
    );
    eventually(|| async { told(&stand).await == 2 }).await;
    assert_eq!(stand.revenue().await, 2_000);
    let payments = stand.payments().await;
    assert!(
        payments
            .iter()
            .all(|payment| payment.state.delivery == Delivery::Delivered)
    );
    stand.ledger.verify(true).await.expect("books that add up");
    watching.end().await;
}

async fn told(stand: &Stand) -> u64 {
    let source = "lightning:regtest/02aa";
    stand.ledger.told_to(source).await.expect("a store")
}

#[tokio::test]
async fn a_restart_forgets_no_payment_and_no_use() {
    let uses = TokenTerms {
        uses: Uses::Times(3),
        ..TokenTerms::default()
    };
    let config = config(vec![sold_for("weather", "/weather/*", uses)]);
    let mut stand = Stand::with(config.clone());
    let watching = Watching::start(&stand.seller);
    eventually(|| async {
        let since = "lightning:regtest/02aa since";
        stand.ledger.told_to(since).await.expect("a store") > 0
    })
    .await;
    let used = stand.buy("/weather/x").await;
    assert_eq!(stand.show("/weather/x", &used).await.status, StatusCode::OK);
    watching.end().await;

    // Paid while nobody was there, before it was shown.
    let silent = stand.buy("/weather/x").await;
    stand.node.pay(stand.node.made()[1].hash, NOW_S + 1);
    stand.restart(&config);
    let watching = Watching::start(&stand.seller);
    eventually(|| async { stand.revenue().await == 2_000 }).await;
    assert_eq!(
        stand.show("/weather/x", &silent).await.status,
        StatusCode::OK
    );
    for _ in 0..2 {
        assert_eq!(stand.show("/weather/x", &used).await.status, StatusCode::OK);
    }
    let none = stand.show("/weather/x", &used).await;
    assert_eq!(none.code(), "token_exhausted");
    assert_eq!(stand.revenue().await, 2_000);
    watching.end().await;
}

#[tokio::test]
async fn what_came_in_before_is_none_of_our_business() {
    let stand = Stand::new();
    stand.node.pay([1; 32], NOW_S - 1);
    stand.node.pay([2; 32], NOW_S + 1);
    let watching = Watching::start(&stand.seller);
    eventually(|| async { told(&stand).await == 2 }).await;
    assert_eq!(stand.revenue().await, 5_000, "that of later alone");
    watching.end().await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_taken_up_again() {
    let stand = Stand::new();
    stand.node.break_off(2);
    let watching = Watching::start(&stand.seller);
    let hash = asked(&stand).await;
    stand.node.pay(hash, NOW_S);
    eventually(|| async { stand.revenue().await == 1_000 }).await;
    watching.end().await;
}

#[tokio::test]
async fn open_invoices_and_tokens_survive_a_reload() {
    let mut stand = Stand::new();
    let seen = stand.send(get("/weather/x")).await;
    let bought = stand.paid(&challenge_of(&seen).expect("a challenge"));
    let mut dearer = usual();
    dearer.routes[0].price.0 *= 2;
    stand.seller = stand.seller.succeeded_by(dearer).expect("a seller");
    assert_eq!(stand.seller.open_invoices(), Some(1));
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    let now = stand.send(get("/weather/x")).await;
    assert!(challenge_of(&now).is_some());
    let made = stand.node.made();
    assert_eq!(made.last().expect("an invoice").amount.atomic(), 2_000);
}
