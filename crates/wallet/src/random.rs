//! Bytes nobody can guess, from the operating system: names of payments and owners, salts, keys.

/// The operating system gave no random bytes; nothing that needs them may go on.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}")]
pub struct NoRandomness(getrandom::Error);

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

/// A name that is never drawn twice: the prefix and 32 hex digits.
pub(crate) fn name(prefix: &str) -> Result<String, NoRandomness> {
    Ok(format!("{prefix}{}", hex::encode(bytes::<16>()?)))
}
