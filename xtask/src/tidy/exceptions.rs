//! The one table of exceptions to the house style. Each row says why; a row that nothing needs any more is a finding.

use super::Finding;

/// What a row excuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "rows come and go; the rules stay")]
pub(crate) enum Rule {
    /// A function of more than the allowed lines; the row names it.
    LongFunction(&'static str),
    /// A file of more than the allowed lines.
    LongFile,
    /// A file of more than the allowed bytes.
    Blob,
    /// Tabs or trailing blanks that belong to the content.
    Blanks,
}

/// One exception.
pub(crate) struct Exception {
    /// Path from the repository root.
    pub(crate) path: &'static str,
    /// What it excuses.
    pub(crate) rule: Rule,
    /// Why it is right here.
    pub(crate) reason: &'static str,
}

/// All exceptions of this repository.
pub(crate) const TABLE: &[Exception] = &[];

/// The table in use; remembers which rows were needed.
pub(crate) struct Allowed {
    table: &'static [Exception],
    needed: Vec<bool>,
}

impl Allowed {
    pub(crate) fn new(table: &'static [Exception]) -> Self {
        Self {
            table,
            needed: vec![false; table.len()],
        }
    }

    /// Whether a row excuses this; marks the row as needed.
    pub(crate) fn excuses(&mut self, path: &str, excused: impl Fn(Rule) -> bool) -> bool {
        let mut found = false;
        for (row, needed) in self.table.iter().zip(&mut self.needed) {
            if row.path == path && excused(row.rule) {
                *needed = true;
                found = true;
            }
        }
        found
    }

    /// Rows that excuse nothing, or that give no reason.
    pub(crate) fn unused(&self) -> Vec<Finding> {
        let rows = self.table.iter().zip(&self.needed);
        rows.filter_map(|(row, needed)| {
            if !needed {
                return Some(Finding::new(
                    row.path,
                    1,
                    format!("{:?} needs no exception any more: remove its row", row.rule),
                ));
            }
            row.reason
                .is_empty()
                .then(|| Finding::new(row.path, 1, "this exception needs a reason"))
        })
        .collect()
    }
}
