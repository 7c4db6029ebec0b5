//! The folder: who may read it, what survives, and who has the turn.

use std::path::Path;

use super::*;
use crate::plan::LETS_ENCRYPT;

fn store(folder: &Path, challenge: Challenge) -> Store {
    let plan = Plan::new(folder, &["a.example".to_owned()], &[], LETS_ENCRYPT);
    Store::new(plan.expect("a plan").proven_by(challenge))
}

#[cfg(unix)]
#[test]
fn every_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("acme");
    let store = store(&folder, Challenge::TlsAlpn01);
    store.keep_bundle(b"key", &Tries::default()).expect("kept");
    store.answer("a.example", b"key").expect("laid out");
    let _turn = store.turn().expect("a lock").expect("nobody else");
    let mut waiting = vec![folder];
    let mut files = 0;
    while let Some(place) = waiting.pop() {
        let mode = fs::metadata(&place).expect("there").permissions().mode() & 0o777;
        if place.is_dir() {
            assert_eq!(mode, 0o700, "{}", place.display());
            let entries = fs::read_dir(&place).expect("a folder");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            assert_eq!(mode, 0o600, "{}", place.display());
            files += 1;
        }
    }
    assert_eq!(
        files, 4,
        "bundle, tries, answer, lock and nothing half written"
    );
}

#[test]
fn what_was_tried_in_vain_is_known_after_a_restart_and_junk_is_no_reason_to_stop() {
    let dir = tempfile::tempdir().expect("a folder");
    let tries = Tries {
        failures: 3,
        next_s: 77,
        why: "it rained".to_owned(),
    };
    let before = store(dir.path(), Challenge::TlsAlpn01);
    assert_eq!(before.tries().expect("none yet"), Tries::default());
    before.keep_tries(&tries).expect("kept");
    let after = store(dir.path(), Challenge::TlsAlpn01);
    assert_eq!(after.tries().expect("read"), tries);
    fs::write(after.plan.tries(), "junk").expect("written");
    assert_eq!(after.tries().expect("read"), Tries::default());
    fs::write(after.plan.bundle(), "junk").expect("written");
    assert!(after.bundle().expect("read").is_none());
    fs::write(after.plan.account(), "junk").expect("written");
    assert!(after.account().expect("read").is_none());
}

#[test]
fn one_process_at_a_time_orders_for_a_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let (one, two) = (
        store(dir.path(), Challenge::TlsAlpn01),
        store(dir.path(), Challenge::Http01),
    );
    let turn = one.turn().expect("a lock").expect("nobody else");
    assert!(two.turn().expect("a lock").is_none());
    drop(turn);
    assert!(two.turn().expect("a lock").is_some());
}

#[test]
fn answers_are_laid_out_by_kind_and_cleared_with_those_of_the_dead() {
    let dir = tempfile::tempdir().expect("a folder");
    for (challenge, file) in [
        (Challenge::TlsAlpn01, "challenges/tls-alpn-01/a.example.pem"),
        (Challenge::Http01, "challenges/http-01/a.example"),
    ] {
        let store = store(dir.path(), challenge);
        store.clear_answers().expect("nothing to clear");
        store.answer("a.example", b"answer").expect("laid out");
        let path = dir.path().join(file);
        assert_eq!(fs::read(&path).expect("there"), b"answer");
        store.clear_answers().expect("cleared");
        assert!(!path.exists());
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("acme");
    fs::write(&folder, "a file").expect("written");
    let store = store(&folder, Challenge::TlsAlpn01);
    let why = store.keep_tries(&Tries::default()).expect_err("no folder");
    assert!(why.to_string().contains("acme"), "{why}");
    assert!(store.turn().is_err());
}
