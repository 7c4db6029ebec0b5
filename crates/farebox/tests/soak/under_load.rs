//! A reload and a drain while hundreds are served: nobody's stream breaks, and no payment is lost.
//!
//! Half of the connections hold a paid stream open from before the first reload until after the
//! signal to stop; the other half buys, again and again, and has a request under way at the signal.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::watch;

use crate::alone;
use crate::market::Server;
use crate::payers::{self, Got, Payer};
use crate::scale;
use crate::support::{Running, User};

/// Connections per scale: 400 in the full run.
const CONNECTIONS: usize = 40;
const RELOADS: u64 = 20;
/// Between two events of a stream.
const TICK: Duration = Duration::from_millis(50);

/// What is sold: `/ok` at once, `/slow` and the end of `/stream` when the test lets go.
struct Held {
    server: Server,
    streams: Arc<AtomicUsize>,
    slow: Arc<AtomicUsize>,
    let_go: watch::Sender<bool>,
}

impl Held {
    fn start() -> Self {
        let (let_go, held) = watch::channel(false);
        let (streams, slow) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (open, waiting, hold) = (Arc::clone(&streams), Arc::clone(&slow), held.clone());
        let endless = move || {
            open.fetch_add(1, Ordering::SeqCst);
            std::future::ready(events(held.clone()))
        };
        let late = move || {
            waiting.fetch_add(1, Ordering::SeqCst);
            let mut hold = hold.clone();
            async move {
                hold.wait_for(|let_go| *let_go).await.expect("a test");
                "at last\n"
            }
        };
        let router = Router::new()
            .route("/ok", get(async || "ok\n"))
            .route("/free", get(async || "free\n"))
            .route("/stream", get(endless))
            .route("/slow", get(late));
        Self {
            server: Server::start(router),
            streams,
            slow,
            let_go,
        }
    }
}

/// Numbers from 0, and `end` after the test has let go.
fn events(held: watch::Receiver<bool>) -> Body {
    let events = stream::unfold(Some(0_u64), move |number| {
        let held = held.clone();
        async move {
            let number = number?;
            tokio::time::sleep(TICK).await;
            let (line, next) = match *held.borrow() {
                false => (format!("{number}\n"), Some(number + 1)),
                true => ("end\n".to_owned(), None),
            };
            Some((Ok::<_, Infallible>(Bytes::from(line)), next))
        }
    });
    Body::from_stream(events)
}

/// A gate with an admin server, and what it was given.
struct Shop {
    user: User,
    net: Running,
    held: Held,
    gate: Running,
}

impl Shop {
    fn open() -> Self {
        let user = User::new();
        let net = user.devnet();
        let held = Held::start();
        write(&user, &held, 1_000);
        let gate = user.start(&[
            "gate",
            "--config",
            "net/shop.toml",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--json",
        ]);
        Self {
            user,
            net,
            held,
            gate,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gate.text("/listening"))
    }

    fn payer(&self, account: usize) -> Payer {
        let key = self.net.text(&format!("/evm/accounts/{account}/key"));
        Payer::new(&key, &self.net.text("/evm/rpc"))
    }

    /// The value of a line of `/metrics`.
    fn metric(&self, name: &str) -> u64 {
        let url = format!("{}/metrics", self.gate.text("/admin"));
        let metrics = payers::run(async {
            let answer = payers::client().get(url).send().await.expect("an answer");
            answer.text().await.expect("a body")
        });
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        let value = value.unwrap_or_else(|| panic!("{name} in\n{metrics}"));
        value.trim().parse().expect("a number")
    }

    /// Another price for everything, taken over before this returns.
    fn reprice(&self, number: u64) {
        write(&self.user, &self.held, 1_000 + number);
        self.gate.signal("HUP");
        let name = "farebox_config_reloads_total{outcome=\"taken\"}";
        payers::eventually(|| (self.metric(name) >= number).then_some(()));
    }
}

/// Replaces the file as an editor does.
fn write(user: &User, held: &Held, usd_micros: u64) {
    let head = user.read("net/seller.toml");
    let upstream = held.server.url();
    let routes = format!(
        "[[route]]\nmatch = \"/free\"\nupstream = \"{upstream}\"\nprice = \"0 USD\"\n\
         [[route]]\nmatch = \"/*\"\nupstream = \"{upstream}\"\nprice = \"0.{usd_micros:06} USD\"\n"
    );
    user.write("net/shop.new", &format!("{head}\n{routes}"));
    std::fs::rename(user.path("net/shop.new"), user.path("net/shop.toml")).expect("replaced");
}

/// What all buyers have in common.
#[derive(Clone, Default)]
struct Tally {
    is_over: Arc<AtomicBool>,
    payments: Arc<AtomicU64>,
    spent: Arc<AtomicU64>,
}

