//! Rules for crates: every one takes the workspace's lints, and those that count money refuse what can panic or round.
//! Called by `tidy.rs`.

use super::Finding;
use crate::repo::File;

/// Cargo cannot mix workspace lints with a crate's own, so the money crates carry theirs at the root.
const MONEY_LINTS: &str = "#![cfg_attr(not(test),deny(clippy::indexing_slicing,clippy::as_conversions,clippy::float_arithmetic))]";

/// Folders of crates whose code touches amounts.
fn counts_money(folder: &str) -> bool {
    matches!(folder, "wire" | "core" | "ledger" | "seller" | "wallet")
        || folder.starts_with("rail-")
}

/// Checks every member of the workspace.
pub(super) fn check(files: &[File], findings: &mut Vec<Finding>) {
    for file in files {
        let Some(text) = file.text() else { continue };
        let Some(folder) = member(&file.path) else {
            continue;
        };
        if !text.contains("[lints]\nworkspace = true\n") {
            findings.push(Finding::new(
                &file.path,
                1,
                "add `[lints]` with `workspace = true`",
            ));
        }
        if counts_money(folder) {
            check_money_lints(files, &format!("crates/{folder}/src/lib.rs"), findings);
        }
    }
}

/// The folder of a workspace member, from the path of its manifest.
fn member(path: &str) -> Option<&str> {
    if path == "xtask/Cargo.toml" {
        return Some("xtask");
    }
    let folder = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (!folder.contains('/')).then_some(folder)
}

fn check_money_lints(files: &[File], root: &str, findings: &mut Vec<Finding>) {
    let text = files
        .iter()
        .find(|file| file.path == root)
        .and_then(File::text);
    let squeezed: String = text
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    if !squeezed.contains(MONEY_LINTS) {
        findings.push(Finding::new(root, 1, "this crate counts money: deny indexing_slicing, as_conversions and float_arithmetic outside tests"));
    }
}

#[cfg(test)]
#[path = "manifests_tests.rs"]
mod tests;
