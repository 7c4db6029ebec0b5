//! The gate dies at random under load, again and again; afterwards every claim is accounted for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::luck::Luck;
use crate::market::Market;
use crate::nets::{Net, Pace, Payee};
use crate::support::Running;
use crate::{WORKERS, alone, scale, seed};

/// Deaths per scale.
const KILLS: usize = 5;
/// The longest life of a gate.
const LIFE: Duration = Duration::from_millis(700);
/// Long enough that many a gate dies while a settlement is on its way.
const BLOCK_TIME: Duration = Duration::from_millis(250);
/// Tries of one call: a gate is away for a moment.
const TRIES: usize = 20;
/// How long expired credentials may take to be resolved.
const PATIENCE: Duration = Duration::from_secs(90);

crate::nets::on_every_network! {
    #[ignore = "a long run; `cargo xtask soak`"]
    a_gate_that_dies_at_random_delivers_what_was_settled_and_nothing_else,
}

/// Buys call after call until told to stop; each call is repeated while nobody answers it.
fn buy<N: Net>(
    market: &Market<N>,
    worker: usize,
    stop: &AtomicBool,
    calls: &AtomicUsize,
    repeats: &Mutex<BTreeMap<i32, usize>>,
) -> BTreeMap<i32, usize> {
    let mut exits = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        let number = calls.fetch_add(1, Ordering::SeqCst);
        let url = market.url(&format!("/ok?worker={worker}&call={number}"));
        let mut exit = -1;
        for _ in 0..TRIES {
            exit = market.fetch(&["--max-time", "5s", &url]).exit;
            // 1: the gate is away; 6: it went away with the credential, which is shown again.
            if !matches!(exit, 1 | 6) {
                break;
            }
            *repeats
                .lock()
                .expect("no worker has failed")
                .entry(exit)
                .or_insert(0) += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        *exits.entry(exit).or_insert(0) += 1;
    }
    exits
}

fn a_gate_that_dies_at_random_delivers_what_was_settled_and_nothing_else<N: Net>() {
    let _alone = alone();
    let kills = KILLS * scale();
    let mut market = Market::<N>::on(Pace::Blocks(BLOCK_TIME));
    let file = market.user.read("net/buyer.toml");
    let file = file.replace("10 USD", "1000 USD");
    market.user.write("net/buyer.toml", &file);
    let payee = Payee::watch(&market);
    let first = market.gate.take().expect("it runs");
    let (exits, last) = kill_and_restart(&market, kills, first);
    market.gate = Some(last);
    println!(
        "gate: {}: {kills} deaths, the calls ended with {exits:?}",
        N::RAIL
    );
    market.net.outlive();
    let sold = settle_down(&market);
    judge(&market, &sold, payee.income(&market));
}

/// The load, and the deaths. The last gate stays.
fn kill_and_restart<N: Net>(
    market: &Market<N>,
    kills: usize,
    first: Running,
) -> (BTreeMap<i32, usize>, Running) {
    let mut luck = Luck::new(seed(), 99);
    let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (repeats, listen) = (Mutex::new(BTreeMap::new()), market.listen());
    std::thread::scope(|scope| {
        let (stop, calls, repeats) = (&stop, &calls, &repeats);
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || buy(market, worker, stop, calls, repeats)))
            .collect();
        let mut running = first;
        for _ in 0..kills {
            std::thread::sleep(luck.below(LIFE));
            // Dropping it is kill -9.
            drop(running);
            running = market.start_gate(&listen);
        }
        stop.store(true, Ordering::SeqCst);
        let mut all = BTreeMap::new();
        for thread in workers {
            for (exit, times) in thread.join().expect("a worker") {
                *all.entry(exit).or_insert(0) += times;
            }
        }
        let repeats = repeats.lock().expect("no worker has failed");
        println!("gate: repeated after exits {repeats:?}");
        (all, running)
    })
}

/// Waits until neither side has an open payment; the running gate and `payments resume` ask the
/// chain. Returns the seller's payments.
fn settle_down<N: Net>(market: &Market<N>) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (exit, answer) =
            market
                .user
                .json(&["payments", "resume", "--all", "--config", "net/buyer.toml"]);
        assert_eq!(exit, 0, "{answer}");
        let sold = market.payments("seller");
        let is_open =
            |p: &Value| matches!(p["state"].as_str(), Some("reserved" | "sent" | "unknown"));
        let open: Vec<&Value> = sold.iter().filter(|p| is_open(p)).collect();
        if answer["still_unknown"] == 0 && open.is_empty() {
            return sold;
        }
        assert!(
            Instant::now() < deadline,
            "still open: {open:?}; buyer: {answer}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Delivered if and only if settled, or settled and to be delivered again; and the sums.
fn judge<N: Net>(market: &Market<N>, sold: &[Value], moved: u128) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut receipts: u128 = 0;
    for payment in sold {
        let text = |key: &str| payment[key].as_str().unwrap_or_default().to_owned();
        let (state, delivery) = (text("state"), text("delivery"));
        *counts.entry(format!("{state}, {delivery}")).or_insert(0) += 1;
        assert!(
            delivery == "undelivered" || state == "settled",
            "delivered unpaid: {payment}"
        );
        if state == "settled" {
            assert_eq!(payment["receipt"]["success"], true, "no receipt: {payment}");
            assert_eq!(payment["receipt"]["transaction"], payment["transaction"]);
            receipts += payment["amount"]["atomic"]
                .as_str()
                .expect("digits")
                .parse::<u128>()
                .expect("digits");
        }
    }
    let (spent, reserved) = market.spent_and_reserved();
    println!("gate: {} claims: {counts:?}", sold.len());
    println!(
        "gate: the sum of receipts is {receipts}, the payee's balance changed by {moved}; the buyer spent {spent} USD"
    );
    assert_eq!(receipts, moved);
    assert_eq!(reserved, "0");
    assert!(receipts > 0, "something was sold");
}
