//! ERC-6492: a signature that carries the deployment of the wallet that will accept it.
//!
//! Called for every signature that is not an ordinary account's. The bytes come from strangers: it
//! allocates no more than they have, and never looks at what the parts mean.

use farebox_wire::evm::EvmAddress;

use crate::abi;

/// What stands at the end of every wrapper (ERC-6492).
pub(crate) const MAGIC: [u8; 32] = [
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
];

/// A signature as the wallet itself knows it, and how the wallet comes to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unwrapped<'a> {
    /// What the wallet checks.
    pub(crate) signature: &'a [u8],
    /// `None` where there is no wrapper, or one that names no factory.
    pub(crate) deployment: Option<Deployment<'a>>,
}

/// The call that deploys a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deployment<'a> {
    pub(crate) factory: EvmAddress,
    pub(crate) data: &'a [u8],
}

/// The bytes end like a wrapper and are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the signature ends like an ERC-6492 wrapper but is not (address, bytes, bytes) before that"
)]
pub(crate) struct BrokenWrapper;

/// Takes a wrapper off; without one the signature is as it came.
pub(crate) fn unwrap(bytes: &[u8]) -> Result<Unwrapped<'_>, BrokenWrapper> {
    let Some(body) = bytes.strip_suffix(&MAGIC) else {
        return Ok(Unwrapped {
            signature: bytes,
            deployment: None,
        });
    };
    let factory = address(body.get(..32).ok_or(BrokenWrapper)?)?;
    let data = dynamic(body, 32)?;
    let signature = dynamic(body, 64)?;
    // The zero address deploys nothing: the official SDKs take the wrapper off and go on.
    let deployment = (factory != EvmAddress::ZERO).then_some(Deployment { factory, data });
    Ok(Unwrapped {
        signature,
        deployment,
    })
}

fn address(word: &[u8]) -> Result<EvmAddress, BrokenWrapper> {
    let (padding, address) = word.split_at_checked(12).ok_or(BrokenWrapper)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(BrokenWrapper);
    }
    address
        .try_into()
        .map(EvmAddress)
        .map_err(|_| BrokenWrapper)
}

/// The `bytes` whose offset stands at `place`.
fn dynamic(body: &[u8], place: usize) -> Result<&[u8], BrokenWrapper> {
    let (length, rest) = number_at(body, number_at(body, place)?.0)?;
    rest.get(..length).ok_or(BrokenWrapper)
}

/// The number in the word at `place`, and what stands behind it.
fn number_at(body: &[u8], place: usize) -> Result<(usize, &[u8]), BrokenWrapper> {
    let word = body.get(place..).and_then(|rest| rest.split_at_checked(32));
    let (word, rest) = word.ok_or(BrokenWrapper)?;
    let number = abi::word_number(word).and_then(|number| usize::try_from(number).ok());
    Ok((number.ok_or(BrokenWrapper)?, rest))
}

#[cfg(test)]
#[path = "wrapper_tests.rs"]
mod tests;
