//! EVM addresses for people: the EIP-55 checksum, written and demanded.
//!
//! A mixed-case address is a checked one, so a wrong checksum is a typing mistake or an attack and
//! is refused. All-lower and all-upper addresses carry no checksum and are taken as they are.

use alloy_primitives::Address;
use farebox_wire::evm::{EvmAddress, ParseHexError};

/// Why a text is not an address that money may go to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// Not `0x` and 40 digits.
    #[error("not an address: {0}")]
    Hex(#[from] ParseHexError),
    /// Mixed case with a wrong EIP-55 checksum.
    #[error(
        "the EIP-55 checksum is wrong, so a digit is probably wrong too; {expected} would be right for these digits"
    )]
    Checksum {
        /// What the checksum would have to be.
        expected: String,
    },
}

/// Reads an address; where it is written in mixed case, its checksum must be right.
///
/// # Errors
/// See [`ParseAddressError`].
pub fn parse_address(text: &str) -> Result<EvmAddress, ParseAddressError> {
    let address: EvmAddress = text.parse()?;
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_mixed = digits.bytes().any(|b| b.is_ascii_lowercase())
        && digits.bytes().any(|b| b.is_ascii_uppercase());
    let expected = checksummed(address);
    if is_mixed && text != expected {
        return Err(ParseAddressError::Checksum { expected });
    }
    Ok(address)
}

/// Writes an address with its EIP-55 checksum.
#[must_use]
pub fn checksummed(address: EvmAddress) -> String {
    Address::from(address.0).to_checksum(None)
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
