//! Secrets by reference: where a key or passphrase is, and the bytes once they are read.
//!
//! Called by whoever reads the configuration. A literal secret is an error, and no message here
//! ever repeats what was written in place of a reference (ARCHITECTURE law 15).

use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::keystore::{self, KeystoreError};

/// Bytes of a secret file that we read: a PEM bundle fits, a disk image does not.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Secret bytes. Wiped when dropped; never printed, copied or serialised.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the moment of use.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text, for the moment of use.
    ///
    /// # Errors
    /// [`SecretError::NotText`] where the bytes are not UTF-8.
    pub fn expose_str(&self) -> Result<&str, SecretError> {
        std::str::from_utf8(&self.0).map_err(|_| SecretError::NotText)
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `env:NAME`: an environment variable.
    Env(String),
    /// `file:PATH`: a file, relative to the configuration file.
    File(PathBuf),
    /// `keystore:NAME`: an encrypted key, see [`crate::keystore`].
    Keystore(String),
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Something other than a reference, perhaps the secret itself; not repeated here.
    #[error(
        "a secret must be a reference: `env:NAME`, `file:PATH` or `keystore:NAME`; a secret written out in configuration or flags is refused"
    )]
    Literal,
    /// `env:` and the like with nothing behind it.
    #[error("`{0}` names nothing; write for instance `{0}NAME`")]
    EmptyReference(&'static str),
    /// The variable is not set, or is empty.
    #[error("the environment variable {0} is not set or empty")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("the secret file {} cannot be read: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// As the system says it.
        why: std::io::Error,
    },
    /// The file holds nothing, or far too much.
    #[error("the secret file {} is empty or larger than {SECRET_BYTES_MAX} bytes", .0.display())]
    FileSize(PathBuf),
    /// Bytes where text is needed.
    #[error("the secret is not UTF-8 text")]
    NotText,
    /// A keystore reference where no passphrase was handed in.
    #[error(
        "the key `{0}` is in the keystore; give its passphrase (on the terminal, or by env: or file:)"
    )]
    NoPassphrase(String),
    /// The keystore.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
}

/// What is needed to follow references.
pub struct Places<'a> {
    /// What `file:` paths are relative to: the directory of the configuration file.
    pub base: &'a Path,
    /// Where the keystore is.
    pub keystore: &'a Path,
    /// The keystore's passphrase, if it is at hand.
    pub passphrase: Option<&'a Secret>,
}

/// Reads a reference.
///
/// # Errors
/// [`SecretError::Literal`] for anything that is none; the text is not repeated.
pub fn parse(text: &str) -> Result<SecretRef, SecretError> {
    let named = |prefix: &'static str| {
        text.strip_prefix(prefix).map(|rest| match rest {
            "" => Err(SecretError::EmptyReference(prefix)),
            rest => Ok(rest.to_owned()),
        })
    };
    if let Some(name) = named("env:") {
        return name.map(SecretRef::Env);
    }
    if let Some(path) = named("file:") {
        return path.map(|path| SecretRef::File(path.into()));
    }
    if let Some(name) = named("keystore:") {
        return name.map(SecretRef::Keystore);
    }
    Err(SecretError::Literal)
}

/// Follows a reference. Line ends after the secret are cut off, as editors add them.
///
/// # Errors
/// Says which variable, file or key is missing, never what is in it.
pub fn load(reference: &SecretRef, places: &Places<'_>) -> Result<Secret, SecretError> {
    match reference {
        SecretRef::Env(name) => {
            let value = std::env::var(name).unwrap_or_default();
            let secret = trimmed(value.into_bytes());
            if secret.expose().is_empty() {
                return Err(SecretError::NoVariable(name.clone()));
            }
            Ok(secret)
        }
        SecretRef::File(path) => load_file(&places.base.join(path)),
        SecretRef::Keystore(name) => {
            let passphrase = places
                .passphrase
                .ok_or_else(|| SecretError::NoPassphrase(name.clone()))?;
            Ok(keystore::open(places.keystore, name, passphrase)?)
        }
    }
}

fn load_file(path: &Path) -> Result<Secret, SecretError> {
    let cannot = |why| SecretError::File {
        path: path.to_owned(),
        why,
    };
    let about = fs::metadata(path).map_err(cannot)?;
    if about.len() > SECRET_BYTES_MAX {
        return Err(SecretError::FileSize(path.to_owned()));
    }
    if is_open_to_others(&about) {
        tracing::warn!(
            path = %path.display(),
            "this secret file can be read by others; run `chmod 600` on it"
        );
    }
    let secret = trimmed(fs::read(path).map_err(cannot)?);
    if secret.expose().is_empty() {
        return Err(SecretError::FileSize(path.to_owned()));
    }
    Ok(secret)
}

/// Whether group or others may read or write a file.
#[cfg(unix)]
pub(crate) fn is_open_to_others(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    about.mode() & 0o077 != 0
}

/// Whether group or others may read or write a file: not told by the mode here.
#[cfg(not(unix))]
pub(crate) fn is_open_to_others(_about: &fs::Metadata) -> bool {
    false
}

fn trimmed(mut bytes: Vec<u8>) -> Secret {
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Secret::new(bytes)
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
