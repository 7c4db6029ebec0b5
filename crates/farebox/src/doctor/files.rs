//! Files: who else can read what is secret, and on which disk the ledger is.
//!
//! Needs no network.

use std::path::{Path, PathBuf};

use super::patient::Patient;
use super::{Finding, mounts};

/// Bytes of a segment of a URL's path from which it looks like an access key.
const KEY_BYTES_MIN: usize = 16;

/// Looks at every file that the configuration names.
pub(super) fn check(patient: &Patient) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &patient.secrets {
        if is_open_to_others(file) {
            findings.push(Finding::error(
                "key_readable",
                show(file),
                "other users of this machine can read this secret",
                format!(
                    "run `chmod 600 {}`, and replace the secret if anybody else uses this machine",
                    show(file)
                ),
            ));
        }
    }
    let keys = kept_keys(&patient.keystore);
    findings.extend(keys.iter().filter(|file| is_open_to_others(file)).map(|file| {
        Finding::warning(
            "keystore_readable",
            show(file),
            "other users of this machine can read this key, which only its passphrase guards",
            format!("run `chmod 600 {}`", show(file)),
        )
    }));
    if is_open_to_others(&patient.ledger) {
        findings.push(Finding::warning(
            "ledger_readable",
            show(&patient.ledger),
            "other users of this machine can read the ledger, and credentials that are still good in it",
            format!("run `chmod 600 {0} {0}-wal {0}-shm`", show(&patient.ledger)),
        ));
    }
    findings.extend(config(patient));
    findings.extend(disk(&patient.ledger));
    findings
}

/// Addresses in the file that hold an access key, where others can read the file.
fn config(patient: &Patient) -> Option<Finding> {
    let file = patient
        .file
        .as_ref()
        .filter(|file| is_open_to_others(file))?;
    let mut urls = patient.networks.values().flat_map(|section| &section.rpc);
    urls.any(|url| holds_secret(url)).then(|| {
        Finding::warning(
            "config_readable",
            show(file),
            "other users of this machine can read this file, and an rpc address in it seems to hold an access key",
            format!("run `chmod 600 {}`", show(file)),
        )
    })
}

/// Whether an address carries something that its owner would not show: a password, a query, or a
/// long segment of letters and digits in its path.
fn holds_secret(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is_key = |segment: &str| {
        segment.len() >= KEY_BYTES_MIN
            && segment.bytes().any(|byte| byte.is_ascii_digit())
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.contains('@') || !query.is_empty() || path.split('/').any(is_key)
}

/// Whether the ledger is where file locks and its write-ahead log cannot be relied upon.
fn disk(ledger: &Path) -> Option<Finding> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    // The folder, where the file is not there yet.
    let place = ledger.canonicalize().or_else(|_| {
        let folder = ledger
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).canonicalize()
    });
    on_disk(&table, &place.ok()?)
}

fn on_disk(table: &str, place: &Path) -> Option<Finding> {
    let kind = mounts::kind_of(table, place)?;
    mounts::is_network(&kind).then(|| {
        Finding::error(
            "ledger_network_disk",
            show(place),
            format!("the ledger is on a disk of kind {kind:?}, where locks and the write-ahead log of SQLite cannot be relied upon: books may break"),
            "move it to a local disk with every gate stopped, and name it with ledger = \"sqlite:PATH\"",
        )
    })
}

fn kept_keys(keystore: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(keystore).into_iter().flatten().flatten();
    let mut keys: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    keys.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    keys.sort();
    keys
}

/// Whether a file is there and its mode lets group or others read it.
#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o044 != 0)
}

/// Other systems guard files by means that a mode does not tell.
#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
