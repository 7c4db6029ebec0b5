//! The rules for one file: sizes, blanks, forbidden words, machine paths, and the shape of Rust files. Called by `tidy.rs`.

use super::Finding;
use super::exceptions::{Allowed, Rule};
use super::scan;
use crate::repo::File;

/// Longer functions hide a second idea.
const FUNCTION_LINES: usize = 70;
/// Longer files hide a second idea.
const FILE_LINES: usize = 500;
/// A larger file is an artifact: it makes every clone slower for ever.
const BLOB_BYTES: usize = 256 * 1024;
/// Words that promise work instead of doing it. Split, so that this file does not hold them.
const PROMISES: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
/// Macros that are for the desk of the author.
const DESK_MACROS: [&str; 3] = ["dbg!", "todo!", "unimplemented!"];
/// Starts of paths that exist on one machine only. Split for the same reason.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];
/// The one registry that a Cargo lock file may name.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Refuses large files.
pub(super) fn check_size(file: &File, allowed: &mut Allowed, findings: &mut Vec<Finding>) {
    let size = file.bytes.len();
    if size > BLOB_BYTES && !allowed.excuses(&file.path, |rule| rule == Rule::Blob) {
        findings.push(Finding::new(
            &file.path,
            1,
            format!("{size} bytes: keep files under {BLOB_BYTES}, or list it with a reason"),
        ));
    }
}

/// The rules for any text.
pub(super) fn check_text(
    path: &str,
    text: &str,
    allowed: &mut Allowed,
    findings: &mut Vec<Finding>,
) {
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let blanks = line.contains('\t') || line.trim_end() != line;
        if blanks && !allowed.excuses(path, |rule| rule == Rule::Blanks) {
            findings.push(Finding::new(
                path,
                number,
                "a tab or a trailing blank: use spaces, and none at the end",
            ));
        }
        if let Some(found) = MACHINE_PATHS
            .into_iter()
            .find(|start| starts_a_path(line, start))
        {
            findings.push(Finding::new(
                path,
                number,
                format!("`{found}…` exists on one machine only: use a relative path"),
            ));
        }
        if names_a_registry(path, line) {
            findings.push(Finding::new(path, number, "a lock file names no registry but crates.io, and npm's not at all (omit-lockfile-registry-resolved)"));
        }
        if !path.ends_with(".rs") {
            check_promises(path, number, line, findings);
        }
    }
    if !text.is_empty()
        && !text.ends_with('\n')
        && !allowed.excuses(path, |rule| rule == Rule::Blanks)
    {
        findings.push(Finding::new(
            path,
            text.lines().count(),
            "end the last line with a newline",
        ));
    }
}

/// The rules for Rust sources.
pub(super) fn check_rust(
    path: &str,
    text: &str,
    allowed: &mut Allowed,
    findings: &mut Vec<Finding>,
) {
    if !text.starts_with("//!") {
        findings.push(Finding::new(
            path,
            1,
            "open with `//!`: what this file is, who calls it, what it must never do",
        ));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES && !allowed.excuses(path, |rule| rule == Rule::LongFile) {
        findings.push(Finding::new(
            path,
            lines,
            format!("{lines} lines: split it, {FILE_LINES} at most"),
        ));
    }
    let source = scan::split(text);
    for (index, line) in source.comments.lines().enumerate() {
        check_promises(path, index + 1, line, findings);
    }
    for (index, line) in source.code.lines().enumerate() {
        for name in DESK_MACROS.into_iter().filter(|name| has_word(line, name)) {
            findings.push(Finding::new(
                path,
                index + 1,
                format!("`{name}` does not leave the author's desk"),
            ));
        }
    }
    for function in scan::functions(&source.code) {
        let excused =
            |rule: Rule| matches!(rule, Rule::LongFunction(name) if name == function.name);
        if function.lines > FUNCTION_LINES && !allowed.excuses(path, excused) {
            let what = format!(
                "`{}` has {} lines of code: split it, {FUNCTION_LINES} at most",
                function.name, function.lines
            );
            findings.push(Finding::new(path, function.line, what));
        }
    }
}

fn check_promises(path: &str, number: usize, line: &str, findings: &mut Vec<Finding>) {
    for word in PROMISES.into_iter().filter(|word| has_word(line, word)) {
        findings.push(Finding::new(
            path,
            number,
            format!("{word}: do it now, or open an issue"),
        ));
    }
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
fn has_word(line: &str, word: &str) -> bool {
    let beside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line
            .get(at + word.len()..)
            .and_then(|text| text.chars().next());
        !beside(before) && !beside(after)
    })
}

/// Whether an absolute path begins with `start` here; `example.com/…` and `docs/…` are no such paths.
fn starts_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !"_-.*}/".contains(c))
    })
}

fn names_a_registry(path: &str, line: &str) -> bool {
    let npm = path.ends_with("package-lock.json") && line.contains("\"resolved\": \"http");
    let cargo =
        path.ends_with("Cargo.lock") && line.starts_with("source = ") && !line.contains(CRATES_IO);
    npm || cargo
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
