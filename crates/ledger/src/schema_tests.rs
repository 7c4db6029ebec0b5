//! Patience with locks, and the plans of the queries that every payment asks.

use farebox_core::ledger::LedgerError;
use rusqlite::{Connection, params_from_iter};

use super::{APPLICATION_ID, BUSY_STEPS_MAX, MIGRATIONS, open_writer, pragma, wait_for_lock};
use crate::error;

#[test]
fn patience_with_another_writer_is_bounded() {
    assert!(wait_for_lock(0));
    assert!(!wait_for_lock(BUSY_STEPS_MAX));
}

#[test]
fn a_lock_that_stays_is_called_busy() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("ledger.db");
    let one = open_writer(&path).expect("a ledger");
    let other = Connection::open(&path).expect("a ledger");
    other
        .busy_timeout(std::time::Duration::ZERO)
        .expect("no patience");
    one.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let refused = other.execute_batch("BEGIN IMMEDIATE").expect_err("no lock");
    assert!(matches!(error::store(refused), LedgerError::Busy(_)));
}

#[test]
fn no_query_of_a_payment_reads_a_whole_table() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let ledger = open_writer(&folder.path().join("ledger.db")).expect("a ledger");
    for sql in [
        "SELECT * FROM payments WHERE id = ?1",
        "SELECT * FROM payments WHERE identity = ?1 AND role = ?2",
        "SELECT * FROM payments WHERE call = ?1 AND is_live = 1 ORDER BY seq DESC LIMIT 1",
        "SELECT id, balance FROM accounts WHERE name = ?1 AND asset = ?2",
        "SELECT * FROM budgets WHERE holder = ?1",
        "SELECT * FROM tokens WHERE id = ?1",
        "SELECT * FROM tokens WHERE origin = ?1 ORDER BY seq DESC",
        "SELECT seq FROM tokens WHERE state IN ('exhausted', 'revoked') AND updated_ms < ?1",
        "SELECT seq FROM tokens WHERE expires_s IS NOT NULL AND expires_s < ?1",
        "UPDATE uses SET taken = taken + 1 WHERE identity = ?1 AND payment IS NOT NULL AND revoked_ms IS NULL AND taken < ?2 RETURNING taken, payment",
        "SELECT seq FROM payments WHERE credential_value IS NOT NULL AND valid_before_s < ?1",
        "SELECT seq FROM payments WHERE handle IS NOT NULL AND is_open = 0 AND valid_before_s < ?1",
    ] {
        for step in plan(&ledger, sql) {
            assert!(step.starts_with("SEARCH"), "{sql}: {step}");
        }
    }
    let open = plan(
        &ledger,
        "SELECT * FROM payments WHERE (?1 IS NULL OR role = ?1) AND is_open = 1
         ORDER BY seq DESC LIMIT ?2",
    );
    assert_eq!(open, ["SCAN payments USING INDEX payments_open"]);
}

fn plan(ledger: &Connection, sql: &str) -> Vec<String> {
    let mut statement = ledger
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("a statement");
    let count = statement.parameter_count();
    let steps = statement
        .query_map(params_from_iter(vec!["1"; count]), |row| row.get(3))
        .expect("a plan");
    steps.map(|step| step.expect("a step")).collect()
}

#[test]
fn a_ledger_of_the_first_version_is_brought_forward() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("ledger.db");
    let old = Connection::open(&path).expect("a file");
    let [first, ..] = MIGRATIONS;
    old.execute_batch(first).expect("version 1");
    old.pragma_update(None, "application_id", APPLICATION_ID)
        .and_then(|()| old.pragma_update(None, "user_version", 1))
        .and_then(|()| old.execute("INSERT INTO budgets (holder) VALUES ('owner')", []))
        .expect("an old ledger");
    drop(old);
    let ledger = open_writer(&path).expect("a ledger");
    let holders: i64 = ledger
        .query_row("SELECT count(*) FROM budgets", [], |row| row.get(0))
        .expect("what stood there");
    let uses: i64 = ledger
        .query_row("SELECT count(*) FROM uses", [], |row| row.get(0))
        .expect("what is new");
    assert_eq!((holders, uses), (1, 0));
    let version = pragma(&ledger, "user_version").expect("a version");
    assert_eq!(version, i64::try_from(MIGRATIONS.len()).expect("few"));
}
