//! Where the ledger and the keystore are when nobody says otherwise.
//!
//! Used by `Config` and the wallet commands. A folder that is created here belongs to its owner
//! alone; one that exists is left as it is.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The data directory, created when it is first needed.
#[derive(Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// The given one, or the usual place of this platform.
    ///
    /// # Errors
    /// Exit 2 where the environment names no home.
    pub(crate) fn new(given: Option<&Path>) -> Result<Self, Failure> {
        match given {
            Some(path) => Ok(Self(path.to_path_buf())),
            None => usual().map(Self).ok_or_else(|| {
                Failure::config(
                    "config_missing",
                    "there is no home directory for the data; name one with --data-dir DIR",
                )
            }),
        }
    }

    /// Where it is, or would be: nothing is made.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The directory, which exists afterwards with mode 0700 if it did not before.
    ///
    /// # Errors
    /// Exit 1 where it cannot be created.
    pub(crate) fn created(&self) -> Result<&Path, Failure> {
        create_private(&self.0).map_err(|error| {
            Failure::internal(
                "store_unwritable",
                format!(
                    "cannot create the directory {}: {error}; name another with --data-dir",
                    self.0.display()
                ),
            )
        })?;
        Ok(&self.0)
    }
}

/// Creates a directory that only its owner can enter.
pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn usual() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if cfg!(windows) {
        return var("LOCALAPPDATA").map(|dir| dir.join("farebox"));
    }
    if cfg!(target_os = "macos") {
        return var("HOME").map(|home| home.join("Library/Application Support/farebox"));
    }
    let base = var("XDG_DATA_HOME").or_else(|| var("HOME").map(|home| home.join(".local/share")));
    base.map(|dir| dir.join("farebox"))
}
