//! What accounts were before the newest slots, so that reads at `confirmed` and `finalized` see what was true then.
//! Owned by `world`. It must never hold more than the slots that are not final yet.

use std::collections::{HashMap, VecDeque};

use solana_account::Account;
use solana_address::Address;

/// Earlier contents, oldest first, each with the slot that changed it. `None`: there was no account.
type Changes = VecDeque<(u64, Option<Account>)>;

/// Earlier contents of accounts.
#[derive(Debug, Default)]
pub(crate) struct Past(HashMap<Address, Changes>);

impl Past {
    /// Notes what an account is before a transaction of `slot` changes it. Nothing at or before `final_slot` is asked for
    /// any more.
    pub(crate) fn note(
        &mut self,
        address: Address,
        slot: u64,
        final_slot: u64,
        before: Option<Account>,
    ) {
        let changes = self.0.entry(address).or_default();
        while changes.front().is_some_and(|(at, _)| *at <= final_slot) {
            changes.pop_front();
        }
        if changes.back().is_none_or(|(at, _)| *at < slot) {
            changes.push_back((slot, before));
        }
    }

    /// What the account was at the end of `slot`, if a later slot changed it.
    pub(crate) fn at(&self, address: &Address, slot: u64) -> Option<&Option<Account>> {
        let changes = self.0.get(address)?;
        changes
            .iter()
            .find(|(at, _)| *at > slot)
            .map(|(_, before)| before)
    }

    /// A test has set the account: it has been so for ever.
    pub(crate) fn forget(&mut self, address: &Address) {
        self.0.remove(address);
    }
}
