//! The documents that must stay true.

use super::*;

fn errors(text: &str) -> Vec<Finding> {
    let tests = BTreeSet::from([("wire", "a_rule_holds".to_owned())]);
    let mut findings = Vec::new();
    check_errors(text, &tests, &mut findings);
    findings
}

fn changelog(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_changelog(text, &mut findings);
    findings
}

const HEAD: &str = "| input | test |\n|---|:--|\n";

#[test]
fn a_row_of_the_errors_table_names_a_test_that_exists() {
    assert_eq!(errors(&format!("{HEAD}| x | `a_rule_holds` |\n")), []);
    assert_eq!(
        errors(&format!(
            "{HEAD}| a \\| b | `wire::money::a_rule_holds` |\n"
        )),
        []
    );
    assert_eq!(errors(&format!("{HEAD}| x | `another` |\n")).len(), 1);
    assert_eq!(
        errors(&format!("{HEAD}| x | `core::a_rule_holds` |\n")).len(),
        1
    );
    assert_eq!(
        errors(&format!("{HEAD}| x | y | `a_rule_holds` |\n")).len(),
        1
    );
    assert_eq!(errors(&format!("{HEAD}| x | later |\n")).len(), 1);
    assert_eq!(errors(&format!("{HEAD}| x | |\n")).len(), 1);
}

#[test]
fn only_tests_and_conformance_suites_count_as_tests() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let files = [
        file(
            "crates/wire/src/a.rs",
            "#[test]\nfn a() {}\nfn helper() {}\n",
        ),
        file("crates/ledger/src/conformance.rs", "pub fn b() {}\n"),
    ];
    assert_eq!(
        test_names(&files),
        BTreeSet::from([("wire", "a".to_owned()), ("ledger", "b".to_owned())])
    );
}

#[test]
fn the_changelog_keeps_its_form() {
    let good = "# Changelog\n\n## Unreleased\n\n### Added\n\n- One\n  more.\n\n## 0.2.0 - 2026-02-01\n\n## 0.1.0 - 2026-01-31\n";
    assert_eq!(changelog(good), []);
    assert_eq!(changelog("# Changelog\n").len(), 1);
    assert_eq!(changelog("# Changelog\n\n## 0.1.0 - 2026-01-31\n").len(), 1);
    assert_eq!(
        changelog("# Changelog\n\n## Unreleased\n\n## 0.1.0\n").len(),
        1
    );
    assert_eq!(
        changelog(
            "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-01-31\n\n## 0.2.0 - 2026-01-31\n"
        )
        .len(),
        1
    );
    assert_eq!(
        changelog("# Changelog\n\n## Unreleased\n\n### Improved\n").len(),
        1
    );
    assert_eq!(
        changelog("# Changelog\n\n## Unreleased\n\nprose\n").len(),
        1
    );
}

#[test]
fn a_source_that_a_document_names_exists() {
    let found = |name: &str| is_source("crates/farebox/src/cli/fetch.rs", name);
    assert!(
        found("fetch.rs")
            && found("farebox/cli/fetch.rs")
            && found("crates/farebox/src/cli/fetch.rs")
    );
    assert!(!found("etch.rs") && !found("wallet/cli/fetch.rs") && !found("farebox/fetch2.rs"));
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let files = [
        file("docs/A.md", "`a.rs` and `b.rs`\n"),
        file("crates/wire/src/a.rs", ""),
    ];
    let mut findings = Vec::new();
    check_sources(&files[0], &files, &mut findings);
    assert_eq!(
        findings,
        [Finding::new("docs/A.md", 1, "there is no `b.rs`")]
    );
}
