//! Keys, from references to the rail's own type, and the passphrase that opens the keystore.
//!
//! A secret is in memory for as long as it takes to build the key, and nowhere else. Nothing here
//! ever prints one.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use farebox_core::fault::{Blame, Fault, Kind};
use farebox_rail_evm::EvmKey;
pub(crate) use farebox_rail_evm::checksummed;
use farebox_wallet::keystore;
use farebox_wallet::secret::{self, Places, Secret, SecretError, SecretRef};
use farebox_wire::evm::EvmAddress;

use super::networks;
use crate::config::{Config, DataDir, create_private};
use crate::failure::{EXIT_USAGE, Failure};

/// The key that is used when the configuration names none.
const KEYSTORE_DEFAULT_REFERENCE: &str = "keystore:default";
/// The variable that holds the keystore's passphrase for those who have no terminal.
const PASSPHRASE_VARIABLE: &str = "FAREBOX_PASSPHRASE";

/// Where the keystore is, or would be: nothing is made.
pub(crate) fn keystore_place(data_dir: &DataDir) -> PathBuf {
    data_dir.path().join("keystore")
}

/// Where the keystore is; it exists afterwards.
pub(crate) fn keystore_dir(data_dir: &DataDir) -> Result<PathBuf, Failure> {
    data_dir.created()?;
    let dir = keystore_place(data_dir);
    create_private(&dir).map_err(|error| {
        let message = format!("cannot create the keystore {}: {error}", dir.display());
        Failure::internal("store_unwritable", message)
    })?;
    Ok(dir)
}

/// Follows a reference to a secret. `base` is what its path is relative to; `key` is the flag or
/// key of the configuration where it stood, for the message.
pub(crate) fn load_secret(reference: &str, base: &Path, key: &str) -> Result<Secret, Failure> {
    let parsed = secret::parse(reference).map_err(|why| key_failure(key, &why))?;
    let places = Places {
        base,
        keystore: Path::new(""),
        passphrase: None,
    };
    if matches!(parsed, SecretRef::Keystore(_)) {
        return Err(Failure::config(
            "key_reference",
            format!("{key}: the keystore holds paying keys only; use env:NAME or file:PATH here"),
        ));
    }
    secret::load(&parsed, &places).map_err(|why| key_failure(key, &why))
}

/// The gas key, from `env:NAME` or `file:PATH`.
pub(super) fn gas_key(reference: &str, base: &Path, key: &str) -> Result<Arc<EvmKey>, Failure> {
    evm_key(&load_secret(reference, base, key)?, key).map(Arc::new)
}

/// What there is to pay with.
pub(super) enum PayingKey {
    /// Nothing: nobody has made a key yet.
    None,
    /// A key that lay in the open.
    Read(Arc<EvmKey>),
    /// A key that needs its passphrase.
    Locked(LockedKey),
}

/// A key in the keystore, and how to open it.
#[derive(Clone)]
pub(super) struct LockedKey {
    name: String,
    dir: PathBuf,
    passphrase: PassphraseSource,
}

impl LockedKey {
    /// Asks for the passphrase and opens the key. Takes a tenth of a second of computing.
    pub(super) fn open(&self) -> Result<EvmKey, Failure> {
        let prompt = format!("Passphrase of key `{}`: ", self.name);
        let passphrase = self.passphrase.get(&prompt)?;
        let secret = keystore::open(&self.dir, &self.name, &passphrase)
            .map_err(|why| key_failure("the keystore", &SecretError::from(why)))?;
        evm_key(&secret, "the keystore")
    }
}

/// The paying key of the configuration, by default `keystore:default`.
pub(super) fn paying_key(
    config: &Config,
    data_dir: &DataDir,
    passphrase: Option<&str>,
) -> Result<PayingKey, Failure> {
    let key = "[wallet] evm_key";
    let named = config.file.wallet.evm_key.as_deref();
    let reference = secret::parse(named.unwrap_or(KEYSTORE_DEFAULT_REFERENCE))
        .map_err(|why| key_failure(key, &why))?;
    let SecretRef::Keystore(name) = reference else {
        return gas_key(named.unwrap_or_default(), &config.base, key).map(PayingKey::Read);
    };
    let dir = keystore_place(data_dir);
    let path = keystore::path(&dir, &name).map_err(|why| key_failure(key, &why.into()))?;
    match (path.exists(), named) {
        (true, _) => Ok(PayingKey::Locked(LockedKey {
            name,
            dir,
            passphrase: PassphraseSource::new(config, passphrase),
        })),
        (false, None) => Ok(PayingKey::None),
        (false, Some(_)) => Err(no_key(config)),
    }
}

/// A key of nobody, for asking: a chain is asked about a payment, not about a key.
pub(super) fn throwaway() -> Result<Arc<EvmKey>, Failure> {
    let failed = |why: String| Failure::internal("no_randomness", why);
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|why| failed(why.to_string()))?;
    EvmKey::from_bytes(&bytes)
        .map(Arc::new)
        .map_err(|why| failed(why.to_string()))
}

/// The address of the paying key; one in the keystore is not opened for it.
pub(crate) fn paying_address(config: &Config, data_dir: &DataDir) -> Result<EvmAddress, Failure> {
    paying_account(config, data_dir)?.ok_or_else(|| no_key(config))
}

/// The same; `None` where nobody has made or named a key yet.
pub(super) fn paying_account(
    config: &Config,
    data_dir: &DataDir,
) -> Result<Option<EvmAddress>, Failure> {
    match paying_key(config, data_dir, None)? {
        PayingKey::None => Ok(None),
        PayingKey::Read(key) => Ok(Some(key.address())),
        PayingKey::Locked(locked) => {
            let entries = keystore::list(&locked.dir)
                .map_err(|why| key_failure("the keystore", &why.into()))?;
            let entry = entries.into_iter().find(|entry| entry.name == locked.name);
            let address = entry.ok_or_else(|| no_key(config))?.address;
            networks::address(&address, "the keystore").map(Some)
        }
    }
}

