//! The `farebox` under test: the release binary beside this one.
//!
//! Under `cargo run`, cargo brings it up to date first, so that nobody measures an old one. Started by hand,
//! this program can only look at the clock, and says which command to run.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use crate::Fallible;
use crate::process::Process;

const BUILD: &str = "cargo build --release -p farebox";

/// The root of the repository that this program was built in.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary, up to date, with these features besides the usual ones.
pub(crate) fn binary(features: &[&str]) -> Fallible<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().ok_or("this program lies nowhere")?;
    let binary = folder.join("farebox");
    match std::env::var_os("CARGO") {
        Some(cargo) => build(Path::new(&cargo), folder, features)?,
        None => check_age(&binary)?,
    }
    Ok(binary)
}

fn build(cargo: &Path, folder: &Path, features: &[&str]) -> Fallible<()> {
    let target = folder
        .parent()
        .ok_or("this program lies in no target folder")?;
    let status = Command::new(cargo)
        .args(["build", "--release", "-p", "farebox"])
        .args(["--features", &features.join(","), "--target-dir"])
        .arg(target)
        .current_dir(repository())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{BUILD}` has failed, and there is nothing to measure without it").into())
}

fn check_age(binary: &Path) -> Fallible<()> {
    let built = fs::metadata(binary)
        .and_then(|found| found.modified())
        .map_err(|_| format!("{} is missing; run `{BUILD}` first", binary.display()))?;
    let crates = repository().join("crates");
    if newest(&crates).is_some_and(|changed| changed > built) {
        return Err(format!(
            "{} is older than its sources; run `{BUILD}` first",
            binary.display()
        )
        .into());
    }
    Ok(())
}

/// When the newest source of the product below `folder` was changed; `None` where there are none.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter(|entry| {
            !["bench", "tests", "examples"]
                .iter()
                .any(|name| entry.file_name() == *name)
        })
        .filter_map(|entry| match entry.file_type().ok()?.is_dir() {
            true => newest(&entry.path()),
            false => entry.metadata().ok()?.modified().ok(),
        })
        .max()
}

/// A part of the product that listens.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a command that prints `{"listening": URL}`.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        folder: &Path,
    ) -> Fallible<Self> {
        let log = folder.join(format!("{name}.log"));
        let (process, line) = Process::start(name, command, &log)?;
        let ready: Value = serde_json::from_str(&line)?;
        let url = ready["listening"]
            .as_str()
            .ok_or_else(|| format!("{name} did not start: {}", line.trim()))?;
        Ok(Self {
            process,
            address: address_of(url)?,
        })
    }
}

/// The socket of `http://ADDRESS`.
pub(crate) fn address_of(url: &str) -> Fallible<SocketAddr> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    Ok(rest.trim_end_matches('/').parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_and_an_old_one_name_the_command_that_builds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let binary = folder.path().join("farebox");
        let missing = check_age(&binary).expect_err("missing").to_string();
        assert!(missing.contains(BUILD), "{missing}");
        let old = fs::File::create(&binary).expect("a file");
        old.set_modified(SystemTime::UNIX_EPOCH)
            .expect("an old file");
        let old = check_age(&binary).expect_err("old").to_string();
        assert!(old.contains("older"), "{old}");
        fs::write(&binary, "new").expect("a file");
        check_age(&binary).expect("newer than all sources");
    }

    #[test]
    fn an_url_has_a_socket() {
        let address = address_of("http://127.0.0.1:80/").expect("a socket");
        assert_eq!(address.port(), 80);
    }
}
