//! Buyers and the gate die at random while money moves over a real channel; afterwards everything that the nodes have
//! moved is in the books once, each call was paid once, and what was paid for can be used.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::Value;

use crate::channel::{Channel, PRICE};
use crate::luck::Luck;
use crate::market::Server;
use crate::support::Running;
use crate::{Stop, WORKERS, alone, scale, seed};

/// Deaths per scale, half of them buyers'.
const KILLS: usize = 5;
/// The longest life of a gate.
const GATE_LIFE: Duration = Duration::from_millis(900);
/// The longest life of a buyer that is to die: most of them have done all by then.
const BUYER_LIFE: Duration = Duration::from_millis(500);
/// Of so many buyers one is to die.
const DIES_ONCE_IN: u64 = 3;
/// Tries of one call: the gate is away for a moment, or the buyer dies.
const TRIES: usize = 100;
/// How often one token can be used: more often than its call loses an answer.
const USES: u64 = 8;
/// How long the books may take to agree with the nodes.
const PATIENCE: Duration = Duration::from_secs(90);
/// What a token costs, in millionths of a dollar.
const PRICE_MICROS: u64 = 6_000;
/// Tokens that the budget is for at the end; the fee that is held with the last does not fit.
const LAST_TOKENS: u64 = 4;

/// What is sold: each call has an address of its own, so that it has a token of its own. Counts how often each
/// reached it.
struct Shop {
    server: Server,
    served: Served,
}

type Served = Arc<Mutex<BTreeMap<usize, u64>>>;

async fn call(State(served): State<Served>, Path(number): Path<usize>) -> String {
    *served.lock().expect("whole").entry(number).or_default() += 1;
    body_of(number)
}

fn body_of(number: usize) -> String {
    format!("call {number}\n")
}

impl Shop {
    fn open() -> Self {
        let served = Served::default();
        let router = Router::new().route("/call/{number}", get(call));
        Self {
            server: Server::start(router.with_state(Arc::clone(&served))),
            served,
        }
    }

    fn route(&self) -> String {
        format!(
            "[[route]]\nmatch = \"/call/*\"\nupstream = \"{}\"\nprice = \"{PRICE}\"\naccept = [\"l402\"]\nuses = {USES}\n",
            self.server.url()
        )
    }

    fn served(&self) -> BTreeMap<usize, u64> {
        self.served.lock().expect("whole").clone()
    }
}

/// What the run is made of, shared by those who buy and those who kill.
struct Run {
    channel: Channel,
    shop: Shop,
    /// The next call.
    next: AtomicUsize,
    /// Buyers that are still to die.
    deaths: AtomicUsize,
    exits: Mutex<BTreeMap<String, usize>>,
    /// Payments that were open when somebody had died.
    found_open: AtomicUsize,
    /// What the buyer's node had paid before, and the seller's received.
    before: [BTreeMap<String, u64>; 2],
}

impl Run {
    fn new() -> Self {
        let shop = Shop::open();
        let channel = Channel::with(&shop.route(), "");
        Self {
            before: moved(&channel),
            channel,
            shop,
            next: AtomicUsize::new(0),
            deaths: AtomicUsize::new(0),
            exits: Mutex::default(),
            found_open: AtomicUsize::new(0),
        }
    }

    /// One buyer; where it is to die, after this time.
    fn fetch(&self, number: usize, dies_after: Option<Duration>, how: &[&str]) -> Output {
        let (url, key) = (
            self.channel.url(&format!("/call/{number}")),
            format!("call-{number}"),
        );
        let fetch = [
            "fetch",
            "--config",
            "buyer.toml",
            "--max-time",
            "30s",
            "--idempotency-key",
            &key,
        ];
        let mut command = self
            .channel
            .user
            .command(&[&fetch[..], how, &[&url]].concat());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("farebox starts");
        if let Some(life) = dies_after {
            std::thread::sleep(life);
            // An error means that it has ended already.
            let _ = child.kill();
        }
        child.wait_with_output().expect("it ends")
    }

