//! Fresh invalid signatures by the ten thousand, at the facilitator and at the gate: each gets its documented answer and
//! costs nothing that lasts, while valid payments beside them are served (ARCHITECTURE laws 8 and 9).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use farebox_core::ledger::{AccountBalance, Filter, Ledger as _, PaymentId};
use farebox_core::payment::State;
use farebox_ledger::SqliteLedger;
use farebox_wire::x402::header;
use serde_json::Value;

use crate::facilitator::payers::{Payers, Signed};
use crate::facilitator::{http, write_files};
use crate::luck::Luck;
use crate::market::Upstream;
use crate::nets::{Evm, Net as _, PAYEE, Pace, write_key};
use crate::support::{Running, User};
use crate::{alone, scale, seed};

/// Requests per scale, over all doors.
const REQUESTS: usize = 10_000;
/// For how long a gate's offers are good, unless it is told otherwise.
const MAX_TIMEOUT_S: u64 = 60;
/// Requests at the same time.
const CONNECTIONS: usize = 50;
/// Valid payments at each door while the flood runs.
const NEIGHBOURS: usize = 20;
/// What the flood may leave in a process that it has warmed up with its first tenth: pools and caches, no trace of
/// each request.
const GROWTH_KIB_MAX: u64 = 16 * 1024;
/// Payers who have just paid are kept fresh for a few blocks, one each second here; then nothing is asked.
const QUIET: Duration = Duration::from_secs(4);
/// Questions in each block: each of the two processes looks at the payer in whose name forgeries come and at those
/// whom it keeps fresh, and once more where a block comes in between.
const LOOKS_PER_BLOCK: u64 = 6;
/// Where an answer comes late, on a busy machine, everybody who is there in that moment asks, each once and most in
/// company: of so many forgeries, one may.
const FORGERIES_PER_LOOK: u64 = 50;
/// Methods that verifying and settling need of a node.
const METHODS: [&str; 7] = [
    "eth_call",
    "eth_getCode",
    "eth_getBalance",
    "eth_getLogs",
    "eth_getTransactionCount",
    "eth_estimateGas",
    "eth_sendRawTransaction",
];

/// A facilitator and a gate on one chain, each with books of its own.
struct Town {
    net: Evm,
    payers: Payers,
    http: reqwest::Client,
    user: User,
    facilitator: Running,
    gate: Running,
    upstream: Upstream,
}

/// Where a credential is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Door {
    Verify,
    Settle,
    Gate,
}

const DOORS: [Door; 3] = [Door::Verify, Door::Settle, Door::Gate];

impl Town {
    fn open() -> Self {
        let net = Evm::start(Pace::AtOnce);
        let payers = Payers::new(&net, &[1_000; 2], MAX_TIMEOUT_S);
        let (user, upstream) = (User::new(), Upstream::start());
        write_files(&user, &net);
        // One owner for each key: the gate pays gas from another account.
        write_key(&user, "gate.key", &net.key(8));
        let file = user.read("facilitator.toml");
        let file = file
            .replace("facilitator.db", "gate.db")
            .replace("fees.key", "gate.key");
        user.write(
            "gate.toml",
            &format!("{file}[pay_to]\nevm = \"{}\"\n", net.address(PAYEE)),
        );
        let listen = ["--listen", "127.0.0.1:0", "--json"];
        let facilitator = ["facilitator", "--config", "facilitator.toml"];
        let url = upstream.url();
        let gate = [
            "gate",
            "--config",
            "gate.toml",
            "--upstream",
            &url,
            "--price",
            "0.001 USD",
        ];
        Self {
            facilitator: user.start(&[&facilitator[..], &listen].concat()),
            gate: user.start(&[&gate[..], &listen].concat()),
            net,
            payers,
            http: http(),
            user,
            upstream,
        }
    }

