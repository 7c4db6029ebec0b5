//! Rules for documents that must stay true: every row of docs/errors.md names a test that exists, every source file that a
//! document names exists, and CHANGELOG.md keeps its form. Called by `tidy.rs`.

use std::collections::BTreeSet;

use super::{Finding, scan};
use crate::repo::File;

const ERRORS: &str = "docs/errors.md";
const CHANGELOG: &str = "CHANGELOG.md";
/// The kinds of change that the changelog knows.
const SECTIONS: [&str; 5] = ["Added", "Changed", "Fixed", "Removed", "Security"];

/// Checks the documents.
pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let text_of = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .and_then(File::text)
    };
    match text_of(ERRORS) {
        Some(text) => check_errors(text, &test_names(files), findings),
        None => findings.push(Finding::new(ERRORS, 1, "this file must exist")),
    }
    match text_of(CHANGELOG) {
        Some(text) => check_changelog(text, findings),
        None => findings.push(Finding::new(CHANGELOG, 1, "this file must exist")),
    }
    let is_document =
        |path: &str| path.ends_with(".md") && !path.contains('/') || path.starts_with("docs/");
    for document in files.iter().filter(|file| is_document(&file.path)) {
        check_sources(document, files, findings);
    }
}

/// A source that a document names in backticks, as `file.rs` or `room/…/file.rs`, exists.
fn check_sources(document: &File, files: &[File], findings: &mut Vec<Finding>) {
    for (index, line) in document.text().unwrap_or_default().lines().enumerate() {
        let spans = line.split('`').skip(1).step_by(2);
        for name in spans.filter(|span| span.ends_with(".rs") && !span.contains(' ')) {
            if !files.iter().any(|file| is_source(&file.path, name)) {
                findings.push(Finding::new(
                    &document.path,
                    index + 1,
                    format!("there is no `{name}`"),
                ));
            }
        }
    }
}

/// Whether the file at `path` is what a document calls `name`.
fn is_source(path: &str, name: &str) -> bool {
    let (room, rest) = name.split_once('/').unwrap_or_default();
    let file = if rest.is_empty() { name } else { rest };
    let inside = path.strip_prefix("crates/").unwrap_or(path);
    path == name || (inside.starts_with(room) && path.ends_with(&format!("/{file}")))
}

/// All tests as room and name: functions with a test attribute, and those of conformance suites, which a macro turns
/// into tests. The room is the folder in `crates/`, or the first folder.
fn test_names(files: &[File]) -> BTreeSet<(&str, String)> {
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let Some(text) = file.text() else { continue };
        let inside = file.path.strip_prefix("crates/").unwrap_or(&file.path);
        let room = inside.split('/').next().unwrap_or_default();
        let suite = file.path.contains("conformance");
        let functions = scan::functions(&scan::split(text).code);
        let tests = functions.into_iter().filter(|f| f.is_test || suite);
        names.extend(tests.map(|test| (room, test.name)));
    }
    names
}

/// In every table row the last cell names the tests in backticks, as `name` or `room::name`, and
/// there are as many cells as columns.
fn check_errors(text: &str, tests: &BTreeSet<(&str, String)>, findings: &mut Vec<Finding>) {
    let mut columns = 0;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = row(line) else { continue };
        let last = cells.last().copied().unwrap_or_default();
        if last == "test" {
            columns = cells.len();
        }
        if cells.len() != columns {
            let what = format!("{} cells under {columns} columns", cells.len());
            findings.push(Finding::new(ERRORS, index + 1, what));
        }
        if last == "test" || (!last.is_empty() && last.chars().all(|c| matches!(c, '-' | ':'))) {
            continue;
        }
        let mut named = false;
        for name in last.split('`').skip(1).step_by(2) {
            named = true;
            if !tests.iter().any(|(room, test)| names(name, room, test)) {
                findings.push(Finding::new(
                    ERRORS,
                    index + 1,
                    format!("there is no test `{name}`"),
                ));
            }
        }
        if !named {
            findings.push(Finding::new(
                ERRORS,
                index + 1,
                "the last cell names the test of this row, in backticks",
            ));
        }
    }
}

/// Whether `path`, which is `test` or `room::test` with modules between, names this test.
fn names(path: &str, room: &str, test: &str) -> bool {
    match path.split_once("::") {
        Some((first, rest)) => first == room && rest.rsplit("::").next() == Some(test),
        None => path == test,
    }
}

/// The trimmed cells of a table row that starts and ends with a bar; `\|` does not part cells.
fn row(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in inner.match_indices('|') {
        let before = inner.get(start..at).unwrap_or_default();
        if !before.ends_with('\\') {
            cells.push(before.trim());
            start = at + 1;
        }
    }
    cells.push(inner.get(start..).unwrap_or_default().trim());
    Some(cells)
}

/// `# Changelog`, then `## Unreleased`, then releases `## 1.2.3 - 2026-01-31` from the newest; `### Kind`; bullets.
fn check_changelog(text: &str, findings: &mut Vec<Finding>) {
    let mut report =
        |line: usize, what: &str| findings.push(Finding::new(CHANGELOG, line + 1, what));
    let mut releases: Vec<Vec<u64>> = Vec::new();
    let mut headings = 0;
    for (index, line) in text.lines().enumerate() {
        if index == 0 && line != "# Changelog" {
            report(index, "open with `# Changelog`");
        }
        if let Some(kind) = line.strip_prefix("### ") {
            if !SECTIONS.contains(&kind) {
                report(
                    index,
                    "a section is Added, Changed, Fixed, Removed or Security",
                );
            }
        } else if let Some(heading) = line.strip_prefix("## ") {
            headings += 1;
            match (headings, release(heading)) {
                (1, None) if heading == "Unreleased" => {}
                (1, _) => report(index, "the first heading is `## Unreleased`"),
                (_, None) => report(index, "a release is `## 1.2.3 - 2026-01-31`"),
                (_, Some(version)) if releases.last().is_some_and(|newer| *newer <= version) => {
                    report(index, "releases go from the newest to the oldest")
                }
                (_, Some(version)) => releases.push(version),
            }
        } else if headings > 0
            && !(line.is_empty() || line.starts_with("- ") || line.starts_with("  "))
        {
            report(index, "say it in a bullet");
        }
    }
    if headings == 0 {
        report(0, "the first heading is `## Unreleased`");
    }
}

/// The version of a release heading.
fn release(heading: &str) -> Option<Vec<u64>> {
    let (version, date) = heading.split_once(" - ")?;
    let numbers = |text: &str, parts: usize, by: char| -> Option<Vec<u64>> {
        let parsed: Option<Vec<u64>> = text.split(by).map(|part| part.parse().ok()).collect();
        parsed.filter(|numbers| numbers.len() == parts)
    };
    numbers(date, 3, '-').filter(|_| date.len() == 10)?;
    numbers(version, 3, '.')
}

#[cfg(test)]
#[path = "docs_tests.rs"]
mod tests;
