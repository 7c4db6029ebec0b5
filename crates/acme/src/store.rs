//! The folder: an account, certificates, what was tried in vain, answers to questions, a lock.
//!
//! Every file is its owner's alone and is replaced by one rename. Called by the keeper on threads
//! that may wait.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bundle::Bundle;
use crate::fault::AcmeError;
use crate::plan::{Challenge, Plan};

/// Bytes of any file here. A chain of certificates has a fiftieth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What was tried in vain since the last success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tries {
    /// How often.
    pub(crate) failures: u32,
    /// Not before this moment again, in seconds since 1970.
    pub(crate) next_s: u64,
    /// Why it failed the last time.
    pub(crate) why: String,
}

/// An account at a directory.
#[derive(Serialize, Deserialize)]
pub(crate) struct KnownAs {
    /// What the directory was told last.
    pub(crate) contact: Vec<String>,
    pub(crate) credentials: AccountCredentials,
}

/// The right to order, while it is held. The system gives it back when the process ends.
pub(crate) struct Turn {
    _lock: File,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    plan: Plan,
}

impl Store {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan }
    }

    /// The right to order for this folder, `None` while another process has it.
    pub(crate) fn turn(&self) -> Result<Option<Turn>, AcmeError> {
        let path = self.plan.lock();
        let failed = |error| AcmeError::store(&path, error);
        create_folder_of(&path).map_err(failed)?;
        let lock = private(OpenOptions::new().create(true).truncate(false)).open(&path);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Turn { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The certificate, if there is one that can be served with.
    pub(crate) fn bundle(&self) -> Result<Option<Bundle>, AcmeError> {
        let Some(pem) = read(&self.plan.bundle())? else {
            return Ok(None);
        };
        match Bundle::read(&pem, self.plan.domains()) {
            Ok(bundle) => Ok(Some(bundle)),
            Err(why) => {
                let path = self.plan.bundle();
                tracing::warn!("{}: {why}; it will be replaced", path.display());
                Ok(None)
            }
        }
    }

    /// Replaces the certificate, then what was tried in vain before it.
    pub(crate) fn keep_bundle(&self, pem: &[u8], tries: &Tries) -> Result<(), AcmeError> {
        write(&self.plan.bundle(), pem)?;
        self.keep_tries(tries)
    }

    pub(crate) fn tries(&self) -> Result<Tries, AcmeError> {
        let read = read(&self.plan.tries())?;
        // What cannot be read is no reason never to order again.
        Ok(read
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default())
    }

    pub(crate) fn keep_tries(&self, tries: &Tries) -> Result<(), AcmeError> {
        let json = serde_json::to_vec(tries).map_err(|why| AcmeError::Machine(why.to_string()))?;
        write(&self.plan.tries(), &json)
    }

    pub(crate) fn account(&self) -> Result<Option<KnownAs>, AcmeError> {
        let Some(json) = read(&self.plan.account())? else {
            return Ok(None);
        };
        // What cannot be read is left where it is until another account takes its place.
        Ok(serde_json::from_slice(&json).ok())
    }

    pub(crate) fn keep_account(&self, known: &KnownAs) -> Result<(), AcmeError> {
        let json = serde_json::to_vec(known).map(Zeroizing::new);
        let json = json.map_err(|why| AcmeError::Machine(why.to_string()))?;
        write(&self.plan.account(), &json)
    }

    /// Lays out the answer to a question; `name` is the domain's or the token.
    pub(crate) fn answer(&self, name: &str, answer: &[u8]) -> Result<(), AcmeError> {
        let folder = self.answers();
        match self.plan.challenge() {
            Challenge::TlsAlpn01 => write(&folder.join(format!("{name}.pem")), answer),
            Challenge::Http01 => write(&folder.join(name), answer),
        }
    }

    /// Takes away every answer, also those of a process that has died.
    pub(crate) fn clear_answers(&self) -> Result<(), AcmeError> {
        let folder = self.answers();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(AcmeError::store(&folder, error))
            }
            _ => Ok(()),
        }
    }

    fn answers(&self) -> PathBuf {
        self.plan.challenges().join(self.plan.challenge().name())
    }
}

/// The file, if it is there.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, AcmeError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let opened = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened,
    };
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| AcmeError::store(path, error))?;
    Ok(Some(bytes))
}

/// Writes beside the place, then moves in: whoever reads sees the old file or the new one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), AcmeError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|why| AcmeError::Machine(why.to_string()))?;
    let beside = path.with_file_name(format!(".new-{}", hex::encode(random)));
    let written = create_folder_of(path)
        .and_then(|()| private(OpenOptions::new().create_new(true)).open(&beside))
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| sync_folder_of(path));
    if written.is_err() {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(|error| AcmeError::store(path, error))
}

/// A file that only its owner can read.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A folder that only its owner can enter.
fn create_folder_of(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes a rename last.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        #[cfg(unix)]
        Some(folder) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