    /// Shows a credential at a door: the status, and the machine code of the answer where it has one.
    async fn show(&self, door: Door, body: &str) -> (u16, String) {
        let url = self.facilitator.text("/listening");
        let post = |path: &str| {
            let request = self.http.post(format!("{url}{path}"));
            request
                .header("content-type", "application/json")
                .body(body.to_owned())
        };
        let request = match door {
            Door::Verify => post("/verify"),
            Door::Settle => post("/settle"),
            Door::Gate => {
                let question: Value = serde_json::from_str(body).expect("JSON");
                let credential = header::encode(&question["paymentPayload"]).expect("a header");
                let request = self
                    .http
                    .get(format!("{}/ok", self.gate.text("/listening")));
                request.header("payment-signature", credential)
            }
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let required = answer.headers().get("payment-required").cloned();
        let bytes = answer.bytes().await.expect("a body");
        let answer: Value = match required {
            Some(required) => header::decode(required.as_bytes()).expect("our own header"),
            None => serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        let code = ["invalidReason", "errorReason", "error"].map(|key| answer[key].as_str());
        let code = code.into_iter().flatten().next().unwrap_or_default();
        (status, code.to_owned())
    }

    /// What stands in the books of both: their payments and their accounts. Not the bytes of the files, which
    /// change when what has expired is erased.
    async fn books(&self) -> Vec<(Vec<(PaymentId, State)>, Vec<AccountBalance>)> {
        let mut all = Vec::new();
        for name in ["facilitator.db", "gate.db"] {
            let ledger = SqliteLedger::open(&self.user.path(name)).expect("the books open");
            let payments = ledger.list(Filter::default()).await.expect("a list");
            let states = payments
                .into_iter()
                .map(|payment| (payment.id, payment.state));
            let accounts = ledger.books().await.expect("the accounts");
            all.push((states.collect(), accounts));
        }
        all
    }

    /// The books when none of their payments waits for its finality any more.
    async fn final_books(&self) -> Vec<(Vec<(PaymentId, State)>, Vec<AccountBalance>)> {
        loop {
            let books = self.books().await;
            let mut payments = books.iter().flat_map(|(payments, _)| payments);
            if payments.all(|(_, state)| state.is_final) {
                return books;
            }
            tokio::time::sleep(QUIET).await;
        }
    }

    fn calls(&self) -> BTreeMap<&'static str, u64> {
        METHODS
            .into_iter()
            .map(|method| (method, self.net.chain.faults().calls(method)))
            .collect()
    }

    /// Waits until nothing is asked of the node on behalf of earlier payments any more.
    async fn quiet(&self) {
        loop {
            let before = self.calls();
            tokio::time::sleep(QUIET).await;
            if self.calls() == before {
                return;
            }
        }
    }

    /// Resident memory of facilitator and gate.
    fn memory_kib(&self) -> [u64; 2] {
        [&self.facilitator, &self.gate].map(|process| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
            let status = status.expect("the process runs");
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let digits = line.and_then(|line| line.split_whitespace().next());
            digits
                .and_then(|digits| digits.parse().ok())
                .expect("kilobytes")
        })
    }
}

/// The credential of `signed` with another nonce and a signature that nobody has made.
fn forged(signed: &Signed, luck: &mut Luck) -> String {
    let mut body: Value = serde_json::from_str(&signed.body).expect("our own body");
    let payload = &mut body["paymentPayload"]["payload"];
    // `s` in the lower half and a `v` that exists: the form is right, so that a key has to be recovered.
    let (r, s) = (luck.hex(32), luck.hex(31));
    payload["signature"] = format!("0x{r}00{s}1b").into();
    payload["authorization"]["nonce"] = format!("0x{}", luck.hex(32)).into();
    body.to_string()
}

/// So many forgeries, in turn at all doors: how often each answer came.
async fn flood(town: &Arc<Town>, count: usize, part: u64) -> BTreeMap<(Door, u16, String), usize> {
    let model = town.payers.sign(0, MAX_TIMEOUT_S).await;
    let next = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (town, model, next) = (Arc::clone(town), model.clone(), Arc::clone(&next));
            let mut luck = Luck::new(
                seed(),
                part + u64::try_from(number).expect("a small number"),
            );
            tokio::spawn(async move {
                let mut answers = BTreeMap::<_, usize>::new();
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return answers;
                    }
                    let door = DOORS[number % DOORS.len()];
                    let (status, code) = town.show(door, &forged(&model, &mut luck)).await;
                    *answers.entry((door, status, code)).or_default() += 1;
                }
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for sender in senders {
        for (answer, times) in sender.await.expect("a sender") {
            *all.entry(answer).or_default() += times;
        }
    }
    all
}

