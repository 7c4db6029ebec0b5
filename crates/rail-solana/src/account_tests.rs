//! Token accounts: where they are, and what stands in them.

use solana_program_pack::Pack;
use spl_token_interface::state::{Account, AccountState};

use super::*;

#[test]
fn the_programs_are_those_of_the_interfaces() {
    assert_eq!(SPL_TOKEN, spl_token_interface::ID);
    assert_eq!(COMPUTE_BUDGET, solana_compute_budget_interface::ID);
}

#[test]
fn a_wallets_account_depends_on_owner_mint_and_program() {
    let (owner, mint) = (SvmAddress([1; 32]), SvmAddress([2; 32]));
    let account = token_account_of(owner, mint, TokenProgram::SplToken);
    assert_ne!(
        account,
        token_account_of(mint, owner, TokenProgram::SplToken)
    );
    assert_ne!(
        account,
        token_account_of(owner, mint, TokenProgram::Token2022)
    );
}

#[test]
fn what_the_token_program_writes_is_read() {
    let account = |state| Account {
        mint: Address::new_from_array([1; 32]),
        owner: Address::new_from_array([2; 32]),
        amount: 0x0102_0304_0506_0708,
        state,
        ..Account::default()
    };
    let read = |state| {
        let mut data = vec![0; Account::LEN];
        Account::pack(account(state), &mut data).unwrap();
        // Extensions of Token-2022 come after it.
        data.extend([2, 7, 0]);
        TokenAccount::read(&data)
    };
    let expected = TokenAccount {
        mint: SvmAddress([1; 32]),
        owner: SvmAddress([2; 32]),
        amount: 0x0102_0304_0506_0708,
        is_frozen: false,
    };
    assert_eq!(read(AccountState::Initialized), Some(expected));
    let frozen = read(AccountState::Frozen).unwrap();
    assert!(frozen.is_frozen);
    // Never set up, too short, or a mint.
    for data in [vec![0; 165], vec![1; 164], vec![1; 82], vec![]] {
        assert_eq!(TokenAccount::read(&data), None);
    }
}

proptest::proptest! {
    #[test]
    fn reading_an_account_never_panics(data: Vec<u8>) {
        let _ = TokenAccount::read(&data);
    }
}