    /// Repeats one call until it is served.
    fn finish(&self, number: usize, luck: &mut Luck) {
        for _ in 0..TRIES {
            let is_to_die = self.deaths.load(Ordering::SeqCst) > 0 && luck.once_in(DIES_ONCE_IN);
            let dies_after = is_to_die.then(|| luck.below(BUYER_LIFE));
            let output = self.fetch(number, dies_after, &[]);
            let died = output.status.signal() == Some(9);
            let ended = output
                .status
                .code()
                .map_or("killed".to_owned(), |code| code.to_string());
            *self.exits.lock().expect("whole").entry(ended).or_default() += 1;
            if died {
                // A last one too many is no harm.
                let _ = self
                    .deaths
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    });
                self.resume();
                continue;
            }
            match output.status.code() {
                Some(0) => {
                    assert_eq!(String::from_utf8_lossy(&output.stdout), body_of(number));
                    return;
                }
                // The gate is away, it went away with the token, or the nodes are busy.
                Some(1 | 4 | 6 | 7 | 22) => std::thread::sleep(Duration::from_millis(50)),
                other => panic!(
                    "call {number} ended {other:?}: {}",
                    String::from_utf8_lossy(&output.stderr)
                ),
            }
        }
        panic!("call {number} was not served in {TRIES} tries");
    }

    /// What an owner does after a crash. Returns how many payments are still not known.
    fn resume(&self) -> u64 {
        let resume = ["payments", "resume", "--all", "--config", "buyer.toml"];
        let (exit, answer) = self.channel.user.json(&resume);
        assert_eq!(exit, 0, "{answer}");
        let open = answer["payments"].as_array().map_or(0, Vec::len);
        self.found_open.fetch_add(open, Ordering::SeqCst);
        answer["still_unknown"].as_u64().expect("a number")
    }

    /// Buys in several processes at a time, and kills until all deaths are died; every call is finished. Returns the
    /// last gate.
    fn load(&self, kills: usize, first: Running) -> Running {
        self.deaths.store(kills.div_ceil(2), Ordering::SeqCst);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stopping = Stop(&stop);
            let stop = &stop;
            for worker in 0..WORKERS {
                let mut luck = Luck::new(seed(), u64::try_from(worker).expect("a few"));
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        self.finish(self.next.fetch_add(1, Ordering::SeqCst), &mut luck);
                    }
                });
            }
            let mut luck = Luck::new(seed(), 99);
            let mut gate = first;
            for _ in 0..kills / 2 {
                let faults = self.channel.net.devnet().faults(0);
                if luck.once_in(2) {
                    // What is paid from now on stays on its way, until after the death.
                    faults.hold_payments();
                }
                std::thread::sleep(luck.below(GATE_LIFE));
                // Dropping it is kill -9.
                drop(gate);
                faults.release_payments();
                gate = self.channel.another_gate();
                self.resume();
            }
            let began = Instant::now();
            while self.deaths.load(Ordering::SeqCst) > 0 && began.elapsed() < 4 * PATIENCE {
                std::thread::sleep(Duration::from_millis(50));
            }
            drop(stopping);
            gate
        })
    }

    /// What one side's books say has moved: payment hash and msat, which must be there once. Nothing may be open.
    fn booked(&self, role: &str) -> BTreeMap<String, u64> {
        let mut booked = BTreeMap::new();
        for payment in self.channel.payments(role) {
            match payment["state"].as_str() {
                Some("settled") => {}
                Some("rejected" | "released") => continue,
                state => panic!("{state:?}: {payment}"),
            }
            let hash = payment["transaction"].as_str().expect("a hash").to_owned();
            assert!(
                booked.insert(hash, msat(&payment)).is_none(),
                "twice: {payment}"
            );
        }
        booked
    }

    /// What the buyer's node has paid in this run, and the seller's received: payment hash and msat.
    fn moved(&self) -> [BTreeMap<String, u64>; 2] {
        let mut moved = moved(&self.channel);
        for (moved, before) in moved.iter_mut().zip(&self.before) {
            moved.retain(|hash, _| !before.contains_key(hash));
        }
        moved
    }

    /// Waits until the books of both sides say what their nodes say; how many payments that is.
    fn settle_down(&self) -> usize {
        let began = Instant::now();
        loop {
            let unknown = self.resume();
            let [_, received] = self.moved();
            // The seller is told a moment after its node.
            if unknown == 0 && self.booked("seller") == received {
                let [paid, received] = self.moved();
                assert_eq!(
                    self.booked("buyer"),
                    paid,
                    "the buyer's books and what its node has paid"
                );
                assert_eq!(
                    paid, received,
                    "what one node has paid and the other received"
                );
                return paid.len();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{unknown} unknown; sold {:?}, received {received:?}",
                self.booked("seller")
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Each call was paid for once and served, no token more often than it is good for.
    fn judge(&self, calls: usize) {
        let mut paid = BTreeMap::<String, usize>::new();
        for payment in self.channel.payments("buyer") {
            if payment["state"] == "settled" {
                *paid
                    .entry(payment["url"].as_str().expect("a url").to_owned())
                    .or_default() += 1;
            }
        }
        let urls = (0..calls).map(|number| self.channel.url(&format!("/call/{number}")));
        assert_eq!(
            paid,
            urls.map(|url| (url, 1)).collect(),
            "one payment for each call"
        );
        let served = self.shop.served();
        assert_eq!(
            served.len(),
            calls,
            "each call was served, and nothing else"
        );
        assert!(
            served.values().all(|times| *times <= USES),
            "served unpaid: {served:?}"
        );
    }

    /// Uses each token once more.
    fn use_tokens(&self, calls: usize) {
        let next = AtomicUsize::new(0);
        let take = || next.fetch_add(1, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(number) = Some(take()).filter(|number| *number < calls) {
                        let output = self.fetch(number, None, &["--max-cost", "0.000001 USD"]);
                        let stderr = String::from_utf8_lossy(&output.stderr);
                        assert_eq!(
                            output.status.code(),
                            Some(0),
                            "the token of call {number}: {stderr}"
                        );
                    }
                });
            }
        });
    }

    /// Several buyers race for the last of the budget: how many were let through.
    fn race_for_the_rest(&self, spent: u64) -> u64 {
        let total = format!("{} USD", usd(spent + LAST_TOKENS * PRICE_MICROS));
        let set = [
            "budget",
            "set",
            "--config",
            "buyer.toml",
            "--total",
            &total,
            "--per-day",
            &total,
        ];
        assert_eq!(self.channel.user.run(&set).exit, 0);
        let bought = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 * WORKERS {
                scope.spawn(|| {
                    let number = self.next.fetch_add(1, Ordering::SeqCst);
                    for _ in 0..TRIES {
                        match self.fetch(number, None, &[]).status.code() {
                            Some(0) => {
                                bought.fetch_add(1, Ordering::SeqCst);
                                return;
                            }
                            Some(3) => return,
                            // The nodes are busy.
                            _ => std::thread::sleep(Duration::from_millis(50)),
                        }
                    }
                    panic!("call {number} has no end");
                });
            }
        });
        u64::try_from(bought.into_inner()).expect("a few")
    }
}

