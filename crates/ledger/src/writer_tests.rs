//! Group commit: neighbours do not harm each other, and nothing is answered before it is on disk.

use std::sync::mpsc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::error;
use crate::schema::open_writer;

fn insert(connection: &Connection, holder: &str) -> Result<(), LedgerError> {
    connection
        .execute("INSERT INTO budgets (holder) VALUES (?1)", [holder])
        .map(|_| ())
        .map_err(error::store)
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
    let first = writer.run(move |connection| {
        gate.recv().expect("the gate opens");
        insert(connection, "first")
    });
    let good = writer.run(|connection| insert(connection, "good"));
    let bad = writer.run(|connection| {
        insert(connection, "bad")?;
        Err::<(), _>(LedgerError::Overflow)
    });
    let last = writer.run(|connection| insert(connection, "last"));
    let opening = async { open.send(()).expect("a waiting job") };
    let (first, good, bad, last, ()) = tokio::join!(first, good, bad, last, opening);
    assert!(first.is_ok() && good.is_ok() && last.is_ok());
    assert!(matches!(bad, Err(LedgerError::Overflow)));
    assert_eq!(holders(&folder), ["first", "good", "last"]);
}

#[tokio::test]
async fn an_answer_means_that_others_can_see_it() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(ledger(&folder)).expect("a thread");
    for n in 0..20 {
        let name = format!("{n:02}");
        let written = writer
            .run(move |connection| insert(connection, &name))
            .await;
        assert!(written.is_ok());
        assert_eq!(holders(&folder).len(), n + 1);
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_keeps_what_was_acknowledged() {
    let folder = TempDir::new().expect("a folder");
    let connection = ledger(&folder);
    let pages: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .expect("a size");
    connection
        .pragma_update(None, "max_page_count", pages + 4)
        .expect("a small disk");
    let writer = start(connection).expect("a thread");
    let mut acknowledged = Vec::new();
    let error = loop {
        let name = format!("{:03}{}", acknowledged.len(), "x".repeat(1000));
        let holder = name.clone();
        match writer
            .run(move |connection| insert(connection, &holder))
            .await
        {
            Ok(()) => acknowledged.push(name),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(holders(&folder), acknowledged);
    // The next one is not caught in a transaction that was left open.
    let next = writer.run(|connection| {
        connection
            .execute("DELETE FROM budgets", [])
            .map_err(error::store)
    });
    assert_eq!(next.await.expect("room for less"), acknowledged.len());
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_writer() {
    let folder = TempDir::new().expect("a folder");
    let writer = start(ledger(&folder)).expect("a thread");
    let (open, gate) = mpsc::channel::<()>();
    let mut impatient = Box::pin(writer.run(move |connection| {
        gate.recv().expect("the gate opens");
        insert(connection, "impatient")
    }));
    // Polled once, so that it is in the queue; then dropped.
    let once = std::future::poll_fn(|context| {
        std::task::Poll::Ready(impatient.as_mut().poll(context).is_ready())
    });
    assert!(!once.await);
    drop(impatient);
    open.send(()).expect("a waiting job");
    let patient = writer.run(|connection| insert(connection, "patient")).await;
    assert!(patient.is_ok());
    assert_eq!(holders(&folder), ["impatient", "patient"]);
}
