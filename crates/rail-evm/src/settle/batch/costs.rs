//! What a payment costs in gas, by token: from a safe guess at first, then from receipts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use farebox_wire::evm::EvmAddress;

use super::GAS_MAX;

/// The settler's own work, the transaction's, and a token that nobody has touched yet.
const GAS_BASE: u64 = 60_000;
/// Gas for one payment in company: measured 42,000 with a plain token; behind a proxy with lists of
/// blocked accounts some 20,000 more.
const GAS_PER_PAYMENT: u64 = 70_000;
/// The most that one call may use, so that a payer whose account got code since it was looked at
/// cannot burn its neighbours' gas.
const GAS_EACH: u64 = 100_000;
/// Room over what was seen, in hundredths: a payee who had nothing yet costs 17,000 more.
const ROOM_PERCENT: u64 = 150;

/// What was seen, one entry per listed token.
#[derive(Default)]
pub(in crate::settle) struct Costs {
    seen: Mutex<HashMap<EvmAddress, u64>>,
}

/// Gas to plan with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gas {
    /// The limit of one call.
    pub(super) each: u64,
    per_payment: u64,
    /// Whether it has been seen; else the chain is asked before the first is sent.
    pub(super) is_seen: bool,
}

impl Costs {
    pub(super) fn of(&self, token: EvmAddress) -> Gas {
        let seen = self.lock().get(&token).copied();
        let with_room = seen.unwrap_or_default().saturating_mul(ROOM_PERCENT) / 100;
        Gas {
            each: GAS_EACH.max(with_room),
            per_payment: GAS_PER_PAYMENT.max(with_room),
            is_seen: seen.is_some(),
        }
    }

    /// A transaction with so many payments, all made, has used this much.
    pub(in crate::settle) fn seen(&self, token: EvmAddress, payments: usize, gas_used: u128) {
        let Ok(payments) = u128::try_from(payments.max(1)) else {
            return;
        };
        let work = gas_used.saturating_sub(GAS_BASE.into());
        let each = u64::try_from(work / payments)
            .unwrap_or(u64::MAX)
            .min(GAS_MAX);
        let mut seen = self.lock();
        let known = seen.entry(token).or_default();
        // Falls slowly, rises at once.
        *known = each.max(*known - *known / 16);
    }

    /// What one payment has come to lately, for people.
    pub(in crate::settle) fn typical(&self) -> u64 {
        let seen = self.lock();
        seen.values().copied().max().unwrap_or(GAS_PER_PAYMENT)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EvmAddress, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gas {
    /// The limit of a transaction: every call but the last is expected to cost what was seen, and
    /// the last must be given its full share, of which a sixty-fourth stays behind (EIP-150).
    pub(super) fn limit(&self, payments: usize) -> u64 {
        let payments = u64::try_from(payments).unwrap_or(u64::MAX);
        let share = self.each.saturating_add(self.each / 63);
        payments
            .saturating_mul(self.per_payment)
            .saturating_add(share)
            .saturating_add(GAS_BASE)
    }

    /// Payments that fit into one transaction; at least one.
    pub(super) fn payments_max(&self) -> usize {
        let room = GAS_MAX.saturating_sub(self.limit(0));
        usize::try_from(room / self.per_payment.max(1))
            .unwrap_or(1)
            .clamp(1, super::PAYMENTS_MAX)
    }
}

#[cfg(test)]
#[path = "costs_tests.rs"]
mod tests;
