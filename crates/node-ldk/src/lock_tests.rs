//! One process has a directory, and the next one is told who.

use super::*;

#[test]
fn a_directory_that_is_taken_is_refused_with_the_name_of_who_has_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().join("node");
    let lock = take_directory(&dir, "`shop open`, which is long").expect("it is free");
    let refused = take_directory(&dir, "`shop look`").expect_err("it is taken");
    let said = refused.to_string();
    assert!(matches!(refused, Error::InUse { .. }), "{said}");
    #[cfg(unix)]
    {
        let who = format!(
            "`shop open`, which is long (process {})",
            std::process::id()
        );
        assert!(said.starts_with(&who), "{said}");
    }
    drop(lock);
    // A shorter name leaves nothing of the longer one.
    let _lock = take_directory(&dir, "`a`").expect("it is free again");
    let refused = take_directory(&dir, "b").expect_err("it is taken");
    #[cfg(unix)]
    assert!(
        refused
            .to_string()
            .starts_with(&format!("`a` (process {}) runs", std::process::id())),
        "{refused}"
    );
    #[cfg(not(unix))]
    assert!(matches!(refused, Error::InUse { .. }));
}

#[test]
fn a_lock_file_of_nobody_or_with_nonsense_in_it_is_free_and_shown_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(LOCK), "old\n").expect("written");
    let _lock = take_directory(dir.path(), "a\x1b[2J\nb").expect("the system's lock alone decides");
    let Err(Error::InUse { holder, .. }) = take_directory(dir.path(), "c") else {
        panic!("it is taken");
    };
    assert!(!holder.contains(char::is_control), "{holder:?}");
}
