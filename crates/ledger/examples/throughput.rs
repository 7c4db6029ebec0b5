//! What a facilitator's payment costs its ledger: `cargo run --release -p farebox-ledger --example
//! throughput -- [tasks] [payments per task] [settlements that are final at once: 0 or 1]`.
//!
//! Each payment is a claim, a sending, and a settlement with its telling; where it is not final at
//! once, its finality at the end. Each is on disk before the next. The texts are as long as those
//! of EIP-3009, and each task is one payer.

use std::sync::Arc;
use std::time::Instant;

use farebox_core::ledger::{Attach, Claimed, Cover, Ledger, NewClaim, PayerMark, PaymentId};
use farebox_core::payment::{Event, Role};
use farebox_core::rail::{Handle, SentTransaction};
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::kit;
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let tasks: u64 = numbers.next().unwrap_or(400);
    let each: u64 = numbers.next().unwrap_or(100);
    let is_final = numbers.next().unwrap_or(1) == 1;
    let folder = tempfile::TempDir::new_in(".").expect("a folder");
    let ledger: Arc<dyn Ledger> =
        Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).expect("a ledger"));
    let (begin, begin_cpu) = (Instant::now(), cpu_us());
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for n in 0..each {
                    let payment = task << 32 | n;
                    pay(ledger.as_ref(), task, payment, is_final).await;
                }
            })
        })
        .collect();
    for task in running {
        task.await.expect("no panic");
    }
    let payments = (tasks * each) as f64;
    let seconds = begin.elapsed().as_secs_f64();
    println!("{payments} payments: {:.0}/s", payments / seconds);
    for (thread, us) in cpu_us() {
        let before = begin_cpu.iter().find(|(name, _)| *name == thread);
        let us = us - before.map_or(0.0, |(_, us)| *us);
        println!("{thread}: {:.1} µs of CPU for each", us / payments);
    }
    let begin = Instant::now();
    ledger.verify(true).await.expect("books that add up");
    println!("full check: {:.2} s", begin.elapsed().as_secs_f64());
}

/// The processor time of this process's threads by their names; empty where the system does not
/// tell it as Linux does.
fn cpu_us() -> Vec<(String, f64)> {
    let mut times: Vec<(String, f64)> = Vec::new();
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    for thread in threads.flatten() {
        let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let name = read("comm").trim().to_owned();
        let ns = read("schedstat")
            .split(' ')
            .next()
            .and_then(|ns| ns.parse::<f64>().ok());
        let us = ns.unwrap_or(0.0) / 1000.0;
        match times.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += us,
            None => times.push((name, us)),
        }
    }
    times
}

async fn pay(ledger: &dyn Ledger, payer: u64, payment: u64, is_final: bool) {
    let new = claim(payer, payment);
    let id = new.id.clone();
    let now_ms = new.now_ms;
    let claimed = ledger.claim(new).await.expect("a claim");
    assert!(matches!(claimed, Claimed::First(_)));
    let hash = format!("0x{}", text(payment / 100, 64));
    let sending = Event::Sending {
        transaction: Some(SentTransaction {
            hash: hash.clone(),
            signer: Some(kit::PAYEE.to_owned()),
            nonce: Some(payment / 100),
        }),
    };
    let settled = Event::Settled {
        transaction: hash.clone(),
        is_final,
    };
    let told = Attach {
        receipt: Some(format!(
            "{{\"success\":true,\"transaction\":\"{hash}\",\"network\":\"eip155:84532\",\"payer\":\"0x{}\"}}",
            text(payer, 40)
        )),
        request_digest: Some([0; 32]),
        body_digest: Some([3; 32]),
        ..Attach::default()
    };
    let nothing = Attach::default();
    let sent = ledger.apply(&id, sending, nothing.clone(), now_ms).await;
    sent.expect("a sending");
    let settled = vec![settled, Event::Delivered];
    let settled = ledger.apply_all(&id, settled, told, now_ms).await;
    settled.expect("a settlement");
    if !is_final {
        let last = ledger.apply(&id, Event::Finalised, nothing, now_ms).await;
        last.expect("an end");
    }
}

fn claim(payer: u64, payment: u64) -> NewClaim {
    let mut new = kit::claim("", 1000);
    let from = format!("0x{}", text(payer, 40));
    let nonce = format!("0x{}", text(payment, 64));
    let chain = "eip155:84532";
    let token = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
    new.id = PaymentId(format!(
        "pay_{:012x}{}",
        new.now_ms + (payment & 0xFFFF_FFFF),
        text(!payment, 20)
    ));
    new.role = Role::Facilitator;
    new.identity = Identity::from_stored(&format!("eip3009:{chain}:{token}:{from}:{nonce}"));
    new.handle = Handle::new(format!(
        "{{\"chain\":\"{chain}\",\"token\":\"{token}\",\"transfer\":{{\"from\":\"{from}\",\
         \"to\":\"{}\",\"value\":\"1000\",\"validAfter\":\"0\",\"validBefore\":\"1728043260\",\
         \"nonce\":\"{nonce}\"}},\"seen_s\":1728043200,\"signature\":\"0x{}\"}}",
        kit::PAYEE,
        text(payment, 130)
    ));
    new.terms.payer = Some(from);
    new.cover = Cover::Balance(Amount::from_atomic(u128::MAX), PayerMark(Amount::ZERO));
    new
}

/// Hexadecimal digits that differ from number to number as hashes do.
fn text(number: u64, digits: usize) -> String {
    let mut state = number;
    let mut text = String::new();
    while text.len() < digits {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        text.push_str(&format!("{:016x}", word ^ (word >> 31)));
    }
    text.truncate(digits);
    text
}
