//! The bytes of mints and token accounts: made for the start and for tests, read for `jsonParsed` answers and balances.
//! Transactions never come through here: the real token programs execute them.

use solana_account::Account as Stored;
use solana_address::Address;
use solana_program_pack::Pack as _;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;
use spl_token_interface::state::{Account, AccountState, Mint};

use crate::options::TokenProgram;

/// Where Token-2022 says what an account is, when it has extensions.
const ACCOUNT_TYPE_AT: usize = Account::LEN;
const TYPE_MINT: u8 = 1;
const TYPE_ACCOUNT: u8 = 2;
/// The only extension of a plain associated account of Token-2022: `ImmutableOwner` (7), without data.
const IMMUTABLE_OWNER: [u8; 4] = [7, 0, 0, 0];

/// What a token program keeps in an account.
#[derive(Debug)]
pub(crate) enum TokenData {
    Mint(Mint),
    Account(Account),
}

/// Reads an account of a token program.
pub(crate) fn read(stored: &Stored) -> Option<(TokenProgram, TokenData)> {
    let program = TokenProgram::at(&stored.owner)?;
    let is_mint = match stored.data.get(ACCOUNT_TYPE_AT) {
        Some(&kind) if program == TokenProgram::Token2022 => match kind {
            TYPE_MINT => true,
            TYPE_ACCOUNT => false,
            _ => return None,
        },
        Some(_) => return None,
        None => stored.data.len() == Mint::LEN,
    };
    let data = if is_mint {
        TokenData::Mint(Mint::unpack(stored.data.get(..Mint::LEN)?).ok()?)
    } else {
        TokenData::Account(Account::unpack(stored.data.get(..Account::LEN)?).ok()?)
    };
    Some((program, data))
}

/// Reads a token account.
pub(crate) fn read_account(stored: &Stored) -> Option<(TokenProgram, Account)> {
    match read(stored)? {
        (program, TokenData::Account(account)) => Some((program, account)),
        (_, TokenData::Mint(_)) => None,
    }
}

/// Reads a mint.
pub(crate) fn read_mint(stored: &Stored) -> Option<(TokenProgram, Mint)> {
    match read(stored)? {
        (program, TokenData::Mint(mint)) => Some((program, mint)),
        (_, TokenData::Account(_)) => None,
    }
}

/// A mint without tokens. Whoever is named may mint and freeze.
pub(crate) fn new_mint(program: TokenProgram, decimals: u8, authority: Address) -> Stored {
    let mint = Mint {
        mint_authority: Some(authority).into(),
        supply: 0,
        decimals,
        is_initialized: true,
        freeze_authority: Some(authority).into(),
    };
    Stored {
        data: packed(&mint, Mint::LEN),
        owner: program.address(),
        ..Stored::default()
    }
}

/// An associated account without tokens, as the associated token program makes it.
pub(crate) fn new_account(program: TokenProgram, mint: Address, owner: Address) -> Stored {
    let account = Account {
        mint,
        owner,
        state: AccountState::Initialized,
        ..Account::default()
    };
    let mut data = packed(&account, Account::LEN);
    if program == TokenProgram::Token2022 {
        data.push(TYPE_ACCOUNT);
        data.extend(IMMUTABLE_OWNER);
    }
    Stored {
        data,
        owner: program.address(),
        ..Stored::default()
    }
}

/// Writes changed contents back; extensions stay.
pub(crate) fn write<T: solana_program_pack::Pack>(stored: &mut Stored, contents: T) {
    if let Some(head) = stored.data.get_mut(..T::LEN) {
        contents.pack_into_slice(head);
    }
}

/// Where an owner's tokens of a mint are kept.
pub(crate) fn associated(owner: &Address, mint: &Address, program: TokenProgram) -> Address {
    get_associated_token_address_with_program_id(owner, mint, &program.address())
}

fn packed<T: solana_program_pack::Pack>(contents: &T, len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    contents.pack_into_slice(&mut data);
    data
}
