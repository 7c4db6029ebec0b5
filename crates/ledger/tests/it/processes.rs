//! Several real processes on one file, and processes that are killed.
//!
//! The test binary runs itself: the ignored tests at the end are what the children do.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use farebox_core::ledger::{Attach, Ledger, LedgerError, PaymentId, Reserved};
use farebox_core::payment::{Event, Phase};
use farebox_core::rail::SentTransaction;
use farebox_core::uses::{Allowance, Used};
use farebox_ledger::conformance::Store;
use farebox_ledger::conformance::kit::{Ask, NOON_MS, claim, limits, paid, settled, spend};
use farebox_ledger::{SellerLock, SqliteLedger};

use crate::folder::Folder;

/// Where the child finds the ledger.
const LEDGER: &str = "FAREBOX_TEST_LEDGER";
/// What the child's names begin with.
const NAME: &str = "FAREBOX_TEST_NAME";

fn start(work: &str, ledger: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", work, "--ignored", "--nocapture"])
        .env(LEDGER, ledger)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// The lines that the child says, without those of the test harness.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).lines().filter_map(|line| {
        let line = line.expect("a line");
        line.strip_prefix("say ").map(str::to_owned)
    })
}

#[tokio::test]
async fn four_processes_spend_a_budget_for_a_hundred() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    let set = ledger.set_budget(None, limits(None, None, Some(500))).await;
    set.expect("a working store");
    let mut children: Vec<_> = (0..4)
        .map(|n| {
            start(
                "processes::child_that_spends",
                &folder.path(),
                &format!("p{n}"),
            )
        })
        .collect();
    let mut said: HashMap<String, u32> = HashMap::new();
    for child in &mut children {
        for line in lines(child) {
            *said.entry(line).or_default() += 1;
        }
        assert!(child.wait().expect("an end").success());
    }
    let expected = [("held", 100), ("denied", 400)];
    assert_eq!(said, expected.map(|(word, n)| (word.to_owned(), n)).into());
    assert_eq!(ledger.balance("budget/total/reserved").await, 500);
    ledger.must_add_up().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = Folder::empty();
    let sell = |name: String| start("processes::child_that_sells", &folder.path(), &name);
    for round in 0..6 {
        let mut first = sell(format!("first{round}"));
        let mut second = sell(format!("second{round}"));
        let mut acknowledged = killed_after(40 + 37 * round, &mut first);
        // The other goes on over the dead one's log.
        acknowledged.extend(killed_after(200, &mut second));
        assert!(acknowledged.len() >= 240);

        let ledger = folder.open().await;
        ledger.must_add_up().await;
        for line in acknowledged {
            let (word, id) = line.split_once(' ').expect("two words");
            let found = ledger.payment(&PaymentId(id.to_owned())).await;
            let payment = found.expect("a working store").expect(&line);
            match word {
                "claimed" => {}
                "settled" => assert_eq!(payment.state.phase, Phase::Settled, "{line}"),
                _ => panic!("{line}"),
            }
        }
    }
}

#[tokio::test]
async fn uses_that_were_acknowledged_survive_a_kill() {
    let folder = Folder::empty();
    let mut known = 0;
    for round in 0..4 {
        let mut child = start("processes::child_that_uses", &folder.path(), "hash");
        let said = killed_after(30 + 23 * round, &mut child);
        let numbers = said.iter().map(|line| line.parse::<u64>().expect(line));
        let last = numbers.max().expect("some uses");
        assert!(last > known, "the counter goes on");
        let ledger = folder.open().await;
        ledger.must_add_up().await;
        let next = ledger.take_use(paid("hash", 0), Allowance::Uses(u64::MAX));
        match next.await.expect("a working store") {
            Used::Again { used, .. } => assert!(used > last, "{used} after {last}"),
            other => panic!("{other:?}"),
        }
        known = last + 1;
    }
}

