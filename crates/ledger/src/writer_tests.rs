//! Group commit: neighbours do not harm each other, and nothing is answered before it is on disk.

use std::sync::mpsc;

use farebox_core::ledger::{Attach, PaymentId, Taker};
use farebox_core::payment::Event;
use farebox_core::rail::SentTransaction;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::conformance::kit;
use crate::schema::open_writer;
use crate::{apply, seller};

fn insert(books: &mut Books, holder: &str) -> Result<(), LedgerError> {
    let sql = "INSERT INTO budgets (holder) VALUES (?1)";
    books
        .write(sql, |statement| statement.execute([holder]))
        .map(|_| ())
}

fn holders(folder: &TempDir) -> Vec<String> {
    let other = Connection::open(folder.path().join("ledger.db")).expect("a ledger");
    let mut statement = other
        .prepare("SELECT holder FROM budgets ORDER BY holder")
        .expect("a table");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn ledger(folder: &TempDir) -> Connection {
    open_writer(&folder.path().join("ledger.db")).expect("a ledger")
}

#[tokio::test]
async fn a_failing_job_undoes_its_own_writes_alone() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(ledger(&folder)).expect("a thread");
    let (open, gate) = mpsc::channel::<()>();
    // While the first waits in its transaction, the others queue up for the next one.
    let first = writer.run(move |books| {
        gate.recv().expect("the gate opens");
        insert(books, "first")
    });
    let good = writer.run(|books| insert(books, "good"));
    let bad = writer.run(|books| {
        books.guarded(|books| {
            insert(books, "bad")?;
            Err::<(), _>(LedgerError::Overflow)
        })
    });
    let last = writer.run(|books| insert(books, "last"));
    let opening = async { open.send(()).expect("a waiting job") };
    let (first, good, bad, last, ()) = tokio::join!(first, good, bad, last, opening);
    assert!(first.is_ok() && good.is_ok() && last.is_ok());
    assert!(matches!(bad, Err(LedgerError::Overflow)));
    assert_eq!(holders(&folder), ["first", "good", "last"]);
}

#[tokio::test]
async fn a_job_that_fails_halfway_without_a_guard_leaves_nothing_of_its_transaction() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(ledger(&folder)).expect("a thread");
    let (open, gate) = mpsc::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let first = writer.run(move |books| {
        begin.send(()).expect("somebody who waits");
        gate.recv().expect("the gate opens");
        insert(books, "first")
    });
    let good = writer.run(|books| insert(books, "good"));
    let bad = writer.run(|books| {
        insert(books, "bad")?;
        Err::<(), _>(LedgerError::Overflow)
    });
    let last = writer.run(|books| insert(books, "last"));
    let opening = async { open.send(()).expect("a waiting job") };
    let others = async {
        begun.await.expect("the first has a transaction of its own");
        tokio::join!(good, bad, last, opening)
    };
    let (first, (good, bad, last, ())) = tokio::join!(first, others);
    assert!(first.is_ok());
    assert!(matches!(bad, Err(LedgerError::Overflow)));
    for lost in [good, last] {
        let error = lost.expect_err("no acknowledgement");
        assert!(error.to_string().contains("try again"), "{error}");
    }
    assert_eq!(holders(&folder), ["first"]);
    // The next transaction is as any other.
    let next = writer.run(|books| insert(books, "next")).await;
    assert!(next.is_ok());
    assert_eq!(holders(&folder), ["first", "next"]);
}

#[tokio::test]
async fn an_answer_means_that_others_can_see_it() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(ledger(&folder)).expect("a thread");
    for n in 0..20 {
        let name = format!("{n:02}");
        let written = writer.run(move |books| insert(books, &name)).await;
        assert!(written.is_ok());
        assert_eq!(holders(&folder).len(), n + 1);
    }
}