impl Town {
    /// Whether an account has become a wallet is asked once per block, however many forgeries
    /// come in its name, and anew where that answer was late; nothing else is asked.
    fn assert_hardly_asked(&self, before: &BTreeMap<&'static str, u64>, blocks: u64, count: usize) {
        let forgeries = u64::try_from(count).expect("a small number");
        let looks = LOOKS_PER_BLOCK * (blocks + 1) + forgeries / FORGERIES_PER_LOOK;
        for (method, after) in self.calls() {
            let more = after - before[method];
            let most = if method == "eth_call" { looks } else { 0 };
            assert!(
                more <= most,
                "{more} of {method} for {forgeries} forgeries in {blocks} blocks"
            );
        }
    }
}

/// A valid payment at each door; all must be served.
async fn neighbours(town: &Town) {
    for door in DOORS {
        let signed = town.payers.sign(1, MAX_TIMEOUT_S).await;
        assert_eq!(
            town.show(door, &signed.body).await,
            (200, String::new()),
            "{door:?}"
        );
    }
}

fn documented(door: Door) -> (Door, u16, String) {
    let status = if door == Door::Gate { 402 } else { 200 };
    (door, status, "invalid_exact_evm_signature".to_owned())
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn forged_signatures_are_answered_and_leave_nothing_behind() {
    let _alone = alone();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let town = Arc::new(Town::open());
    let count = REQUESTS * scale();
    let answers = runtime.block_on(async {
        neighbours(&town).await;
        let mut answers = flood(&town, count / 10, 100).await;
        town.quiet().await;
        let books = town.final_books().await;
        let (calls, memory) = (town.calls(), town.memory_kib());
        let block = town.net.chain.block_number();
        let rest = count - count / 10;
        for (answer, times) in flood(&town, rest, 200).await {
            *answers.entry(answer).or_default() += times;
        }
        town.assert_hardly_asked(&calls, town.net.chain.block_number() - block, rest);
        assert_eq!(
            town.books().await,
            books,
            "a forgery leaves no line in the books"
        );
        let after = town.memory_kib();
        println!("flood: memory of facilitator and gate {memory:?} KiB, afterwards {after:?}");
        for (before, after) in memory.into_iter().zip(after) {
            assert!(
                after <= before + GROWTH_KIB_MAX,
                "{before} KiB became {after}"
            );
        }
        answers
    });
    println!("flood: {count} forgeries were answered {answers:?}");
    let expected: Vec<_> = DOORS.into_iter().map(documented).collect();
    assert_eq!(answers.keys().cloned().collect::<Vec<_>>(), expected);
    assert_eq!(answers.values().sum::<usize>(), count);
    assert_eq!(
        town.upstream.calls(),
        1,
        "only what was paid reached the upstream"
    );
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn valid_payments_beside_a_flood_of_forgeries_are_served() {
    let _alone = alone();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let town = Arc::new(Town::open());
    runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let (flooded, stopped) = (Arc::clone(&town), Arc::clone(&stop));
        let storm = tokio::spawn(async move {
            let mut total = 0;
            while !stopped.load(Ordering::SeqCst) {
                let answers = flood(&flooded, 1_000, 300 + total).await;
                total += 1_000;
                assert!(
                    answers.keys().all(|answer| *answer == documented(answer.0)),
                    "{answers:?}"
                );
            }
            total
        });
        for _ in 0..NEIGHBOURS * scale() {
            neighbours(&town).await;
        }
        stop.store(true, Ordering::SeqCst);
        let total = storm.await.expect("the flood ends");
        println!(
            "flood: {} neighbours at each door were served beside {total} forgeries",
            NEIGHBOURS * scale()
        );
        assert!(total > 0, "there was a flood");
    });
}
