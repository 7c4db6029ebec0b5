//! A facilitator that dies at random under load, on a chain that loses, undoes and replaces transactions; afterwards
//! books, chain and every answer must agree.
//!
//! | what | rule |
//! |---|---|
//! | books | double entry from the first line on; each claim settled, rejected or given back |
//! | chain | the payee got the sum of what is settled; each payment carried out once, by the transaction in the books |
//! | `success: true` | paid (but where a reorganisation gave a payer the last of his money back, and he spent it elsewhere); told to one caller for each identity, or again to the same `Idempotency-Key` |
//! | final failures | not paid |

mod judge;
mod load;
pub(crate) mod payers;
mod trouble;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::judge::{Books, Chain, judge, replaced, tries};
use self::load::{Record, Shop, VALID_FOR_S, sell};
use self::payers::Payers;
use self::trouble::Trying;
use crate::luck::Luck;
use crate::nets::{FEES, Net, PAYEE, Pace, write_key};
use crate::support::User;
use crate::{alone, scale, seed};

/// Deaths per scale.
const KILLS: usize = 10;
/// The longest life of a facilitator.
const LIFE: Duration = Duration::from_secs(2);
/// Sellers that settle at the same time, each on a connection of its own.
const CONNECTIONS: usize = 400;
/// Accounts that pay.
const PAYERS: usize = 64;
/// The first of them can pay for this much only; the others for everything.
const POOR: (usize, u64) = (4, 20);
const PLENTY: u64 = 1_000_000;
/// Long enough that many a facilitator dies while a settlement is on its way.
const BLOCK_TIME: Duration = Duration::from_millis(200);
/// How often a start is tried: the node may be away just then.
const STARTS: usize = 20;
/// How long the books may take to be decided afterwards: authorizations that nobody settles must expire.
const SETTLE_DOWN: Duration = Duration::from_secs(240);
/// Between two looks into the books.
const LOOK: Duration = Duration::from_millis(500);

/// A facilitator that can be killed and started again, on one address and one ledger.
pub(crate) struct Facilitator {
    user: User,
    listen: String,
    child: Option<Child>,
    /// Starts that the node's faults made fail.
    pub(crate) failed_starts: usize,
}

