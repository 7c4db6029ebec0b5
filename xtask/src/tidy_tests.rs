//! The repository itself keeps the rules that need no other tool.

use super::*;

#[test]
fn findings_name_the_file_and_the_line() {
    let finding = Finding::new("a.rs", 3, "mend it");
    assert_eq!(finding.to_string(), "a.rs:3: mend it");
}

#[test]
fn an_exception_that_nothing_needs_is_a_finding() {
    const TABLE: &[exceptions::Exception] = &[exceptions::Exception {
        path: "gone.rs",
        rule: exceptions::Rule::LongFile,
        reason: "old",
    }];
    let findings = check(&[], TABLE);
    assert!(
        findings.iter().any(|finding| finding.path == "gone.rs"),
        "{findings:?}"
    );
}
