//! Marks of payers, for as long as they do: what the books had seen settled from a payer a moment
//! ago, so that a payer who pays often costs no look into the ledger for each payment.
//!
//! A mark may be as old as it likes and never makes a payer look richer: it was read before the
//! chain is asked, and what settled since counts as gone ([`PayerMark`]). An old one may make him
//! look poorer, because the chain has seen some of that already. So a claim by one of these marks
//! is believed where it succeeds; where the payer seems to have too little, or somebody seems to be
//! before him, [`Till::claim`](super::Till::claim) reads the mark anew and asks again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use farebox_core::ledger::PayerMark;
use farebox_core::rail::Terms;
use farebox_wire::caip::AssetId;

/// Payers whose mark is kept: as many as a rail has snapshots of. Some 150 bytes each.
const PAYERS_MAX: usize = 10_000;
/// How long a mark is used: what settles in that time is what a payer may look poorer by.
const USED_MS: u64 = 1_000;

/// See the module.
#[derive(Default)]
pub(super) struct Marks {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_asset: HashMap<AssetId, HashMap<String, Read>>,
    count: usize,
}

/// A mark and when it was read.
#[derive(Clone, Copy)]
struct Read {
    mark: PayerMark,
    at_ms: u64,
}

impl Read {
    const fn is_new(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.at_ms) < USED_MS
    }
}

impl Marks {
    /// The mark of a payer, if it was read a moment ago.
    pub(super) fn of(&self, terms: &Terms, now_ms: u64) -> Option<PayerMark> {
        let payer = terms.payer.as_deref()?;
        let known = self.known();
        let read = known.by_asset.get(&terms.asset)?.get(payer)?;
        read.is_new(now_ms).then_some(read.mark)
    }

    /// A mark was read, not later than `now_ms`.
    pub(super) fn read(&self, terms: &Terms, mark: PayerMark, now_ms: u64) {
        let Some(payer) = terms.payer.as_deref() else {
            return;
        };
        let at_ms = now_ms;
        self.known()
            .put(&terms.asset, payer, Read { mark, at_ms }, now_ms);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A mark that a panic elsewhere has kept from being added is one that is read again.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, asset: &AssetId, payer: &str, read: Read, now_ms: u64) {
        let payers = self.by_asset.get_mut(asset);
        if let Some(known) = payers.and_then(|payers| payers.get_mut(payer)) {
            *known = read;
            return;
        }
        if self.count >= PAYERS_MAX {
            self.forget_old(now_ms);
        }
        // All of them are in use: the next one reads the ledger.
        if self.count < PAYERS_MAX {
            let payers = self.by_asset.entry(asset.clone()).or_default();
            payers.insert(payer.to_owned(), read);
            self.count = self.count.saturating_add(1);
        }
    }

    fn forget_old(&mut self, now_ms: u64) {
        self.by_asset.retain(|_, payers| {
            payers.retain(|_, read| read.is_new(now_ms));
            !payers.is_empty()
        });
        self.count = self.by_asset.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
