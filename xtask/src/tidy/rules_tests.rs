//! Each rule for a file, broken once and kept once.

use super::*;
use crate::tidy::exceptions::{Allowed, Exception, Rule};

fn rust_findings(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_rust("a.rs", text, &mut Allowed::new(&[]), &mut findings);
    findings
}

fn text_findings(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_text(path, text, &mut Allowed::new(&[]), &mut findings);
    findings
}

fn function_of(lines: usize) -> String {
    format!(
        "//! A.\nfn long() {{\n{}}}\n",
        "    work();\n".repeat(lines - 2)
    )
}

#[test]
fn a_rust_file_opens_with_what_it_is() {
    assert_eq!(rust_findings("//! A.\nfn a() {}\n"), []);
    assert_eq!(rust_findings("// A.\nfn a() {}\n").len(), 1);
}

#[test]
fn a_function_of_more_than_seventy_lines_is_refused() {
    assert_eq!(rust_findings(&function_of(70)), []);
    let findings = rust_findings(&function_of(71));
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].what.contains("`long` has 71 lines"),
        "{findings:?}"
    );
}

#[test]
fn a_listed_function_may_be_long_and_its_row_is_needed() {
    const TABLE: &[Exception] = &[Exception {
        path: "a.rs",
        rule: Rule::LongFunction("long"),
        reason: "a table",
    }];
    let mut allowed = Allowed::new(TABLE);
    assert_eq!(allowed.unused().len(), 1);
    let mut findings = Vec::new();
    check_rust("a.rs", &function_of(71), &mut allowed, &mut findings);
    assert_eq!(findings, []);
    assert_eq!(allowed.unused(), []);
}

#[test]
fn a_file_of_more_than_five_hundred_lines_is_refused() {
    let of = |lines: usize| "//! A.\n".repeat(lines);
    assert_eq!(rust_findings(&of(500)), []);
    assert_eq!(rust_findings(&of(501)).len(), 1);
}

#[test]
fn promises_in_comments_are_refused_and_names_that_hold_them_are_not() {
    let promise = PROMISES[0];
    assert_eq!(
        rust_findings(&format!("//! A.\n// {promise}: later\n")).len(),
        1
    );
    assert_eq!(
        rust_findings(&format!("//! A.\nconst MAS{promise}: u8 = 1;\n")),
        []
    );
    assert_eq!(
        text_findings("a.md", &format!("{promise} later\n")).len(),
        1
    );
    assert_eq!(text_findings("a.sh", "mktemp -d name.XXXXXX\n"), []);
}

#[test]
fn desk_macros_are_refused_in_code_and_not_in_strings() {
    assert_eq!(rust_findings("//! A.\nfn a() { dbg!(1); }\n").len(), 1);
    assert_eq!(rust_findings("//! A.\nfn a() { todo!() }\n").len(), 1);
    assert_eq!(rust_findings("//! A.\nconst A: &str = \"todo!\";\n"), []);
}

#[test]
fn tabs_and_trailing_blanks_are_refused() {
    assert_eq!(text_findings("a.md", "a\n"), []);
    assert_eq!(text_findings("a.md", "a \n").len(), 1);
    assert_eq!(text_findings("a.md", "\ta\n").len(), 1);
    assert_eq!(text_findings("a.md", "a").len(), 1);
}

#[test]
fn a_path_of_one_machine_is_refused_and_a_web_path_is_not() {
    let home = MACHINE_PATHS[0];
    assert_eq!(
        text_findings("a.md", &format!("cd {home}me/farebox\n")).len(),
        1
    );
    assert_eq!(text_findings("a.md", &format!("\"{home}me\"\n")).len(), 1);
    assert_eq!(
        text_findings("a.md", &format!("https://example.com{home}me\n")),
        []
    );
}

#[test]
fn a_lock_file_names_no_other_registry() {
    let line = format!("source = \"{CRATES_IO}\"\n");
    assert_eq!(text_findings("Cargo.lock", &line), []);
    assert_eq!(
        text_findings(
            "Cargo.lock",
            "source = \"registry+https://example.com/index\"\n"
        )
        .len(),
        1
    );
    assert_eq!(
        text_findings(
            "a/package-lock.json",
            "\"resolved\": \"https://example.com/a.tgz\",\n"
        )
        .len(),
        1
    );
}

#[test]
fn a_large_file_is_refused_unless_it_is_listed() {
    const TABLE: &[Exception] = &[Exception {
        path: "big",
        rule: Rule::Blob,
        reason: "golden",
    }];
    let file = File {
        path: "big".to_owned(),
        bytes: vec![0; BLOB_BYTES + 1],
    };
    let mut findings = Vec::new();
    check_size(&file, &mut Allowed::new(TABLE), &mut findings);
    assert_eq!(findings, []);
    check_size(&file, &mut Allowed::new(&[]), &mut findings);
    assert_eq!(findings.len(), 1);
}
