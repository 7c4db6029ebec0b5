//! The lints that every crate carries.

use super::*;

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
    }
}

fn findings_of(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    check(files, &mut findings);
    findings
}

const LINTED: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
const MONEY_ROOT: &str = "//! A.\n#![cfg_attr(\n    not(test),\n    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::float_arithmetic)\n)]\n";

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    assert_eq!(findings_of(&[file("crates/buyer/Cargo.toml", LINTED)]), []);
    assert_eq!(
        findings_of(&[file("crates/buyer/Cargo.toml", "[package]\n")]).len(),
        1
    );
    assert_eq!(
        findings_of(&[file("xtask/Cargo.toml", "[package]\n")]).len(),
        1
    );
}

#[test]
fn a_crate_that_counts_money_denies_what_can_panic_or_round() {
    let root = |text: &str| {
        [
            file("crates/rail-evm/Cargo.toml", LINTED),
            file("crates/rail-evm/src/lib.rs", text),
        ]
    };
    assert_eq!(findings_of(&root(MONEY_ROOT)), []);
    assert_eq!(findings_of(&root("//! A.\n")).len(), 1);
    assert_eq!(
        findings_of(&[file("crates/wire/Cargo.toml", LINTED)]).len(),
        1
    );
}
