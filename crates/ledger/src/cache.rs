//! What the writer remembers of the file: accounts with their balances, and payments on their way.
//!
//! Only [`crate::books`] has one, and says when it is true. It must never hold a buyer's payment:
//! its credential is to be forgotten with the file's, and its lease is changed by others.

use std::collections::HashMap;
use std::mem;

use farebox_core::ledger::{Payment, PaymentId};
use farebox_core::payment::{Delivery, Phase, Role};

use crate::row::{self, Stored};

/// Accounts, beyond which all are looked up again: about one MiB.
const ACCOUNTS_MAX: usize = 4096;
/// Payments in one of two generations: enough for all that are in flight at once. Two KiB each.
const PAYMENTS_MAX: usize = 512;

/// The memory of one connection.
#[derive(Default)]
pub(crate) struct Cache {
    /// Asset, then name, to a place among the accounts.
    slots: HashMap<String, HashMap<String, usize>>,
    accounts: Vec<Account>,
    /// Places of the accounts whose balance is not in the file yet.
    unwritten: Vec<usize>,
    // In boxes, so that a free place in a table costs a pointer and not a payment.
    young: HashMap<PaymentId, Box<Stored>>,
    old: HashMap<PaymentId, Box<Stored>>,
}

/// One account.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    /// Its place in the file; `None` where nothing was ever posted to it.
    pub(crate) id: Option<i64>,
    /// After everything that was posted.
    pub(crate) balance: i128,
    is_written: bool,
}

/// Where an account stands in the cache, until the end of the transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(usize);

impl Cache {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Before a transaction: makes room.
    pub(crate) fn trim(&mut self) {
        if self.accounts.len() > ACCOUNTS_MAX {
            self.slots.clear();
            self.accounts.clear();
            self.unwritten.clear();
        }
    }

    /// The place of an account that is known.
    pub(crate) fn slot(&self, account: &str, asset: &str) -> Option<Slot> {
        self.slots.get(asset)?.get(account).copied().map(Slot)
    }

    /// Remembers an account as it is in the file.
    pub(crate) fn add(&mut self, name: &str, asset: &str, found: Option<(i64, i128)>) -> Slot {
        let slot = self.accounts.len();
        self.accounts.push(Account {
            id: found.map(|(id, _)| id),
            balance: found.map_or(0, |(_, balance)| balance),
            is_written: true,
        });
        if !self.slots.contains_key(asset) {
            self.slots.insert(asset.to_owned(), HashMap::new());
        }
        if let Some(names) = self.slots.get_mut(asset) {
            names.insert(name.to_owned(), slot);
        }
        Slot(slot)
    }

    /// The account at a place of this transaction.
    pub(crate) fn account(&self, slot: Slot) -> Option<Account> {
        self.accounts.get(slot.0).copied()
    }

    /// A posting was written: the account has this place and balance.
    pub(crate) fn post(&mut self, slot: Slot, id: i64, balance: i128) {
        let Some(account) = self.accounts.get_mut(slot.0) else {
            return;
        };
        account.id = Some(id);
        account.balance = balance;
        if mem::replace(&mut account.is_written, false) {
            self.unwritten.push(slot.0);
        }
    }

    /// The accounts whose balance the file does not have.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = (i64, i128)> {
        let accounts = self.unwritten.iter();
        accounts
            .filter_map(|slot| self.accounts.get(*slot))
            .filter_map(|account| Some((account.id?, account.balance)))
    }

    /// The file has them all.
    pub(crate) fn all_written(&mut self) {
        for slot in self.unwritten.drain(..) {
            if let Some(account) = self.accounts.get_mut(slot) {
                account.is_written = true;
            }
        }
    }

    /// Takes a payment out, to be changed: who gives up has nothing to put back.
    pub(crate) fn take(&mut self, id: &PaymentId) -> Option<Stored> {
        let kept = self.young.remove(id).or_else(|| self.old.remove(id));
        kept.map(|kept| *kept)
    }

    /// Remembers a payment as it is in the file, while something is still to come.
    pub(crate) fn keep(&mut self, stored: Stored) {
        self.take(&stored.payment.id);
        if !is_worth_keeping(&stored) {
            return;
        }
        if self.young.len() >= PAYMENTS_MAX {
            self.old = mem::take(&mut self.young);
        }
        self.young
            .insert(stored.payment.id.clone(), Box::new(stored));
    }

    /// The same, with a copy for whoever asked.
    pub(crate) fn keep_and_copy(&mut self, stored: Stored) -> Payment {
        if !is_worth_keeping(&stored) {
            self.take(&stored.payment.id);
            return stored.payment;
        }
        let copy = stored.payment.clone();
        self.keep(stored);
        copy
    }

    /// Forgets the payments.
    pub(crate) fn forget_payments(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// Whether more will happen to a payment, which is not a buyer's.
fn is_worth_keeping(stored: &Stored) -> bool {
    let state = &stored.payment.state;
    let waits = state.phase == Phase::Settled && state.delivery == Delivery::Undelivered;
    stored.payment.role != Role::Buyer && (row::is_open(state) || waits)
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
