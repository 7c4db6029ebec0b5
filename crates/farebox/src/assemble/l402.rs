//! Selling over L402: the secret that signs tokens.
//!
//! The secret is made where there is none, because nobody has to choose it; losing it makes every
//! token that was sold worthless, so its file belongs into the backup beside the ledger.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use farebox_seller::l402::MasterKey;
use zeroize::Zeroizing;

use super::keys;
use crate::config::DataDir;
use crate::failure::Failure;

/// Where the secret is if nobody says.
const FILE_DEFAULT: &str = "l402.key";
/// The key of the configuration, for messages.
const KEY: &str = "[l402] master_key";

/// Where the secret is that tokens are signed with.
#[derive(Clone, Default)]
pub(crate) struct TokenKey {
    /// `file:PATH` or `env:NAME`; `None` is a file of the data directory.
    pub(crate) reference: Option<String>,
    /// The folder that its path is relative to.
    pub(crate) base: PathBuf,
}

impl TokenKey {
    /// The secret; its file is made where there is none.
    ///
    /// # Errors
    /// Exit 2 where it cannot be read or made, or is no secret of 32 bytes.
    pub(super) fn load(&self, data_dir: &DataDir) -> Result<MasterKey, Failure> {
        let path = self.path(data_dir);
        if let Some(path) = &path {
            if self.reference.is_none() {
                data_dir.created()?;
            }
            create(path)?;
        }
        self.read(path.as_deref())
    }

    /// The same for those who only look: nothing is made, and one that would be is thrown away.
    ///
    /// # Errors
    /// As [`TokenKey::load`].
    pub(super) fn look(&self, data_dir: &DataDir) -> Result<MasterKey, Failure> {
        match self.path(data_dir) {
            Some(path) if !path.exists() => Ok(MasterKey::new(random()?)),
            path => self.read(path.as_deref()),
        }
    }

    /// The file, if it is one.
    fn path(&self, data_dir: &DataDir) -> Option<PathBuf> {
        match &self.reference {
            None => Some(data_dir.path().join(FILE_DEFAULT)),
            Some(reference) => {
                let path = reference
                    .strip_prefix("file:")
                    .filter(|path| !path.is_empty());
                path.map(|path| self.base.join(path))
            }
        }
    }

    fn read(&self, path: Option<&Path>) -> Result<MasterKey, Failure> {
        if let Some(path) = path {
            refuse_open(path)?;
        }
        let reference = match (&self.reference, path) {
            (None, Some(path)) => format!("file:{}", path.display()),
            (reference, _) => reference.clone().unwrap_or_default(),
        };
        let secret = keys::load_secret(&reference, &self.base, KEY)?;
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(secret.expose(), bytes.as_mut_slice()).map_err(|_| {
            invalid(format!(
                "{KEY} is not 64 hex digits; remove the file to have another one made, which ends every token that was sold"
            ))
        })?;
        Ok(MasterKey::new(bytes))
    }
}

/// A file that others can read has told them how to mint tokens.
#[cfg(unix)]
fn refuse_open(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(path) {
        Ok(about) if about.mode() & 0o077 != 0 => Err(invalid(format!(
            "{KEY}: {} can be read by others, who can mint tokens with it; run `chmod 600` on it",
            path.display()
        ))),
        // What cannot be looked at is told of by who reads it.
        _ => Ok(()),
    }
}

/// Not told by the mode here.
#[cfg(not(unix))]
fn refuse_open(_path: &Path) -> Result<(), Failure> {
    Ok(())
}

/// Makes the file, readable by its owner alone; one that is there stays as it is.
fn create(path: &Path) -> Result<(), Failure> {
    let cannot = |why: std::io::Error| invalid(format!("{KEY}: {}: {why}", path.display()));
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(why) => return Err(cannot(why)),
    };
    let text = Zeroizing::new(hex::encode(random()?.as_slice()));
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    written.map_err(cannot)
}

fn random() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    let filled = getrandom::fill(bytes.as_mut_slice());
    filled.map_err(|why| Failure::internal("no_randomness", why.to_string()))?;
    Ok(bytes)
}

fn invalid(message: String) -> Failure {
    Failure::config("config_invalid", message)
}
