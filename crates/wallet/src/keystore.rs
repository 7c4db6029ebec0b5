//! Keys at rest: one JSON file per key, encrypted under a passphrase.
//!
//! Argon2id turns the passphrase into a key, XChaCha20-Poly1305 seals the secret with it. A file
//! is written beside its place and renamed into it, so a crash leaves the old key or the new one,
//! never half of either; an existing key is never overwritten unless that is asked for.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::random::{self, NoRandomness};
use crate::secret::{Secret, is_open_to_others};

/// Memory of Argon2id in KiB: RFC 9106 §4, the option for machines with little memory (64 MiB).
const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
/// Passes over that memory, from the same option.
const ARGON2_PASSES: u32 = 3;
/// Lanes, from the same option.
const ARGON2_LANES: u32 = 4;
/// The most memory that a file may ask for (1 GiB): a damaged file must not exhaust the machine.
const ARGON2_MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// The most passes that a file may ask for, likewise.
const ARGON2_PASSES_MAX: u32 = 64;
/// The most lanes that a file may ask for, likewise.
const ARGON2_LANES_MAX: u32 = 64;
/// Bytes of a keystore file that we read; ours have about 500.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of a key that is made here: a secp256k1 or ed25519 secret.
pub const KEY_BYTES: usize = 32;
/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;
/// What the names of keystore files end in.
const EXTENSION: &str = "key.json";
/// Characters in the longest name of a key.
const NAME_CHARS_MAX: usize = 64;

/// What may be known about a key without its passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What `keystore:NAME` calls it.
    pub name: String,
    /// The address that it controls, as the rail writes it.
    pub address: String,
}

/// Why the keystore could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A name that could leave the directory, or is too long.
    #[error("{0:?} is not a key's name; use up to 64 of a-z, 0-9, - and _")]
    Name(String),
    /// There is one already.
    #[error(
        "the key `{0}` exists and is not overwritten; choose another --name, or say --force if its money is elsewhere"
    )]
    Exists(String),
    /// There is none.
    #[error("there is no key `{0}`; make one with `farebox wallet create`")]
    NotFound(String),
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty; choose one")]
    EmptyPassphrase,
    /// Also where the file was changed: the seal cannot tell the two apart.
    #[error("the passphrase of key `{0}` is wrong, or its file was changed")]
    WrongPassphrase(String),
    /// Not a file of ours.
    #[error("the keystore file {} cannot be read: {why}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk.
    #[error("the keystore at {} cannot be used: {why}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// As the system says it.
        why: std::io::Error,
    },
    /// Neither salt nor key can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The caller could not derive the address of the new key.
    #[error("the key cannot be used: {0}")]
    Unusable(String),
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    format: u32,
    address: String,
    kdf: Kdf,
    /// Hex, 24 bytes.
    nonce: String,
    /// Hex, with the seal at its end.
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// Hex.
    salt: String,
}

const KDF_NAME: &str = "argon2id";

/// Where the key `name` lies.
///
/// # Errors
/// [`KeystoreError::Name`] for names that could point elsewhere.
pub fn path(dir: &Path, name: &str) -> Result<PathBuf, KeystoreError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(allowed) {
        return Err(KeystoreError::Name(name.chars().take(80).collect()));
    }
    Ok(dir.join(format!("{name}.{EXTENSION}")))
}

/// Makes a new random key and keeps it. `address_of` tells its address, or why it cannot be used.
///
/// # Errors
/// See [`KeystoreError`]; nothing is written then.
pub fn create(
    dir: &Path,
    name: &str,
    passphrase: &Secret,
    address_of: impl FnOnce(&Secret) -> Result<String, String>,
    overwrite: bool,
) -> Result<Entry, KeystoreError> {
    let key = Zeroizing::new(random::bytes::<KEY_BYTES>()?);
    let key = Secret::new(key.to_vec());
    let address = address_of(&key).map_err(KeystoreError::Unusable)?;
    import(dir, name, &key, &address, passphrase, overwrite)
}

/// Keeps a key that exists already.
///
/// # Errors
/// See [`KeystoreError`]; nothing is written then.
pub fn import(
    dir: &Path,
    name: &str,
    key: &Secret,
    address: &str,
    passphrase: &Secret,
    overwrite: bool,
) -> Result<Entry, KeystoreError> {
    let path = path(dir, name)?;
    if passphrase.expose().is_empty() {
        return Err(KeystoreError::EmptyPassphrase);
    }
    // Asked early to save the work; the rename below decides.
    if !overwrite && path.exists() {
        return Err(KeystoreError::Exists(name.to_owned()));
    }
    let sealed = seal(key, address, passphrase)?;
    let text = serde_json::to_vec_pretty(&sealed).map_err(|why| KeystoreError::Damaged {
        path: path.clone(),
        why: why.to_string(),
    })?;
    write_whole(dir, name, &path, &text, overwrite)?;
    Ok(Entry {
        name: name.to_owned(),
        address: address.to_owned(),
    })
}

