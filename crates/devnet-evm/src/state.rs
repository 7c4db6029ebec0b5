//! Accounts, code and storage, with an undo log. The log is what makes snapshots, reorgs and reads of past blocks
//! cheap: every change writes down what it replaced. Called by `world`; it knows nothing of blocks.
//! It must never change without an undo entry, or a revert would leave the change behind.

use std::collections::{HashMap, VecDeque};

use alloy_primitives::{Address, B256, U256};
use revm::bytecode::Bytecode;
use revm::state::{AccountInfo, EvmState};

/// How many undo entries are kept: about 80,000 settlements, 70 MB at most. Older blocks have no state any more.
const MAX_UNDO: usize = 500_000;

/// A place in the undo log. Positions only grow, and stay valid until they are trimmed or undone past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u64);

#[derive(Debug)]
enum Undo {
    Account(Address, Option<AccountInfo>),
    Slot(Address, U256, U256),
}

#[derive(Debug, Default)]
struct Account {
    info: AccountInfo,
    storage: HashMap<U256, U256>,
}

/// The newest state of the chain.
#[derive(Debug, Default)]
pub(crate) struct State {
    accounts: HashMap<Address, Account>,
    codes: HashMap<B256, Bytecode>,
    undo: VecDeque<Undo>,
    trimmed: u64,
}

/// What differed at an earlier position: read before the newest state.
#[derive(Debug, Default)]
pub(crate) struct Past {
    accounts: HashMap<Address, Option<AccountInfo>>,
    slots: HashMap<(Address, U256), U256>,
}

impl State {
    pub(crate) fn account(&self, address: &Address) -> Option<&AccountInfo> {
        self.accounts.get(address).map(|account| &account.info)
    }

    pub(crate) fn slot(&self, address: &Address, key: &U256) -> U256 {
        let slot = self
            .accounts
            .get(address)
            .and_then(|account| account.storage.get(key));
        slot.copied().unwrap_or_default()
    }

    pub(crate) fn code(&self, hash: &B256) -> Bytecode {
        self.codes.get(hash).cloned().unwrap_or_default()
    }

    pub(crate) fn position(&self) -> Position {
        Position(self.trimmed.saturating_add(count(self.undo.len())))
    }

    /// Replaces an account's balance, nonce and code; its storage stays.
    pub(crate) fn set_account(&mut self, address: Address, info: AccountInfo) {
        if let Some(code) = info.code.as_ref().filter(|code| !code.is_empty()) {
            self.codes
                .entry(info.code_hash)
                .or_insert_with(|| code.clone());
        }
        let before = match self.accounts.entry(address) {
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                Some(std::mem::replace(&mut entry.get_mut().info, info))
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Account {
                    info,
                    ..Account::default()
                });
                None
            }
        };
        self.record(Undo::Account(address, before));
    }

    pub(crate) fn set_slot(&mut self, address: Address, key: U256, value: U256) {
        if !self.accounts.contains_key(&address) {
            self.set_account(address, AccountInfo::default());
        }
        let before = self.put_slot(address, key, value);
        self.record(Undo::Slot(address, key, before));
    }

    /// Takes over what one transaction changed.
    pub(crate) fn apply(&mut self, changes: EvmState) {
        for (address, account) in changes {
            if !account.is_touched() {
                continue;
            }
            if account.is_selfdestructed() {
                self.remove(address);
                continue;
            }
            if account.info.is_empty() && !self.accounts.contains_key(&address) {
                continue;
            }
            if self.account(&address) != Some(&account.info) {
                self.set_account(address, account.info);
            }
            for (key, slot) in account.storage {
                if slot.present_value != self.slot(&address, &key) {
                    self.set_slot(address, key, slot.present_value);
                }
            }
        }
    }

    /// Takes back everything since `position`. `false` if the log no longer reaches that far.
    pub(crate) fn undo_to(&mut self, position: Position) -> bool {
        if position.0 < self.trimmed || position > self.position() {
            return false;
        }
        while self.position() > position {
            match self.undo.pop_back() {
                Some(Undo::Account(address, Some(info))) => {
                    self.accounts.entry(address).or_default().info = info;
                }
                Some(Undo::Account(address, None)) => {
                    self.accounts.remove(&address);
                }
                Some(Undo::Slot(address, key, value)) => {
                    self.put_slot(address, key, value);
                }
                None => return false,
            }
        }
        true
    }

    /// What to read first in order to see the state as it was at `position`; `None` if it is no longer kept.
    pub(crate) fn past(&self, position: Position) -> Option<Past> {
        let kept = position.0.checked_sub(self.trimmed)?;
        let mut past = Past::default();
        // The oldest entry after the position holds the value at the position, so it is written last.
        for undo in self.undo.iter().skip(usize::try_from(kept).ok()?).rev() {
            match undo {
                Undo::Account(address, info) => {
                    past.accounts.insert(*address, info.clone()).map(drop)
                }
                Undo::Slot(address, key, value) => {
                    past.slots.insert((*address, *key), *value).map(drop)
                }
            };
        }
        Some(past)
    }

    fn remove(&mut self, address: Address) {
        let Some(account) = self.accounts.remove(&address) else {
            return;
        };
        // Undone in reverse: first the account comes back, then its slots.
        for (key, value) in account.storage {
            self.record(Undo::Slot(address, key, value));
        }
        self.record(Undo::Account(address, Some(account.info)));
    }

    fn put_slot(&mut self, address: Address, key: U256, value: U256) -> U256 {
        let storage = &mut self.accounts.entry(address).or_default().storage;
        let before = if value.is_zero() {
            storage.remove(&key)
        } else {
            storage.insert(key, value)
        };
        before.unwrap_or_default()
    }

    fn record(&mut self, undo: Undo) {
        if self.undo.len() == MAX_UNDO {
            self.undo.pop_front();
            self.trimmed = self.trimmed.saturating_add(1);
        }
        self.undo.push_back(undo);
    }
}

impl Past {
    /// `Some(account or absence)` if the account differed then.
    pub(crate) fn account(&self, address: &Address) -> Option<Option<&AccountInfo>> {
        self.accounts.get(address).map(Option::as_ref)
    }

    pub(crate) fn slot(&self, address: &Address, key: &U256) -> Option<U256> {
        self.slots.get(&(*address, *key)).copied()
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
