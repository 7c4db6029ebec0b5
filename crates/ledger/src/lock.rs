//! One gate per ledger: an exclusive file lock that dies with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use farebox_core::ledger::LedgerError;

/// Held for the life of a gate or facilitator. The operating system gives it back when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct SellerLock {
    _file: File,
}

impl SellerLock {
    /// Locks `<ledger>.seller.lock`.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] where another process has it; [`LedgerError::Store`] where the file
    /// cannot be made.
    pub fn acquire(ledger: &Path) -> Result<Self, LedgerError> {
        // Through a link it is the same ledger. Where there is none yet, there is no link to it.
        let ledger = ledger.canonicalize().unwrap_or_else(|_| ledger.to_owned());
        let mut name = ledger.as_os_str().to_owned();
        name.push(".seller.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&name)
            .map_err(|error| {
                LedgerError::Store(format!("{} cannot be made: {error}", name.display()))
            })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::Busy(format!(
                "another gate or facilitator works on {}; stop it or choose another `ledger`",
                ledger.display()
            ))),
            Err(TryLockError::Error(error)) => Err(LedgerError::Store(format!(
                "{} cannot be locked: {error}; put the ledger on a local disk",
                name.display()
            ))),
        }
    }
}
