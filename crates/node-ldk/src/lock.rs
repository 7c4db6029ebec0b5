//! A node's directory belongs to one process at a time: two nodes with one state lose their channels' money.
//!
//! The lock is the system's and ends with the process, however it ends. In the locked file stands who has it, for people
//! who are told that it is taken; what stands there decides nothing.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::error::Error;

/// The locked file in the node's directory.
const LOCK: &str = "lock";
/// Bytes of it that are read.
const HOLDER_BYTES: u64 = 200;

/// Makes the directory, for its owner alone, and takes it for this process, which is called `holder`.
pub(crate) fn take_directory(dir: &Path, holder: &str) -> Result<File, Error> {
    let failed = |error: std::io::Error| Error::Directory {
        path: dir.to_owned(),
        why: error.to_string(),
    };
    let mut make = DirBuilder::new();
    make.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.create(dir).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut lock = options.open(dir.join(LOCK)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::InUse {
                path: dir.to_owned(),
                holder: holder_of(dir).unwrap_or_else(|| "another process".to_owned()),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let text = format!("{holder} (process {})\n", std::process::id());
    lock.set_len(0).map_err(failed)?;
    lock.write_all(text.as_bytes()).map_err(failed)?;
    Ok(lock)
}

/// Who has a directory, where the system lets others read what is locked.
fn holder_of(dir: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(dir.join(LOCK)).ok()?;
    file.take(HOLDER_BYTES).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    let shown: String = line.chars().filter(|c| !c.is_control()).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
