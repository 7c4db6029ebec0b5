//! Our artifacts are readable, and the settler's address is the one that is written down.

use super::*;

#[test]
fn every_artifact_is_code() {
    for code in [settler_code(), probe_code()] {
        assert!(code.len() > 500, "{} bytes", code.len());
    }
}

#[test]
fn the_settler_is_where_its_readme_says() {
    let readme = include_str!("../../../contracts/README.md");
    let address = crate::checksummed(settler());
    assert!(readme.contains(&address), "the README lacks {address}");
}
