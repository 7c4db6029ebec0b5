//! Strangers by the ten thousand who ask for what is sold over Lightning and never pay, each from another address: a
//! bounded number of invoices, no line in the books, hardly any memory, and meanwhile somebody honest is sold to
//! (ARCHITECTURE law 9).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;

use crate::channel::{Channel, PRICE_MSAT};
use crate::{Stop, alone, payers, scale};

/// Requests per scale.
const REQUESTS: usize = 10_000;
/// Invoices that may be open, per scale: 10,000 in a full run, as is usual.
const OPEN_MAX: usize = 1_000;
/// Requests at the same time.
const CONNECTIONS: usize = 50;
/// Of so many times that the honest buyer asks, it buys once.
const BUYS_ONCE_IN: usize = 20;
/// Between two questions of the honest buyer.
const PAUSE: Duration = Duration::from_millis(25);
/// How often a purchase is tried: the node is busy with strangers.
const TRIES: usize = 10;
/// What the flood may leave in the gate.
const GROWTH_KIB_MAX: u64 = 32 * 1024;
/// In a full run 99 of 100 times an honest buyer has an invoice after this.
const FULL_P99_MAX: Duration = Duration::from_secs(1);
/// In a part of it, on a machine that does something else besides, half of the times after this.
const PART_P50_MAX: Duration = Duration::from_secs(5);
/// No invoice came.
const NEVER: Duration = Duration::MAX;

/// Where strangers come from, and where somebody honest does.
const STRANGERS: u32 = 10 << 24;
const HONEST: u32 = 11 << 24;

fn address(of: u32, number: usize) -> String {
    Ipv4Addr::from_bits(of + u32::try_from(number).expect("a small number")).to_string()
}

/// Asks for the price from an address; whether an invoice stands in the answer.
async fn ask(client: &Client, url: &str, from: &str) -> (u16, bool) {
    let asked = client.get(url).header("x-forwarded-for", from);
    let answer = asked.send().await.expect("an answer");
    let lines = answer.headers().get_all("www-authenticate").iter();
    let has_invoice = lines
        .filter_map(|line| line.to_str().ok())
        .any(|line| line.contains("invoice=\"lnbcrt"));
    (answer.status().as_u16(), has_invoice)
}

/// So many strangers, from this number on: how many were shown an invoice.
async fn strangers(url: &str, numbers: std::ops::Range<usize>) -> usize {
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let client = payers::client();
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, url, next, end) = (
                client.clone(),
                url.to_owned(),
                Arc::clone(&next),
                numbers.end,
            );
            tokio::spawn(async move {
                let mut shown = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= end {
                        return shown;
                    }
                    let (status, has_invoice) =
                        ask(&client, &url, &address(STRANGERS, number)).await;
                    // Without an invoice nothing can be sold.
                    assert_eq!(status, if has_invoice { 402 } else { 503 });
                    shown += usize::from(has_invoice);
                }
            })
        })
        .collect();
    let mut shown = 0;
    for sender in senders {
        shown += sender.await.expect("a sender");
    }
    shown
}

/// What somebody honest met.
#[derive(Default)]
struct Honest {
    waits: Vec<Duration>,
    bought: usize,
    tries: usize,
}

impl Honest {
    /// Asks until told to stop, each time from an address that nobody knows, and buys now and then.
    fn come(channel: &Channel, stop: &AtomicBool) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let (client, url) = (payers::client(), channel.url("/ok"));
        let mut honest = Self::default();
        while !stop.load(Ordering::SeqCst) || honest.bought == 0 {
            let number = honest.waits.len();
            let began = Instant::now();
            let asked = runtime.block_on(ask(&client, &url, &address(HONEST, number)));
            honest.waits.push(if asked == (402, true) {
                began.elapsed()
            } else {
                NEVER
            });
            if number.is_multiple_of(BUYS_ONCE_IN) {
                honest.buy(channel, &address(HONEST, (1 << 16) + number));
            }
            std::thread::sleep(PAUSE);
        }
        honest.waits.sort();
        honest
    }

    fn buy(&mut self, channel: &Channel, from: &str) {
        let (from, url) = (format!("x-forwarded-for: {from}"), channel.url("/ok"));
        for _ in 0..TRIES {
            self.tries += 1;
            let ended = channel.fetch(&["-H", &from, &url]);
            if ended.exit == 0 {
                assert_eq!(ended.stdout, "ok\n");
                self.bought += 1;
                return;
            }
        }
        panic!("an honest buyer could not buy in {TRIES} tries");
    }

    /// How long so many of a hundred waited at most.
    fn percentile(&self, percent: usize) -> Duration {
        let index = (self.waits.len() * percent).div_ceil(100).max(1) - 1;
        self.waits[index]
    }
}

fn memory_kib(channel: &Channel) -> u64 {
    let pid = channel.gate.as_ref().expect("it runs").pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits
        .and_then(|digits| digits.parse().ok())
        .expect("kilobytes")
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn a_flood_of_strangers_leaves_a_bounded_number_of_invoices_and_takes_nobody_s_place() {
    let _alone = alone();
    let (requests, open_max) = (REQUESTS * scale(), OPEN_MAX * scale());
    let keys =
        format!("trusted_proxies = [\"127.0.0.1/32\"]\n[limits]\nopen_invoices = {open_max}");
    let channel = Channel::with(&keys, "");
    let (runtime, url) = (
        tokio::runtime::Runtime::new().expect("threads"),
        channel.url("/ok"),
    );
    // Connections, pools and the first purchase are no trace of the flood.
    assert_eq!(channel.fetch(&[&url]).exit, 0);
    runtime.block_on(strangers(&url, 0..CONNECTIONS));
    let (memory, began, stop) = (memory_kib(&channel), Instant::now(), AtomicBool::new(false));
    let (shown, honest) = std::thread::scope(|scope| {
        let honest = scope.spawn(|| Honest::come(&channel, &stop));
        let stopping = Stop(&stop);
        let shown = runtime.block_on(strangers(&url, CONNECTIONS..requests));
        drop(stopping);
        (shown, honest.join().expect("somebody honest"))
    });
    let (after, took) = (memory_kib(&channel), began.elapsed());
    let open = channel
        .net
        .devnet()
        .open_invoices(0)
        .expect("the node runs");
    let made = channel.net.devnet().faults(0).calls("addinvoice");
    let percentiles = [50, 90, 99].map(|percent| honest.percentile(percent));
    println!(
        "ln_flood: {requests} strangers in {took:?}, {shown} were shown an invoice; the node made {made}, {open} of at most {open_max} are open"
    );
    println!(
        "ln_flood: somebody honest asked {} times and had an invoice after {percentiles:?} (p50, p90, p99), bought {} times in {} tries",
        honest.waits.len(),
        honest.bought,
        honest.tries
    );
    println!("ln_flood: memory of the gate {memory} KiB, afterwards {after}");
    assert!(open <= open_max, "{open} invoices are open");
    assert!(
        after <= memory + GROWTH_KIB_MAX,
        "{memory} KiB became {after}"
    );
    let bought = honest.bought + 1;
    assert_eq!(
        channel.payments("seller").len(),
        bought,
        "strangers leave no line in the books"
    );
    assert_eq!(
        channel.upstream.calls(),
        bought,
        "nobody else reached the upstream"
    );
    channel.assert_moved(u64::try_from(bought).expect("a few") * PRICE_MSAT);
    let [half, _, most] = percentiles;
    match scale() >= 10 {
        true => assert!(most <= FULL_P99_MAX, "{most:?}"),
        false => assert!(half <= PART_P50_MAX, "{half:?}"),
    }
}