impl Tally {
    /// Pays once; anything but what was bought ends the test.
    async fn buy(&self, payer: &Payer, url: &str) -> Got {
        let signed = payer.sign(url).await;
        let got = payer.pay(url, &signed).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert!(got.has_receipt, "{got:?}");
        let amount = u64::try_from(signed.amount).expect("small");
        self.spent.fetch_add(amount, Ordering::SeqCst);
        self.payments.fetch_add(1, Ordering::SeqCst);
        got
    }

    /// One stream from now until the test lets go of it.
    async fn stream(self, payer: Payer, url: String) {
        let got = self.buy(&payer, &url).await;
        let lines: Vec<&str> = got.body.lines().collect();
        let (end, numbers) = lines.split_last().expect("events");
        assert_eq!(*end, "end", "a stream broke off after {}", numbers.len());
        for (expected, number) in numbers.iter().enumerate() {
            assert_eq!(*number, expected.to_string(), "an event is missing");
        }
    }

    /// One purchase after the other, and at last one that is under way at the signal.
    async fn shop(self, payer: Payer, [ok, free, slow]: [String; 3]) {
        while !self.is_over.load(Ordering::SeqCst) {
            assert_eq!(self.buy(&payer, &ok).await.body, "ok\n");
            assert_eq!(payer.get(&free).await.body, "free\n");
        }
        assert_eq!(self.buy(&payer, &slow).await.body, "at last\n");
    }
}

/// Waits until so many are there.
fn reach(count: &AtomicUsize, wanted: usize) {
    payers::eventually(|| (count.load(Ordering::SeqCst) == wanted).then_some(()));
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn reloads_and_a_drain_under_load_break_no_stream_and_lose_no_payment() {
    let _alone = alone();
    let half = CONNECTIONS * scale() / 2;
    let shop = Shop::open();
    let (tally, payee) = (Tally::default(), shop.payer(9));
    let before = payers::run(payee.balance());
    let streaming = (0..half)
        .map(|n| {
            tally
                .clone()
                .stream(shop.payer(1 + n % 8), shop.url("/stream"))
        })
        .collect();
    let streaming = spawn(streaming);
    reach(&shop.held.streams, half);
    let shopping = (0..half)
        .map(|n| {
            let urls = ["/ok", "/free", "/slow"].map(|path| shop.url(path));
            tally.clone().shop(shop.payer(1 + n % 8), urls)
        })
        .collect();
    let shopping = spawn(shopping);
    for number in 1..=RELOADS {
        // Somebody buys between any two.
        let seen = tally.payments.load(Ordering::SeqCst);
        payers::eventually(|| (tally.payments.load(Ordering::SeqCst) > seen).then_some(()));
        shop.reprice(number);
    }
    tally.is_over.store(true, Ordering::SeqCst);
    reach(&shop.held.slow, half);
    shop.gate.signal("TERM");
    payers::eventually(|| (shop.metric("farebox_draining") == 1).then_some(()));
    shop.held.let_go.send(true).expect("somebody waits");
    streaming.join().expect("no stream broke off");
    shopping.join().expect("no request failed");
    settle_up(shop, &tally, &payee, before);
}

/// Runs all of them on threads of their own.
fn spawn<F>(tasks: Vec<F>) -> std::thread::JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    std::thread::spawn(move || {
        payers::run(async {
            let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
            for task in tasks {
                task.await.expect("it held");
            }
        });
    })
}

/// The gate ends well, and what buyers spent is what books and chain have.
fn settle_up(shop: Shop, tally: &Tally, payee: &Payer, before: u128) {
    let (exit, stderr) = shop.gate.wait();
    assert_eq!((exit, stderr.as_str()), (0, ""));
    let spent = u128::from(tally.spent.load(Ordering::SeqCst));
    assert_eq!(payers::run(payee.balance()) - before, spent, "the chain");
    let list = [
        "payments",
        "list",
        "--role",
        "seller",
        "--config",
        "net/shop.toml",
    ];
    let (_, answer) = shop.user.json(&list);
    let payments = answer["payments"].as_array().expect("payments");
    let booked = payments.iter().map(|payment| {
        assert_eq!(payment["state"], "settled", "{payment}");
        assert_eq!(payment["delivery"], "delivered", "{payment}");
        let atomic = payment["amount"]["atomic"].as_str().expect("a sum");
        atomic.parse::<u128>().expect("digits")
    });
    assert_eq!(booked.sum::<u128>(), spent, "the books");
    let payments = payments.len();
    assert_eq!(payments as u64, tally.payments.load(Ordering::SeqCst));
    println!(
        "{payments} payments over {RELOADS} reloads and a drain: {spent} atomic units here and on chain"
    );
}