/// A ledger on a disk with so many free pages.
fn with_room_for(folder: &TempDir, free: i64) -> Connection {
    let connection = ledger(folder);
    let pages: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .expect("a size");
    connection
        .pragma_update(None, "max_page_count", pages + free)
        .expect("a small disk");
    connection
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_keeps_what_was_acknowledged() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(with_room_for(&folder, 4)).expect("a thread");
    let mut acknowledged = Vec::new();
    let error = loop {
        let name = format!("{:03}{}", acknowledged.len(), "x".repeat(1000));
        let holder = name.clone();
        match writer.run(move |books| insert(books, &holder)).await {
            Ok(()) => acknowledged.push(name),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(holders(&folder), acknowledged);
    // The next one is not caught in a transaction that was left open.
    let next =
        writer.run(|books| books.write("DELETE FROM budgets", |statement| statement.execute([])));
    assert_eq!(next.await.expect("room for less"), acknowledged.len());
}

#[tokio::test]
async fn a_full_disk_leaves_books_that_add_up_and_can_be_written_again() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(with_room_for(&folder, 8)).expect("a thread");
    let sell = |name: String| writer.run(move |books| seller::claim(books, kit::claim(&name, 5)));
    let mut acknowledged = 0_i64;
    let error = loop {
        match sell(format!("before {acknowledged}")).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(acknowledged > 0);
    assert!(error.to_string().contains("the disk is full"), "{error}");
    let room = writer.run(|books| {
        let room = books
            .file()
            .pragma_update(None, "max_page_count", 1_000_000);
        room.map_err(crate::error::store)
    });
    room.await.expect("a larger disk");
    assert!(sell("after".to_owned()).await.is_ok());
    let other = Connection::open(folder.path().join("ledger.db")).expect("a ledger");
    crate::verify::full(&other).expect("books that add up");
    let payments: i64 = other
        .query_row("SELECT count(*) FROM payments", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(payments, acknowledged + 1);
}

#[tokio::test]
async fn of_an_event_on_many_a_full_disk_leaves_none() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(ledger(&folder)).expect("a thread");
    let names: Vec<String> = (0..200).map(|n| format!("payment {n}")).collect();
    for name in &names {
        let new = kit::claim(name, 5);
        let claimed = writer.run(move |books| seller::claim(books, new)).await;
        assert!(claimed.is_ok());
    }
    let resize = |pages: Option<i64>| {
        writer.run(move |books| {
            let file = books.file();
            let size = |name| file.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let pages = pages.map_or_else(|| size("page_count"), Ok);
            let resized = pages.and_then(|n| file.pragma_update(None, "max_page_count", n));
            resized.map_err(crate::error::store)
        })
    };
    resize(None).await.expect("a full disk");
    let send = || {
        let takers = names.iter().map(|name| Taker {
            id: PaymentId(name.clone()),
            attach: Attach::default(),
        });
        let takers = takers.collect();
        let event = Event::Sending {
            transaction: Some(SentTransaction::by_stranger("0x".repeat(40))),
        };
        writer.run(move |books| apply::apply_to_each(books, takers, &event, kit::NOON_MS))
    };
    let error = send().await.expect_err("no room for 200 entries");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    let sent = || {
        let other = Connection::open(folder.path().join("ledger.db")).expect("a ledger");
        crate::verify::full(&other).expect("books that add up");
        let count = "SELECT count(*) FROM payments WHERE hashes != '[]'";
        let count = other.query_row(count, [], |row| row.get::<_, i64>(0));
        count.expect("a count")
    };
    assert_eq!(sent(), 0);
    resize(Some(1_000_000)).await.expect("a larger disk");
    assert!(send().await.expect("room").iter().all(Result::is_ok));
    assert_eq!(sent(), 200);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_writer() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(ledger(&folder)).expect("a thread");
    let (open, gate) = mpsc::channel::<()>();
    let mut impatient = Box::pin(writer.run(move |books| {
        gate.recv().expect("the gate opens");
        insert(books, "impatient")
    }));
    // Polled once, so that it is in the queue; then dropped.
    let once = std::future::poll_fn(|context| {
        std::task::Poll::Ready(impatient.as_mut().poll(context).is_ready())
    });
    assert!(!once.await);
    drop(impatient);
    open.send(()).expect("a waiting job");
    let patient = writer.run(|books| insert(books, "patient")).await;
    assert!(patient.is_ok());
    assert_eq!(holders(&folder), ["impatient", "patient"]);
}
