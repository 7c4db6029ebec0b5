//! Many processes on one budget: never more is spent than allowed, whoever dies when.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::luck::Luck;
use crate::market::Market;
use crate::nets::{Net, PRICE_ATOMIC, Pace, Payee};
use crate::{WORKERS, alone, scale, seed};

/// Fetches per scale; five times what the budget allows.
const FETCHES: usize = 50;
/// Payments that the budget allows per scale.
const ALLOWED: usize = 10;
/// How long it may take until the books have noticed that all credentials have died.
const PATIENCE: Duration = Duration::from_secs(60);

crate::nets::on_every_network! {
    #[ignore = "a long run; `cargo xtask soak`"]
    many_processes_share_one_budget_to_the_last_cent,
    #[ignore = "a long run; `cargo xtask soak`"]
    kill_nine_of_random_fetches_never_overspends_and_everything_is_accounted_for,
}

/// A market whose buyer can afford `allowed` payments.
fn market<N: Net>(allowed: usize) -> Market<N> {
    let market = Market::on(Pace::AtOnce);
    let total = format!("total = \"{} USD\"", usd(allowed));
    let file = market.user.read("net/buyer.toml");
    let file = file.replace("total = \"10 USD\"", &total);
    market.user.write("net/buyer.toml", &file);
    market
}

/// What so many payments cost, as the budget shows it.
fn usd(payments: usize) -> String {
    let atomic = u128::try_from(payments).expect("a count") * PRICE_ATOMIC;
    let text = format!("{}.{:06}", atomic / 1_000_000, atomic % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Dollars as millionths, which are the token's atomic units here.
fn micros(usd: &str) -> u128 {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    format!("{whole}{part:0<6}")
        .parse()
        .expect("a sum of dollars")
}

/// Runs every fetch once, each its own logical call, in [`WORKERS`] processes at a time.
fn fetch_all<N: Net>(
    market: &Market<N>,
    count: usize,
    run: impl Fn(&str, &mut Luck) -> i32 + Sync,
) -> BTreeMap<i32, usize> {
    let next = AtomicUsize::new(0);
    let worker = |part: usize| {
        let mut luck = Luck::new(seed(), u64::try_from(part).expect("a few"));
        let mut exits = BTreeMap::new();
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= count {
                return exits;
            }
            let url = market.url(&format!("/ok?call={number}"));
            *exits.entry(run(&url, &mut luck)).or_insert(0) += 1;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|part| scope.spawn(move || worker(part)))
            .collect();
        let mut all = BTreeMap::new();
        for thread in workers {
            for (exit, times) in thread.join().expect("a worker") {
                *all.entry(exit).or_insert(0) += times;
            }
        }
        all
    })
}

fn many_processes_share_one_budget_to_the_last_cent<N: Net>() {
    let _alone = alone();
    let (count, allowed) = (FETCHES * scale(), ALLOWED * scale());
    let market = market::<N>(allowed);
    let payee = Payee::watch(&market);
    let exits = fetch_all(&market, count, |url, _| market.fetch(&[url]).exit);
    println!(
        "budget: {}: {count} fetches on a budget for {allowed}: exits {exits:?}",
        N::RAIL
    );
    assert_eq!(exits, BTreeMap::from([(0, allowed), (3, count - allowed)]));
    assert_eq!(market.upstream.calls(), allowed);
    assert_eq!(market.spent_and_reserved(), (usd(allowed), "0".to_owned()));
    let moved = payee.income(&market);
    println!(
        "budget: spent {} USD, the chain moved {moved}",
        usd(allowed)
    );
    assert_eq!(moved, micros(&usd(allowed)));
}

fn kill_nine_of_random_fetches_never_overspends_and_everything_is_accounted_for<N: Net>() {
    let _alone = alone();
    let (count, allowed) = (FETCHES * scale(), ALLOWED * scale());
    let market = market::<N>(allowed);
    let payee = Payee::watch(&market);
    let limit = micros(&usd(allowed));
    let done = AtomicBool::new(false);
    let exits = std::thread::scope(|scope| {
        let poll = || {
            let mut looks = 0_usize;
            while !done.load(Ordering::SeqCst) {
                let (spent, reserved) = market.spent_and_reserved();
                assert!(
                    micros(&spent) + micros(&reserved) <= limit,
                    "{spent} + {reserved} USD"
                );
                looks += 1;
            }
            looks
        };
        let poller = scope.spawn(poll);
        let exits = fetch_all(&market, count, |url, luck| {
            fetch_or_kill(&market, url, luck)
        });
        done.store(true, Ordering::SeqCst);
        println!(
            "kills: the limit held in {} looks",
            poller.join().expect("the limit holds")
        );
        exits
    });
    let served = market.upstream.calls();
    println!(
        "kills: {count} fetches on a budget for {allowed}: {served} served, exits {exits:?} (-1: killed)"
    );
    assert!(served <= allowed, "{served} served");
    let settled = resolve_all(&market);
    let (spent, reserved) = market.spent_and_reserved();
    let moved = payee.income(&market);
    println!(
        "kills: {}: {settled} settled, spent {spent} USD, reserved {reserved}, the chain moved {moved}",
        N::RAIL
    );
    assert_eq!(reserved, "0");
    assert_eq!(micros(&spent), moved);
}

/// One fetch; one in three is killed somewhere along its way. Its exit code, or -1.
fn fetch_or_kill<N: Net>(market: &Market<N>, url: &str, luck: &mut Luck) -> i32 {
    if !luck.once_in(3) {
        return market.fetch(&[url]).exit;
    }
    let mut command = market
        .user
        .command(&["fetch", "--config", "net/buyer.toml", url]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("farebox starts");
    // A fetch takes about this long, so that every stage of it is hit.
    std::thread::sleep(luck.below(Duration::from_millis(120)));
    // An error means that it has ended already.
    let _ = child.kill();
    child.wait().expect("it ends").code().unwrap_or(-1)
}

/// Waits until every credential is dead, and asks the chain until it is sure. Returns how many
/// payments have settled.
fn resolve_all<N: Net>(market: &Market<N>) -> usize {
    market.net.outlive();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let arguments = ["payments", "resume", "--all", "--config", "net/buyer.toml"];
        let (exit, answer) = market.user.json(&arguments);
        assert_eq!(exit, 0, "{answer}");
        let payments = market.payments("buyer");
        let is_held = payments.iter().any(|p| p["reserved_until"].is_u64());
        if answer["still_unknown"] == 0 && !is_held {
            return payments.iter().filter(|p| p["state"] == "settled").count();
        }
        assert!(Instant::now() < deadline, "not resolved in time: {answer}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