/// A key to be put into the keystore, in the form in which it is kept there, and its address.
pub(crate) fn importable_key(reference: &str) -> Result<(Secret, String), Failure> {
    let flag = "--evm-key";
    let secret = load_secret(reference, Path::new(""), flag)?;
    let invalid = |why: String| Failure::config("key_invalid", format!("{flag}: {why}"));
    let address = address_of(&secret).map_err(invalid)?;
    if secret.expose().len() == 32 {
        return Ok((secret, address));
    }
    let text = secret
        .expose_str()
        .map_err(|why| invalid(why.to_string()))?
        .trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(digits).map_err(|_| invalid("it is no hex".to_owned()))?;
    Ok((Secret::new(bytes), address))
}

/// What is said where there is no key.
fn no_key(config: &Config) -> Failure {
    let name = config
        .file
        .wallet
        .evm_key
        .as_deref()
        .unwrap_or(KEYSTORE_DEFAULT_REFERENCE);
    Failure::config(
        "key_missing",
        format!(
            "there is no key {name} to pay with; make one with `farebox wallet create`, or set [wallet] evm_key in {}",
            config.name()
        ),
    )
}

/// Where the keystore's passphrase comes from.
#[derive(Clone)]
pub(crate) struct PassphraseSource {
    flag: Option<String>,
    configured: Option<String>,
    base: PathBuf,
}

impl PassphraseSource {
    /// The flag wins, then the variable, then the configuration, then the terminal.
    pub(crate) fn new(config: &Config, flag: Option<&str>) -> Self {
        Self {
            flag: flag.map(str::to_owned),
            configured: config.file.wallet.passphrase.clone(),
            base: config.base.clone(),
        }
    }

    /// The passphrase of a key that is there.
    ///
    /// # Errors
    /// Exit 2 where nobody supplies it.
    pub(crate) fn get(&self, prompt: &str) -> Result<Secret, Failure> {
        self.written().unwrap_or_else(|| typed(prompt))
    }

    /// The passphrase of a key that is being made. On a terminal it is typed twice, because a slip
    /// of the finger would lose the key.
    ///
    /// # Errors
    /// Exit 2 where nobody supplies it, or two different ones were typed.
    pub(crate) fn get_new(&self) -> Result<Secret, Failure> {
        if let Some(written) = self.written() {
            return written;
        }
        let first = typed("New passphrase: ")?;
        let second = typed("The same again: ")?;
        match first.expose() == second.expose() {
            true => Ok(first),
            false => Err(passphrase_missing("two different ones were typed")),
        }
    }

    /// The first place that names one, if any does.
    fn written(&self) -> Option<Result<Secret, Failure>> {
        if let Some(reference) = &self.flag {
            return Some(load_secret(reference, Path::new(""), "--passphrase"));
        }
        if std::env::var_os(PASSPHRASE_VARIABLE).is_some_and(|value| !value.is_empty()) {
            let reference = format!("env:{PASSPHRASE_VARIABLE}");
            return Some(load_secret(&reference, Path::new(""), PASSPHRASE_VARIABLE));
        }
        let reference = self.configured.as_ref()?;
        Some(load_secret(reference, &self.base, "[wallet] passphrase"))
    }
}

/// Asks the terminal; stdin may be a body meanwhile.
fn typed(prompt: &str) -> Result<Secret, Failure> {
    if !std::io::stdin().is_terminal() && !std::io::stderr().is_terminal() {
        return Err(passphrase_missing("there is no terminal to ask"));
    }
    let typed = rpassword::prompt_password(prompt)
        .map_err(|error| passphrase_missing(&format!("none was typed ({error})")))?;
    Ok(Secret::new(typed.into_bytes()))
}

fn passphrase_missing(why: &str) -> Failure {
    Failure::config(
        "passphrase_missing",
        format!(
            "the keystore needs its passphrase, but {why}; set {PASSPHRASE_VARIABLE}, or give --passphrase env:NAME or file:PATH"
        ),
    )
}

/// The key of an account as the keystore keeps it, and its address in checksummed form.
///
/// # Errors
/// Says what is wrong with the key, never what it is.
pub(crate) fn address_of(secret: &Secret) -> Result<String, String> {
    let key = parse_evm_key(secret)?;
    Ok(checksummed(key.address()))
}

fn evm_key(secret: &Secret, key: &str) -> Result<EvmKey, Failure> {
    parse_evm_key(secret).map_err(|why| Failure::config("key_invalid", format!("{key}: {why}")))
}

/// A key from hex text, as people keep it, or from the raw bytes of the keystore.
fn parse_evm_key(secret: &Secret) -> Result<EvmKey, String> {
    let parsed = match <&[u8; 32]>::try_from(secret.expose()) {
        // Thirty-two printable bytes are half a key that somebody has cut off, not a raw one.
        Ok(bytes) if !bytes.iter().all(u8::is_ascii_graphic) => EvmKey::from_bytes(bytes),
        _ => EvmKey::from_hex(secret.expose_str().map_err(|why| why.to_string())?),
    };
    parsed.map_err(|why| why.to_string())
}

fn key_failure(key: &str, why: &SecretError) -> Failure {
    let fault = Fault::harmless(
        "key_unreadable",
        Kind::Key,
        Blame::User,
        format!("{key}: {why}"),
    );
    Failure::new(EXIT_USAGE, fault)
}
