//! Writes measured tables into docs/performance.md, between marks that name the table.

use std::fs;
use std::time::SystemTime;

use crate::machine::Machine;
use crate::product::repository;
use crate::report::Report;
use crate::{Fallible, NodeKind, Options};

const FILE: &str = "docs/performance.md";

/// Writes the table of the rows.
pub(crate) fn write_rows(options: &Options, machine: &Machine, report: &Report) -> Fallible<()> {
    const RUN: &str = "cargo run --release -p farebox-bench --";
    if options.wants_svm() {
        let command = format!("{RUN} --only verify_svm,settle_svm --markdown");
        write("solana", &command, machine, &report.svm_as_text())?;
    }
    if !options.wants_others() {
        return Ok(());
    }
    let name = match options.node {
        NodeKind::Devnet => "devnet",
        NodeKind::Anvil => "anvil",
    };
    let command = format!("{RUN} --node {name} --markdown");
    write(name, &command, machine, &report.as_text())
}

/// Writes the block called `name`.
pub(crate) fn write(name: &str, command: &str, machine: &Machine, table: &str) -> Fallible<()> {
    let path = repository().join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| format!("{FILE}: {error}"))?;
    let date = httpdate::fmt_http_date(SystemTime::now());
    let block = format!("Measured {date} on {machine}:\n`{command}`\n\n{table}\n");
    fs::write(path, replaced(&text, name, &block)?)?;
    eprintln!("farebox-bench: wrote the table `{name}` of {FILE}");
    Ok(())
}

/// `text` with the block between the marks of `name` replaced.
fn replaced(text: &str, name: &str, block: &str) -> Fallible<String> {
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->\n"),
    );
    let missing = || format!("{FILE} has no marks for the table `{name}`");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok([before, &begin, block, &end, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n";
        let new = replaced(text, "x", "new\n").expect("marks");
        assert_eq!(new, "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n");
        assert_eq!(replaced(&new, "x", "old\n").expect("marks"), text);
        assert!(replaced(text, "y", "new\n").is_err());
    }

    #[test]
    fn the_document_has_marks_for_every_table() {
        let text = fs::read_to_string(repository().join(FILE)).expect("the document");
        for name in ["devnet", "anvil", "solana", "curves"] {
            replaced(&text, name, "").expect("marks");
        }
    }
}