/// Reads a key with its passphrase.
///
/// # Errors
/// [`KeystoreError::WrongPassphrase`] also where the file was tampered with.
pub fn open(dir: &Path, name: &str, passphrase: &Secret) -> Result<Secret, KeystoreError> {
    let path = path(dir, name)?;
    let sealed = read(&path, name)?;
    let damaged = |why: String| KeystoreError::Damaged {
        path: path.clone(),
        why,
    };
    let bytes = |text: &str| hex::decode(text).map_err(|why| damaged(why.to_string()));
    let key = derive(&sealed.kdf, passphrase).map_err(damaged)?;
    let nonce: [u8; 24] = bytes(&sealed.nonce)?
        .try_into()
        .map_err(|_| damaged("the nonce has not 24 bytes".to_owned()))?;
    let ciphertext = bytes(&sealed.ciphertext)?;
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(
            &XNonce::from(nonce),
            Payload {
                msg: &ciphertext,
                aad: bound(&sealed.address).as_bytes(),
            },
        )
        .map(Secret::new)
        .map_err(|_| KeystoreError::WrongPassphrase(name.to_owned()))
}

/// Every key, by name. A directory that does not exist holds none.
///
/// # Errors
/// Where the directory or one of its files cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Entry>, KeystoreError> {
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(io(dir, why)),
    };
    let mut entries = Vec::new();
    for file in files {
        let file = file.map_err(|why| io(dir, why))?;
        let file_name = file.file_name();
        let name = file_name.to_str().and_then(|n| n.strip_suffix(EXTENSION));
        let Some(name) = name.and_then(|n| n.strip_suffix('.')) else {
            continue;
        };
        if path(dir, name).is_err() {
            continue;
        }
        let sealed = read(&file.path(), name)?;
        entries.push(Entry {
            name: name.to_owned(),
            address: sealed.address,
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn seal(key: &Secret, address: &str, passphrase: &Secret) -> Result<Sealed, KeystoreError> {
    let kdf = Kdf {
        algorithm: KDF_NAME.to_owned(),
        memory_kib: ARGON2_MEMORY_KIB,
        passes: ARGON2_PASSES,
        lanes: ARGON2_LANES,
        salt: hex::encode(random::bytes::<16>()?),
    };
    let derived = derive(&kdf, passphrase).map_err(KeystoreError::Unusable)?;
    let nonce = random::bytes::<24>()?;
    let ciphertext = XChaCha20Poly1305::new(&Key::from(*derived))
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: key.expose(),
                aad: bound(address).as_bytes(),
            },
        )
        .map_err(|why| KeystoreError::Unusable(why.to_string()))?;
    Ok(Sealed {
        format: FORMAT,
        address: address.to_owned(),
        kdf,
        nonce: hex::encode(nonce),
        ciphertext: hex::encode(ciphertext),
    })
}

/// What the seal binds besides the key, so that no file can show another's address.
fn bound(address: &str) -> String {
    format!("farebox keystore {FORMAT} {address}")
}

fn derive(kdf: &Kdf, passphrase: &Secret) -> Result<Zeroizing<[u8; 32]>, String> {
    if kdf.algorithm != KDF_NAME {
        return Err(format!("its kdf is not {KDF_NAME}"));
    }
    if kdf.memory_kib > ARGON2_MEMORY_KIB_MAX
        || kdf.passes > ARGON2_PASSES_MAX
        || kdf.lanes > ARGON2_LANES_MAX
    {
        return Err("its kdf asks for more memory or time than any key of ours".to_owned());
    }
    let salt = hex::decode(&kdf.salt).map_err(|why| why.to_string())?;
    let params = Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(32))
        .map_err(|why| why.to_string())?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose(), &salt, key.as_mut_slice())
        .map_err(|why| why.to_string())?;
    Ok(key)
}

fn read(path: &Path, name: &str) -> Result<Sealed, KeystoreError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            return Err(KeystoreError::NotFound(name.to_owned()));
        }
        Err(why) => return Err(io(path, why)),
    };
    let damaged = |why: String| KeystoreError::Damaged {
        path: path.to_owned(),
        why,
    };
    if about.len() > FILE_BYTES_MAX {
        return Err(damaged("it is far larger than a key".to_owned()));
    }
    if is_open_to_others(&about) {
        tracing::warn!(
            path = %path.display(),
            "this key file can be read by others; run `chmod 600` on it"
        );
    }
    let text = fs::read(path).map_err(|why| io(path, why))?;
    let sealed: Sealed = serde_json::from_slice(&text).map_err(|why| damaged(why.to_string()))?;
    if sealed.format != FORMAT {
        return Err(damaged(format!(
            "its format is {}, not {FORMAT}",
            sealed.format
        )));
    }
    Ok(sealed)
}

/// Writes beside the place, then moves in. Without `overwrite` the move is a hard link, which
/// fails where a file is: two processes cannot both make the first key.
fn write_whole(
    dir: &Path,
    name: &str,
    path: &Path,
    text: &[u8],
    overwrite: bool,
) -> Result<(), KeystoreError> {
    fs::create_dir_all(dir).map_err(|why| io(dir, why))?;
    let beside = dir.join(random::name(".new-")?);
    let written = write_private(&beside, text).and_then(|()| match overwrite {
        true => fs::rename(&beside, path),
        false => fs::hard_link(&beside, path),
    });
    // After a rename there is nothing left to remove.
    let _ = fs::remove_file(&beside);
    match written {
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(KeystoreError::Exists(name.to_owned()))
        }
        Err(why) => Err(io(path, why)),
        Ok(()) => sync_dir(dir).map_err(|why| io(dir, why)),
    }
}

fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Makes the new name itself durable.
#[cfg(unix)]
fn sync_dir(dir: &Path) -> std::io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> std::io::Result<()> {
    Ok(())
}

fn io(path: &Path, why: std::io::Error) -> KeystoreError {
    KeystoreError::Io {
        path: path.to_owned(),
        why,
    }
}

#[cfg(test)]
#[path = "keystore_tests.rs"]
mod tests;
