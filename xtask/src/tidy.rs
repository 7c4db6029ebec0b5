//! `cargo xtask tidy`: the house style that neither rustfmt nor clippy knows.
//! Every finding is one line `path:line: what to do`. Exceptions live in one table, `exceptions.rs`, each with its reason.

use crate::reference;
use crate::repo::{self, File};

mod docs;
mod exceptions;
mod manifests;
mod rules;
mod scan;

/// One thing to mend.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the repository root.
    pub(crate) path: String,
    /// Line, from 1.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Checks the whole repository.
pub(crate) fn run() -> Result<String, String> {
    let files = repo::files()?;
    let findings = check(&files, exceptions::TABLE);
    if findings.is_empty() {
        return Ok(format!("tidy: {} files, nothing to mend", files.len()));
    }
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(format!(
        "{}\ntidy: {} to mend",
        lines.join("\n"),
        findings.len()
    ))
}

fn check(files: &[File], table: &'static [exceptions::Exception]) -> Vec<Finding> {
    let mut allowed = exceptions::Allowed::new(table);
    let mut findings = Vec::new();
    for file in files {
        rules::check_size(file, &mut allowed, &mut findings);
        let Some(text) = file.text() else { continue };
        rules::check_text(&file.path, text, &mut allowed, &mut findings);
        if file.path.ends_with(".rs") {
            rules::check_rust(&file.path, text, &mut allowed, &mut findings);
        }
    }
    manifests::check(files, &mut findings);
    docs::check(files, &mut findings);
    findings.extend(check_reference(files));
    findings.extend(allowed.unused());
    findings.sort();
    findings
}

/// The tables of the configuration are those of its types.
fn check_reference(files: &[File]) -> Option<Finding> {
    let document = files.iter().find(|file| file.path == reference::DOCUMENT)?;
    let what = match reference::current(files) {
        Ok(text) if document.text() == Some(&text) => return None,
        Ok(_) => "not what the types say: run `cargo xtask docs`".to_owned(),
        Err(why) => why,
    };
    Some(Finding::new(reference::DOCUMENT, 1, what))
}

#[cfg(test)]
#[path = "tidy_tests.rs"]
mod tests;
