//! How many committed operations a second: `cargo run --release -p farebox-ledger --example
//! throughput -- [tasks] [payments per task]`. Each payment is a claim, a sending, a settlement
//! and a delivery, each on disk before the next.

use std::sync::Arc;
use std::time::Instant;

use farebox_core::ledger::{Attach, Ledger};
use farebox_core::payment::Event;
use farebox_core::rail::SentTransaction;
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::kit;

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let tasks: usize = numbers.next().unwrap_or(50);
    let each: usize = numbers.next().unwrap_or(400);
    let folder = tempfile::TempDir::new_in(".").expect("a folder");
    let ledger: Arc<dyn Ledger> =
        Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).expect("a ledger"));
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for n in 0..each {
                    pay(ledger.as_ref(), &format!("{task}-{n}")).await;
                }
            })
        })
        .collect();
    for task in running {
        task.await.expect("no panic");
    }
    let ops = tasks * each * 4;
    let secs = begin.elapsed().as_secs_f64();
    println!(
        "{ops} operations in {secs:.2} s: {:.0}/s",
        ops as f64 / secs
    );
    let begin = Instant::now();
    ledger.verify(true).await.expect("books that add up");
    println!("full check: {:.2} s", begin.elapsed().as_secs_f64());
}

async fn pay(ledger: &dyn Ledger, name: &str) {
    let new = kit::funded(
        name,
        1000,
        u128::MAX,
        farebox_core::ledger::PayerMark(farebox_wire::money::Amount::ZERO),
    );
    let id = new.id.clone();
    let now_ms = new.now_ms;
    assert!(ledger.claim(new).await.is_ok());
    for event in [
        Event::Sending {
            transaction: Some(SentTransaction::by_stranger("0x01")),
        },
        kit::settled(),
        Event::Delivered,
    ] {
        let done = ledger.apply(&id, event, Attach::default(), now_ms).await;
        assert!(done.is_ok());
    }
}
