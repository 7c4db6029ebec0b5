//! Accounts: the programs that a payment calls, where a wallet keeps a token, and what stands in a
//! token account.

use farebox_wire::svm::SvmAddress;
use solana_address::{Address, address};
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

use crate::assets::TokenProgram;

/// Pays for nothing and moves nothing: sets what a transaction may use and offers for it.
pub(crate) const COMPUTE_BUDGET: Address = address!("ComputeBudget111111111111111111111111111111");
/// Writes a text beside a transaction.
pub(crate) const MEMO: Address = address!("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
/// Asserts about accounts, which wallets add for their owners.
pub(crate) const LIGHTHOUSE: Address = address!("L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95");
/// SPL Token.
pub(crate) const SPL_TOKEN: Address = address!("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// SPL Token-2022.
pub(crate) const TOKEN_2022: Address = address!("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

/// The same account in the words of Solana's own crates.
pub(crate) const fn address_of(address: SvmAddress) -> Address {
    Address::new_from_array(address.0)
}

/// The same account in the words of the wire.
pub(crate) const fn svm(address: &Address) -> SvmAddress {
    SvmAddress(address.to_bytes())
}

/// The account of the program.
pub(crate) const fn program_of(program: TokenProgram) -> Address {
    match program {
        TokenProgram::SplToken => SPL_TOKEN,
        TokenProgram::Token2022 => TOKEN_2022,
    }
}

/// Where `owner` keeps its tokens of `mint`: the associated token account, which follows from both.
pub(crate) fn token_account_of(
    owner: SvmAddress,
    mint: SvmAddress,
    program: TokenProgram,
) -> SvmAddress {
    svm(&get_associated_token_address_with_program_id(
        &address_of(owner),
        &address_of(mint),
        &program_of(program),
    ))
}

/// What stands in a token account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenAccount {
    pub(crate) mint: SvmAddress,
    pub(crate) owner: SvmAddress,
    /// Atomic units.
    pub(crate) amount: u64,
    /// Whether the mint's authority lets it neither pay nor be paid.
    pub(crate) is_frozen: bool,
}

/// Bytes of a token account; those of Token-2022 may be followed by extensions.
const TOKEN_ACCOUNT_BYTES: usize = 165;
/// Where the state of a token account stands.
const STATE_AT: usize = 108;

impl TokenAccount {
    /// Reads the data of an account of a token program; `None` where it is no token account, or
    /// one that was never set up.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let data = data.get(..TOKEN_ACCOUNT_BYTES)?;
        let (mint, rest) = data.split_first_chunk::<32>()?;
        let (owner, rest) = rest.split_first_chunk::<32>()?;
        let amount = rest.first_chunk::<8>()?;
        let is_frozen = match data.get(STATE_AT)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        Some(Self {
            mint: SvmAddress(*mint),
            owner: SvmAddress(*owner),
            amount: u64::from_le_bytes(*amount),
            is_frozen,
        })
    }
}

/// Bytes of a mint; those of Token-2022 may be followed by room, their kind and extensions.
const MINT_BYTES: usize = 82;
/// Where the decimals of a mint stand, and behind them whether it was set up.
const DECIMALS_AT: usize = 44;
/// What an account with extensions is, right behind the size of a token account.
const KIND_OF_MINT: u8 = 1;

/// The decimals of a mint; `None` where the data of an account of a token program is no mint's.
pub(crate) fn decimals_of(data: &[u8]) -> Option<u8> {
    let is_mint = data.len() == MINT_BYTES || data.get(TOKEN_ACCOUNT_BYTES) == Some(&KIND_OF_MINT);
    match data.get(DECIMALS_AT..)? {
        [decimals, 1, ..] if is_mint => Some(*decimals),
        _ => None,
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
