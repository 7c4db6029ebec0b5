//! How much may be spent on the chain's fees in a day: reserved before anything is signed, given
//! back where nothing came into a block (ARCHITECTURE law 10). A fee is known to the lamport before
//! it is paid.
//!
//! Days end at midnight UTC. The book is kept in memory: a restart begins with an empty one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::clock::Clock;
use farebox_wire::svm::SvmAddress;

use super::alarm::Alarm;
use crate::options::FeeLimits;

/// Seconds of a day (UTC).
pub(super) const DAY_S: u64 = 86_400;
/// Payers, and payees, that are counted in one day: a few megabytes. Beyond it no new one is
/// paid for, because nobody could tell what was spent for it.
const PARTIES_MAX: usize = 100_000;

/// Whose payment it is, to whom, and who pays the fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) payer: SvmAddress,
    /// The token account that is paid.
    pub(super) payee: SvmAddress,
    pub(super) fee_payer: SvmAddress,
}

/// The book of one chain.
pub(crate) struct FeeBook {
    limits: FeeLimits,
    clock: Arc<dyn Clock>,
    day: Mutex<Day>,
    /// That the limit of the day is reached.
    pub(super) alarm: Alarm,
}

#[derive(Default)]
struct Day {
    number: u64,
    total: u64,
    payers: HashMap<SvmAddress, u64>,
    payees: HashMap<SvmAddress, u64>,
    fee_payers: HashMap<SvmAddress, u64>,
}

/// What is reserved for one transaction. Dropped, it is given back, unless [`Hold::keep`] was
/// called.
pub(super) struct Hold {
    book: Arc<FeeBook>,
    day: u64,
    party: Party,
    lamports: u64,
    is_kept: bool,
}

impl FeeBook {
    pub(super) fn new(limits: FeeLimits, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            clock,
            day: Mutex::default(),
            alarm: Alarm::default(),
        })
    }

    /// Reserves a transaction's fee, or says which limit it would pass.
    pub(super) fn reserve(self: &Arc<Self>, party: Party, lamports: u64) -> Result<Hold, String> {
        let mut day = self.today();
        let over = |spent: u64, limit: Option<u64>| {
            limit.is_some_and(|limit| spent.saturating_add(lamports) > limit)
        };
        let of = |map: &HashMap<SvmAddress, u64>, key: &SvmAddress| {
            map.get(key).copied().unwrap_or_default()
        };
        if over(day.total, self.limits.per_day_lamports) {
            let why = "today's limit for the chain's fees is reached; wait until midnight UTC, or raise it";
            self.alarm.raise(why.to_owned());
            return Err(why.to_owned());
        }
        if over(
            of(&day.payers, &party.payer),
            self.limits.per_payer_day_lamports,
        ) {
            return Err(format!(
                "today's limit for fees of the payer {} is reached; wait until midnight UTC, or raise it",
                party.payer
            ));
        }
        if over(
            of(&day.payees, &party.payee),
            self.limits.per_payee_day_lamports,
        ) {
            return Err(format!(
                "today's limit for fees of the payee {} is reached; wait until midnight UTC, or raise it",
                party.payee
            ));
        }
        let is_full = |map: &HashMap<SvmAddress, u64>, key| {
            map.len() >= PARTIES_MAX && !map.contains_key(key)
        };
        if is_full(&day.payers, &party.payer) || is_full(&day.payees, &party.payee) {
            return Err(
                "too many payers or payees today to count their fees; wait until midnight UTC"
                    .into(),
            );
        }
        self.alarm.clear();
        self.change(&mut day, party, |spent| spent.saturating_add(lamports));
        Ok(Hold {
            book: Arc::clone(self),
            day: day.number,
            party,
            lamports,
            is_kept: false,
        })
    }

    /// What a fee payer's transactions of today cost, those on their way included.
    pub(super) fn spent_today(&self, fee_payer: SvmAddress) -> u64 {
        let day = self.today();
        day.fee_payers.get(&fee_payer).copied().unwrap_or_default()
    }

    fn change(&self, day: &mut Day, party: Party, change: impl Fn(u64) -> u64) {
        let of = |spent: &mut u64| *spent = change(*spent);
        of(&mut day.total);
        of(day.fee_payers.entry(party.fee_payer).or_default());
        // Only what is limited is counted one by one.
        if self.limits.per_payer_day_lamports.is_some() {
            of(day.payers.entry(party.payer).or_default());
        }
        if self.limits.per_payee_day_lamports.is_some() {
            of(day.payees.entry(party.payee).or_default());
        }
    }

    /// The book of today; yesterday's is closed.
    fn today(&self) -> MutexGuard<'_, Day> {
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.clock.now_s() / DAY_S;
        if day.number != number {
            *day = Day {
                number,
                ..Day::default()
            };
        }
        day
    }
}

impl Hold {
    /// The transaction has been paid for, or may be.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let mut day = self.book.today();
        // What was reserved yesterday is not in today's book.
        if day.number == self.day {
            let lamports = self.lamports;
            self.book
                .change(&mut day, self.party, |spent| spent.saturating_sub(lamports));
        }
    }
}

#[cfg(test)]
#[path = "fees_tests.rs"]
mod tests;
