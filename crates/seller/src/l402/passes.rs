//! What need not be asked of the books again: tokens without a limit that were good a moment ago, and
//! payments whose delivery is on record.
//!
//! Asked by `redeem` alone. A pass lives so shortly that a token which was revoked, by this process
//! or by another, is refused soon after. Both memories are bounded; what is not remembered is asked
//! for again, never waved through.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use farebox_core::ledger::PaymentId;

/// How long the books are not asked again, in milliseconds: so late may a revocation be heeded.
const PASS_MS: u64 = 2_000;
/// Tokens that are remembered, of each kind: two megabytes.
const REMEMBERED_MAX: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Passes(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    good: HashMap<[u8; 32], Live>,
    delivered: HashSet<[u8; 32]>,
}

struct Live {
    payment: PaymentId,
    until_ms: u64,
}

/// That a token without a limit was good a moment ago.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Its payment, whose use is on record.
    pub(crate) payment: PaymentId,
    /// Whether the books have been told of a delivery, so that nothing is left to be written.
    pub(crate) is_delivered: bool,
}

impl Passes {
    /// The pass of a token without a limit whose use is on record.
    pub(crate) fn find(&self, hash: &[u8; 32], now_ms: u64) -> Option<Pass> {
        let memory = self.lock();
        let live = memory.good.get(hash)?;
        let is_live = now_ms < live.until_ms && live.until_ms.saturating_sub(now_ms) <= PASS_MS;
        is_live.then(|| Pass {
            payment: live.payment.clone(),
            is_delivered: memory.delivered.contains(hash),
        })
    }

    /// Its use is on record now.
    pub(crate) fn keep(&self, hash: [u8; 32], payment: &PaymentId, now_ms: u64) {
        let good = &mut self.lock().good;
        if good.len() >= REMEMBERED_MAX {
            good.retain(|_, live| now_ms < live.until_ms);
        }
        if good.len() >= REMEMBERED_MAX && !good.contains_key(&hash) {
            return;
        }
        let live = Live {
            payment: payment.clone(),
            until_ms: now_ms.saturating_add(PASS_MS),
        };
        good.insert(hash, live);
    }

    /// Whether the books have been told of a delivery; from now on they have.
    pub(crate) fn is_first_delivery(&self, hash: [u8; 32]) -> bool {
        let delivered = &mut self.lock().delivered;
        if delivered.len() >= REMEMBERED_MAX {
            // To tell the books once more changes nothing in them.
            delivered.clear();
        }
        delivered.insert(hash)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "passes_tests.rs"]
mod tests;