impl Facilitator {
    /// Takes an address and writes the files; starts nothing.
    pub(crate) fn new<N: Net>(net: &N) -> Self {
        let user = User::new();
        write_files(&user, net);
        // Free now, and nobody else asks for a port of this number in between.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let listen = free.local_addr().expect("an address").to_string();
        Self {
            user,
            listen,
            child: None,
            failed_starts: 0,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub(crate) fn ledger(&self) -> std::path::PathBuf {
        self.user.path("facilitator.db")
    }

    /// Starts it, again and again if need be, as a supervisor would.
    pub(crate) fn start(&mut self) {
        for _ in 0..STARTS {
            let arguments = [
                "facilitator",
                "--config",
                "facilitator.toml",
                "--listen",
                &self.listen,
                "--json",
            ];
            let log = std::fs::File::options()
                .create(true)
                .append(true)
                .open(self.user.path("log"));
            let mut child = self
                .user
                .command(&arguments)
                .stdout(Stdio::piped())
                .stderr(log.expect("a log"))
                .spawn()
                .expect("farebox starts");
            let mut line = String::new();
            let stdout = child.stdout.take().expect("piped");
            BufReader::new(stdout).read_line(&mut line).expect("text");
            if line.contains("listening") {
                self.child = Some(child);
                return;
            }
            let _ = child.kill();
            let _ = child.wait();
            self.failed_starts += 1;
        }
        panic!("the facilitator does not start: {}", self.log());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// The end of what it has said.
    fn log(&self) -> String {
        let log = self.user.read("log");
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Facilitator {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `facilitator.toml` and `fees.key` in the user's folder.
pub(crate) fn write_files<N: Net>(user: &User, net: &N) {
    write_key(user, "fees.key", &net.key(FEES));
    let (rail, table) = (N::RAIL, net.table());
    user.write(
        "facilitator.toml",
        &format!(
            "ledger = \"sqlite:facilitator.db\"\n{table}\
             [facilitator]\nurls = [\"local\"]\nsigner = {{ {rail} = \"file:fees.key\" }}\n"
        ),
    );
}

/// An HTTP client with as many connections as there are requests at a time.
pub(crate) fn http() -> reqwest::Client {
    // An error means that a test before this one has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().expect("a client")
}

crate::nets::on_every_network! {
    #[ignore = "a long run; `cargo xtask soak`"]
    a_facilitator_that_dies_at_random_on_a_bad_chain_keeps_books_that_are_the_chain,
}

fn a_facilitator_that_dies_at_random_on_a_bad_chain_keeps_books_that_are_the_chain<N: Trying>() {
    let _alone = alone();
    let kills = KILLS * scale();
    let net = N::start(Pace::Blocks(BLOCK_TIME));
    let (poor, little) = POOR;
    let payments = [vec![little; poor], vec![PLENTY; PAYERS - poor]].concat();
    let payers = Payers::new(&net, &payments, VALID_FOR_S);
    let start = net.balance(PAYEE);
    let mut facilitator = Facilitator::new(&net);
    facilitator.start();
    let shop = Arc::new(Shop {
        http: http(),
        url: facilitator.url(),
        payers,
        stop: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let records = kill_and_restart(&runtime, &net, &mut facilitator, &shop, kills);
    net.outlive();
    let books = settle_down(&runtime, &mut facilitator);
    let chain = runtime.block_on(Chain::read(&shop.http, &net, start));
    println!(
        "facilitator: {}: {kills} deaths, {} starts that failed, {} payments, asked again after {:?}, {} told of a transaction that was replaced later",
        N::RAIL,
        facilitator.failed_starts,
        records.len(),
        tries(&records),
        replaced(&chain, &records),
    );
    judge(&books, &chain, &records);
    assert!(chain.income > 0, "something was settled");
}

/// The load, the bad chain and the deaths. The last facilitator stays until nobody asks any more.
fn kill_and_restart<N: Trying>(
    runtime: &tokio::runtime::Runtime,
    net: &N,
    facilitator: &mut Facilitator,
    shop: &Arc<Shop>,
    kills: usize,
) -> Vec<Record> {
    let sellers: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let luck = Luck::new(
                seed(),
                1000 + u64::try_from(number).expect("a small number"),
            );
            runtime.spawn(sell(Arc::clone(shop), luck))
        })
        .collect();
    let (mut luck, stop) = (Luck::new(seed(), 98), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let trouble = scope.spawn(|| trouble::make(net, Luck::new(seed(), 97), &stop));
        for _ in 0..kills {
            std::thread::sleep(luck.below(LIFE));
            facilitator.kill();
            facilitator.start();
        }
        stop.store(true, Ordering::SeqCst);
        println!(
            "facilitator: the node {:?}",
            trouble.join().expect("trouble ends")
        );
    });
    shop.stop.store(true, Ordering::SeqCst);
    net.bury();
    let mut records = Vec::new();
    for seller in sellers {
        records.extend(runtime.block_on(seller).expect("a seller"));
    }
    records
}

/// Waits until the facilitator has finished every payment, and stops it.
fn settle_down(runtime: &tokio::runtime::Runtime, facilitator: &mut Facilitator) -> Books {
    let deadline = Instant::now() + SETTLE_DOWN;
    loop {
        let books = runtime.block_on(Books::read(&facilitator.ledger()));
        let unfinished = books.unfinished();
        if unfinished.is_empty() {
            facilitator.kill();
            return books;
        }
        assert!(
            Instant::now() < deadline,
            "{} payments are not finished: {:#?}\n{}",
            unfinished.len(),
            &unfinished[..unfinished.len().min(5)],
            facilitator.log()
        );
        std::thread::sleep(LOOK);
    }
}
