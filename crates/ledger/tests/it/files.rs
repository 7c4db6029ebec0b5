//! Which files are opened, and how they are kept.

use std::fs;
use std::thread;

use farebox_core::ledger::{Claimed, LedgerError};
use farebox_ledger::conformance::Store;
use farebox_ledger::conformance::kit::{Ask, claim};
use farebox_ledger::{SellerLock, SqliteLedger};

use crate::folder::Folder;

fn refusal(folder: &Folder) -> LedgerError {
    match SqliteLedger::open(&folder.path()) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused() {
    let folder = Folder::empty();
    drop(folder.open().await);
    folder
        .raw()
        .pragma_update(None, "user_version", 99)
        .expect("a version");
    let text = refusal(&folder).to_string();
    assert!(text.contains("version 99"), "{text}");
    assert!(text.contains("use a newer farebox"), "{text}");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = Folder::empty();
    folder
        .raw()
        .execute_batch("CREATE TABLE music (title TEXT)")
        .expect("a table");
    let before = fs::read(folder.path()).expect("a file");
    let text = refusal(&folder).to_string();
    assert!(text.contains("another program"), "{text}");
    assert_eq!(fs::read(folder.path()).expect("a file"), before);
}

#[test]
fn a_file_that_is_no_database_is_called_damaged() {
    let folder = Folder::empty();
    fs::write(folder.path(), "dear diary, ".repeat(1000)).expect("a file");
    let error = refusal(&folder);
    assert!(matches!(error, LedgerError::Damaged(_)), "{error}");
}

#[test]
fn a_missing_folder_is_named() {
    let folder = Folder::empty();
    let path = folder.path().join("deeper").join("ledger.db");
    let error = SqliteLedger::open(&path).err().expect("a refusal");
    assert!(error.to_string().contains("deeper"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_file_and_its_log() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::empty();
    let ledger = folder.open().await;
    ledger.must_claim(claim("one", 5)).await;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = folder.path().into_os_string();
        name.push(suffix);
        let mode = fs::metadata(&name).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", name.display());
    }
}

#[test]
fn one_new_file_can_be_opened_by_many_at_once() {
    for _ in 0..20 {
        let folder = Folder::empty();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    SqliteLedger::open(&folder.path())
                        .map(drop)
                        .expect("a ledger")
                });
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_while_another_process_writes() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    let other = folder.raw();
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let waiting = tokio::spawn(async move { ledger.claim(claim("one", 5)).await });
    // Reads do not wait for writes, not even for a stuck one.
    let reader = folder.open().await;
    assert!(reader.books().await.expect("books").is_empty());
    assert!(!waiting.is_finished());
    other.execute_batch("COMMIT").expect("an end");
    let answer = waiting.await.expect("no panic").expect("a working store");
    assert!(matches!(answer, Claimed::First(_)));
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_ledger_has_the_lock_of_the_ledger() {
    let folder = Folder::empty();
    drop(folder.open().await);
    let link = folder.path().with_file_name("link.db");
    std::os::unix::fs::symlink(folder.path(), &link).expect("a link");
    let _first = SellerLock::acquire(&folder.path()).expect("a lock");
    let second = SellerLock::acquire(&link).expect_err("a refusal");
    assert!(matches!(second, LedgerError::Busy(_)), "{second}");
}

#[test]
fn one_gate_works_on_a_ledger() {
    let folder = Folder::empty();
    let first = SellerLock::acquire(&folder.path()).expect("a lock");
    let second = SellerLock::acquire(&folder.path()).expect_err("a refusal");
    assert!(matches!(second, LedgerError::Busy(_)), "{second}");
    drop(first);
    SellerLock::acquire(&folder.path()).expect("a lock");
}