/// Kills a child once it has said so much; gives all that it said until it was dead.
fn killed_after(count: usize, child: &mut Child) -> Vec<String> {
    let mut said = lines(child);
    let mut all: Vec<_> = said.by_ref().take(count).collect();
    child.kill().expect("a kill");
    all.extend(said);
    child.wait().expect("an end");
    all
}

#[test]
fn the_lock_of_a_killed_gate_is_free() {
    let folder = Folder::empty();
    let mut child = start("processes::child_that_locks", &folder.path(), "gate");
    let mut said = lines(&mut child);
    assert_eq!(said.next().as_deref(), Some("locked"));
    let refused = SellerLock::acquire(&folder.path()).err();
    assert!(matches!(refused, Some(LedgerError::Busy(_))));
    child.kill().expect("a kill");
    child.wait().expect("an end");
    SellerLock::acquire(&folder.path()).expect("a free lock");
}

fn ledger_of_child() -> (PathBuf, String) {
    let ledger = std::env::var_os(LEDGER).expect("started by a test of this file");
    (ledger.into(), std::env::var(NAME).expect("a name"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of four_processes_spend_a_budget_for_a_hundred"]
async fn child_that_spends() {
    let (path, name) = ledger_of_child();
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&path).expect("a ledger"));
    let tasks: Vec<_> = (0..125)
        .map(|n| {
            let (ledger, new) = (Arc::clone(&ledger), spend(&format!("{name}-{n}"), 5));
            tokio::spawn(async move { ledger.reserve(new).await })
        })
        .collect();
    for task in tasks {
        match task.await.expect("no panic").expect("a working store") {
            Reserved::First(_) => println!("\nsay held"),
            Reserved::Denied(_) => println!("\nsay denied"),
            Reserved::Twin(_) => println!("\nsay twin"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of what_was_acknowledged_survives_a_kill"]
async fn child_that_sells() {
    let (path, name) = ledger_of_child();
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&path).expect("a ledger"));
    let sellers: Vec<_> = (0..8)
        .map(|seller| {
            let (ledger, name) = (Arc::clone(&ledger), format!("{name}-{seller}"));
            tokio::spawn(async move {
                // Until it is killed.
                for n in 0_u64.. {
                    let id = PaymentId(format!("{name}-{n}"));
                    ledger.must_claim(claim(&id.0, 5)).await;
                    println!("\nsay claimed {id}");
                    let events = [
                        Event::Sending {
                            transaction: Some(SentTransaction::by_stranger("0x01")),
                        },
                        settled(),
                    ];
                    for event in events {
                        let done = ledger.apply(&id, event, Attach::default(), NOON_MS).await;
                        assert!(done.is_ok());
                    }
                    println!("\nsay settled {id}");
                }
            })
        })
        .collect();
    for seller in sellers {
        seller.await.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of uses_that_were_acknowledged_survive_a_kill"]
async fn child_that_uses() {
    let (path, name) = ledger_of_child();
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&path).expect("a ledger"));
    let users: Vec<_> = (0..8)
        .map(|_| {
            let (ledger, name) = (Arc::clone(&ledger), name.clone());
            tokio::spawn(async move {
                // Until it is killed.
                for _ in 0_u64.. {
                    let taken = ledger.take_use(paid(&name, 0), Allowance::Uses(u64::MAX));
                    match taken.await.expect("a working store") {
                        Used::First { .. } => println!("\nsay 1"),
                        Used::Again { used, .. } => println!("\nsay {used}"),
                        refused => panic!("{refused:?}"),
                    }
                }
            })
        })
        .collect();
    for user in users {
        user.await.expect("no panic");
    }
}

#[test]
#[ignore = "a child of the_lock_of_a_killed_gate_is_free"]
fn child_that_locks() {
    let (path, _) = ledger_of_child();
    let _lock = SellerLock::acquire(&path).expect("a lock");
    println!("\nsay locked");
    // Until it is killed: nobody wakes it.
    std::thread::park();
}
