//! Whatever is changed behind the ledger's back, the full check finds it (law 5).

use farebox_core::ledger::LedgerError;
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::Store;
use farebox_ledger::conformance::kit::{Ask, claim, limits, settled, spend};

use crate::folder::Folder;

/// What a hand or a broken disk could do: a name, and SQL.
const TAMPERINGS: [(&str, &str); 12] = [
    ("an amount", "UPDATE postings SET amount = x'00000000000000000000000000000009' WHERE id = 2"),
    ("a running balance", "UPDATE postings SET balance = x'00000000000000000000000000000009' WHERE id = 2"),
    ("a posting's account", "UPDATE postings SET account = 3 WHERE id = 2"),
    ("a posting's entry", "UPDATE postings SET entry = 2 WHERE id = 2"),
    ("the last posting", "DELETE FROM postings WHERE id = (SELECT max(id) FROM postings)"),
    ("a posting in the middle", "DELETE FROM postings WHERE id = 3"),
    ("an account's balance", "UPDATE accounts SET balance = x'00000000000000000000000000000009' WHERE id = 2"),
    ("an account", "DELETE FROM accounts WHERE id = 2"),
    ("a state", "UPDATE payments SET state = replace(state, '\"held\"', '\"returned\"')"),
    ("a flag", "UPDATE payments SET is_open = 0"),
    ("a payment", "DELETE FROM payments WHERE seq = 1"),
    (
        "a payment without postings",
        "INSERT INTO payments (id, role, state, is_open, is_live, terms, created_ms, updated_ms, hashes)
         SELECT 'forged', role, state, is_open, is_live, terms, created_ms, updated_ms, hashes
         FROM payments WHERE seq = 1",
    ),
];

/// Makes a ledger with a purchase that is held and a sale that is settled.
async fn folder_with_books() -> Folder {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    let set = ledger.set_budget(None, limits(None, None, Some(100))).await;
    set.expect("a working store");
    ledger.must_reserve(spend("bought", 5)).await;
    ledger.must_claim(claim("sold", 7)).await;
    ledger.must_take("sold", settled()).await;
    folder
}

/// A hand that knows what it does.
fn tamper(folder: &Folder, sql: &str) {
    let raw = folder.raw();
    raw.execute_batch(
        "PRAGMA foreign_keys = OFF;
         DROP TRIGGER postings_are_not_changed;
         DROP TRIGGER postings_are_not_removed;",
    )
    .expect("no triggers");
    assert_ne!(raw.execute(sql, []).expect("a change"), 0, "{sql}");
}

#[tokio::test]
async fn the_full_check_finds_every_tampering() {
    for (what, sql) in TAMPERINGS {
        let folder = folder_with_books().await;
        let ledger = folder.open().await;
        ledger.must_add_up().await;
        tamper(&folder, sql);
        let found = ledger.verify(true).await;
        assert!(
            matches!(found, Err(LedgerError::Damaged(_))),
            "{what}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_tail_that_does_not_add_up_is_found_at_start() {
    for (what, sql) in TAMPERINGS.iter().take(8) {
        let folder = folder_with_books().await;
        tamper(&folder, sql);
        match SqliteLedger::open(&folder.path()) {
            Err(LedgerError::Damaged(_)) => {}
            Err(error) => panic!("{what}: {error}"),
            Ok(_) => panic!("{what} was not found"),
        }
    }
}

#[tokio::test]
async fn entries_and_postings_cannot_be_changed_or_removed() {
    let folder = folder_with_books().await;
    for sql in [
        "UPDATE entries SET at_ms = 0",
        "DELETE FROM entries",
        "UPDATE postings SET entry = 1",
        "DELETE FROM postings",
    ] {
        let refused = folder.raw().execute(sql, []).expect_err(sql);
        assert!(refused.to_string().contains("append only"), "{refused}");
    }
}

#[tokio::test]
async fn a_stored_text_that_cannot_be_read_is_damage_not_an_empty_answer() {
    let folder = folder_with_books().await;
    tamper(&folder, "UPDATE payments SET terms = '{}' WHERE seq = 1");
    let ledger = folder.open().await;
    let list = ledger.list(Default::default()).await;
    assert!(matches!(list, Err(LedgerError::Damaged(_))));
}

#[tokio::test]
async fn a_page_of_noise_is_damage() {
    use std::io::{Seek, SeekFrom, Write};

    let folder = folder_with_books().await;
    let ledger = folder.open().await;
    folder
        .raw()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("everything in the file");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.path())
        .expect("a file");
    // The second page is the root of the first table.
    file.seek(SeekFrom::Start(4096)).expect("a page");
    file.write_all(&[0xA5; 4096]).expect("noise");
    drop(ledger);
    let fresh = match SqliteLedger::open(&folder.path()) {
        Ok(ledger) => farebox_core::ledger::Ledger::verify(&ledger, true).await,
        Err(error) => Err(error),
    };
    assert!(matches!(fresh, Err(LedgerError::Damaged(_))), "{fresh:?}");
}
