//! Payers whose transactions failed on the chain: their fee was ours to pay. After a few in one day
//! they are not settled at all, so that what one payer can waste is bounded (ARCHITECTURE law 10).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::clock::Clock;
use farebox_core::rail::Refusal;
use farebox_wire::svm::SvmAddress;

use super::fees::DAY_S;
use super::ours;

/// Failures of one payer that we pay for in one day (UTC): an honest payer loses a race once.
const FAILURES_PER_DAY: u32 = 3;
/// Payers that are remembered, under a megabyte; the longest known is forgotten first.
const SUSPECTS_MAX: usize = 10_000;

/// Who they are.
pub(super) struct Suspects {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_payer: HashMap<SvmAddress, Record>,
    in_order: VecDeque<SvmAddress>,
}

#[derive(Clone, Copy, Default)]
struct Record {
    day: u64,
    failures: u32,
}

impl Suspects {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            known: Mutex::default(),
        }
    }

    /// A transaction of this payer was paid for and moved nothing.
    pub(super) fn note(&self, payer: SvmAddress) {
        let day = self.today();
        let mut known = self.lock();
        if !known.by_payer.contains_key(&payer) {
            if known.in_order.len() >= SUSPECTS_MAX
                && let Some(oldest) = known.in_order.pop_front()
            {
                known.by_payer.remove(&oldest);
            }
            known.in_order.push_back(payer);
        }
        let record = known.by_payer.entry(payer).or_default();
        if record.day != day {
            *record = Record { day, failures: 0 };
        }
        record.failures = record.failures.saturating_add(1);
        tracing::warn!(%payer, failures = record.failures, "a transaction of this payer moved nothing");
    }

    /// What to say to a payer who has wasted enough today.
    pub(super) fn refusal(&self, payer: SvmAddress) -> Option<Refusal> {
        let record = self.lock().by_payer.get(&payer).copied()?;
        let is_over = record.day == self.today() && record.failures >= FAILURES_PER_DAY;
        is_over.then(|| {
            ours(&format!(
                "{} transactions of {payer} have failed today, and fees are paid for {FAILURES_PER_DAY} only; try again tomorrow",
                record.failures
            ))
        })
    }

    fn today(&self) -> u64 {
        self.clock.now_s() / DAY_S
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "suspects_tests.rs"]
mod tests;
