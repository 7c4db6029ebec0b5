//! What was paid comes once, in its order, whatever breaks.

use std::time::Duration;

use farebox_rail_lightning::Node as _;

use crate::stub::{Stub, node_at};

/// Long enough for anything that is there to be told.
const LONG: Duration = Duration::from_secs(20);

async fn made(stub: &Stub, count: usize) -> Vec<[u8; 32]> {
    let node = stub.node().await;
    let mut hashes = Vec::new();
    for _ in 0..count {
        let text = node.create_invoice(1_000, "a", 300).await.unwrap();
        hashes.push(
            farebox_rail_lightning::Bolt11::read(&text)
                .unwrap()
                .payment_hash,
        );
    }
    hashes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_ever_is_found_and_the_rest_follows_in_order() {
    let stub = Stub::new();
    let hashes = made(&stub, 7).await;
    // Paid in another order than made.
    for place in [5, 0, 3] {
        stub.settle(&hashes[place]);
    }
    let node = stub.node().await;
    let mut told = Vec::new();
    let mut after = 0;
    while told.len() < 3 {
        let settled = tokio::time::timeout(LONG, node.settlements(after)).await;
        for paid in settled.unwrap().unwrap() {
            after = paid.index;
            told.push(paid.payment_hash);
        }
    }
    assert_eq!(told, [hashes[5], hashes[0], hashes[3]]);
    assert_eq!(after, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_paid_while_waiting_is_told_and_waiting_may_be_broken_off() {
    let stub = Stub::new();
    let hashes = made(&stub, 3).await;
    stub.settle(&hashes[0]);
    let node = stub.node().await;
    let waited = tokio::time::timeout(Duration::from_millis(100), node.settlements(1)).await;
    assert!(waited.is_err(), "nothing is there yet");
    let waiting = tokio::spawn({
        let node = node.clone();
        async move { node.settlements(1).await }
    });
    stub.settle(&hashes[1]);
    let settled = tokio::time::timeout(LONG, waiting).await.unwrap();
    assert_eq!(settled.unwrap().unwrap()[0].payment_hash, hashes[1]);
    stub.settle(&hashes[2]);
    let again = tokio::time::timeout(LONG, node.settlements(1)).await;
    assert_eq!(
        again.unwrap().unwrap()[0].index,
        2,
        "from the place that is asked for, not where a stream was"
    );
}

#[tokio::test]
async fn a_node_that_is_away_or_talks_nonsense_is_an_error_and_not_an_end() {
    let stub = Stub::new();
    let node = stub.node().await;
    stub.books().junk = Some("{}\n{}\n".to_owned());
    assert!(node.settlements(3).await.is_err());
    assert!(node.settlements(0).await.is_err());
    stub.books().junk = Some(String::new());
    assert!(node.settlements(3).await.is_err());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(node_at(&url).settlements(3).await.is_err());
}