fn msat(payment: &Value) -> u64 {
    let digits = payment["amount"]["atomic"].as_str().expect("digits");
    digits.parse().expect("digits")
}

/// What the buyer's node has ever paid, with fees, and the seller's received.
fn moved(channel: &Channel) -> [BTreeMap<String, u64>; 2] {
    let net = channel.net.devnet();
    [net.paid(1), net.received(0)].map(|moved| {
        let moved = moved.expect("the nodes run").into_iter();
        moved
            .map(|one| (one.payment_hash, one.msat + one.fee_msat))
            .collect()
    })
}

/// Millionths of a dollar, as the budget shows them.
fn usd(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn kill_nine_of_buyers_and_gate_loses_and_doubles_no_payment_over_lightning() {
    let _alone = alone();
    let kills = KILLS * scale();
    let mut run = Run::new();
    let first = run.channel.gate.take().expect("it runs");
    let gate = run.load(kills, first);
    let calls = run.next.load(Ordering::SeqCst);
    let died = run
        .exits
        .lock()
        .expect("whole")
        .get("killed")
        .copied()
        .unwrap_or_default();
    println!(
        "ln_kills: {} deaths of the gate and {died} of buyers, {calls} calls, ends {:?}; {} payments were found open after a death",
        kills / 2,
        run.exits.lock().expect("whole"),
        run.found_open.load(Ordering::SeqCst)
    );
    let paid = run.settle_down();
    let served: u64 = run.shop.served().values().sum();
    println!(
        "ln_kills: {paid} payments in both books and at both nodes, {served} answers of the upstream"
    );
    assert!(died >= kills.div_ceil(2), "{died} buyers died");
    run.judge(calls);
    let spent = u64::try_from(paid).expect("a few") * PRICE_MICROS;
    run.use_tokens(calls);
    assert_eq!(
        run.channel.spent_and_reserved(),
        (usd(spent), "0".to_owned())
    );
    let more = run.race_for_the_rest(spent);
    println!(
        "ln_kills: {more} of {} were let through at the end of the budget",
        2 * WORKERS
    );
    assert!((1..=LAST_TOKENS).contains(&more), "{more}");
    assert_eq!(
        run.settle_down(),
        paid + usize::try_from(more).expect("a few")
    );
    let spent = spent + more * PRICE_MICROS;
    assert_eq!(
        run.channel.spent_and_reserved(),
        (usd(spent), "0".to_owned())
    );
    drop(gate);
}
