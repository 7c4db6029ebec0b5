//! What goes to stdout and stderr: machine output on stdout, talk on stderr.
//!
//! Used by every command. A reader of stdout who has gone is success; a lost line on stderr is
//! nothing to fail for.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::failure::Failure;

/// Writes a line to stdout.
///
/// # Errors
/// The silent success of a reader who has gone, or exit 1 where stdout cannot be written.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    written.map_err(stdout_failure)
}

/// Writes one JSON object as one line to stdout.
///
/// # Errors
/// As [`line`].
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::internal("json", format!("cannot write the answer: {error}")))?;
    line(&text)
}

/// What a failed write to stdout means.
pub(crate) fn stdout_failure(error: std::io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        return Failure::reader_gone();
    }
    Failure::internal("stdout", format!("cannot write to stdout: {error}"))
}

/// Whether to use colour on a stream: it is a terminal, and nobody has set `NO_COLOR`.
pub(crate) fn is_coloured(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !refused
}

/// Whether somebody watches stderr.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether people are told what is waited for; not before [`allow_progress`].
static PROGRESS: AtomicBool = AtomicBool::new(false);

/// Lets [`progress`] speak, where somebody watches.
pub(crate) fn allow_progress() {
    PROGRESS.store(is_watched(), Ordering::Relaxed);
}

/// Tells people on a terminal what they wait for.
pub(crate) fn progress(text: &str) {
    if PROGRESS.load(Ordering::Relaxed) {
        say(&format!("farebox: {text}"));
    }
}

/// Says something to people on stderr.
pub(crate) fn say(text: &str) {
    // Nobody may be listening there; that is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Rows under headings, in columns as wide as their widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        let heading = headings.get(column).map_or(0, |text| text.chars().count());
        cells.max().unwrap_or(0).max(heading)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let render = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![render(headings.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| render(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}
