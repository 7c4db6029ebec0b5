//! The undo log: what was changed comes back, and nothing else.

use super::*;

const A: Address = Address::repeat_byte(1);
const B: Address = Address::repeat_byte(2);

fn with_balance(wei: u64) -> AccountInfo {
    AccountInfo {
        balance: U256::from(wei),
        ..AccountInfo::default()
    }
}

fn balance(state: &State, address: Address) -> Option<u64> {
    state.account(&address).map(|info| info.balance.to())
}

#[test]
fn undoing_restores_accounts_and_slots_exactly() {
    let mut state = State::default();
    state.set_account(A, with_balance(1));
    state.set_slot(A, U256::from(1), U256::from(10));
    let before = state.position();
    state.set_account(A, with_balance(2));
    state.set_slot(A, U256::from(1), U256::ZERO);
    state.set_slot(A, U256::from(2), U256::from(20));
    state.set_account(B, with_balance(3));
    assert!(state.undo_to(before));
    assert_eq!((balance(&state, A), balance(&state, B)), (Some(1), None));
    assert_eq!(
        (
            state.slot(&A, &U256::from(1)),
            state.slot(&A, &U256::from(2))
        ),
        (U256::from(10), U256::ZERO)
    );
    assert_eq!(state.position(), before);
}

#[test]
fn the_past_is_what_was_there_at_its_position() {
    let mut state = State::default();
    state.set_account(A, with_balance(1));
    let first = state.position();
    state.set_account(A, with_balance(2));
    let second = state.position();
    state.set_account(A, with_balance(3));
    state.set_slot(B, U256::from(1), U256::from(5));
    let seen = |past: &Past| {
        past.account(&A)
            .map(|info| info.map(|info| info.balance.to::<u64>()))
    };
    assert_eq!(
        state.past(first).map(|past| seen(&past)),
        Some(Some(Some(1)))
    );
    assert_eq!(
        state.past(second).map(|past| seen(&past)),
        Some(Some(Some(2)))
    );
    let past = state.past(first).expect("it is kept");
    assert_eq!(
        (past.account(&B), past.slot(&B, &U256::from(1))),
        (Some(None), Some(U256::ZERO))
    );
    assert_eq!(
        state.past(state.position()).map(|past| seen(&past)),
        Some(None)
    );
}

#[test]
fn a_removed_account_comes_back_with_its_storage() {
    let mut state = State::default();
    state.set_account(A, with_balance(1));
    state.set_slot(A, U256::from(1), U256::from(10));
    let before = state.position();
    state.remove(A);
    assert_eq!(
        (balance(&state, A), state.slot(&A, &U256::from(1))),
        (None, U256::ZERO)
    );
    assert!(state.undo_to(before));
    assert_eq!(
        (balance(&state, A), state.slot(&A, &U256::from(1))),
        (Some(1), U256::from(10))
    );
}

#[test]
fn a_position_that_was_trimmed_or_undone_is_refused() {
    let mut state = State::default();
    let start = state.position();
    for wei in 0..=u64::try_from(MAX_UNDO).expect("it fits") {
        state.set_account(A, with_balance(wei));
    }
    assert!(state.past(start).is_none() && !state.undo_to(start));
    let later = state.position();
    let earlier = Position(later.0 - 1);
    assert!(state.undo_to(earlier) && !state.undo_to(later));
}
