//! How much gas money may be spent in a day: reserved at its worst before anything is signed, and
//! replaced by what the receipt says (ARCHITECTURE law 10).
//!
//! Days end at midnight UTC. The book is kept in memory: a restart begins with an empty one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::clock::Clock;
use farebox_wire::evm::EvmAddress;

use super::alarm::Alarm;
use crate::options::GasLimits;

/// Seconds of a day (UTC).
pub(super) const DAY_S: u64 = 86_400;
/// Payers, and payees, that are counted in one day: a few megabytes. Beyond it no new one is
/// paid for, because nobody could tell what was spent for it.
const PARTIES_MAX: usize = 100_000;

/// Whose payment it is, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) payer: EvmAddress,
    pub(super) payee: EvmAddress,
}

/// The book of one chain.
pub(crate) struct GasBook {
    limits: GasLimits,
    clock: Arc<dyn Clock>,
    day: Mutex<Day>,
    /// That the limit of the day is reached.
    pub(super) alarm: Alarm,
}

#[derive(Default)]
struct Day {
    number: u64,
    total: u128,
    payers: HashMap<EvmAddress, u128>,
    payees: HashMap<EvmAddress, u128>,
}

/// What is reserved for one transaction. Dropped, it is given back; [`Hold::spend`] makes it real.
pub(super) struct Hold {
    book: Arc<GasBook>,
    day: u64,
    /// What is held for each; less for those whose payments a dearer version left out.
    parties: Vec<(Party, u128)>,
}

impl GasBook {
    pub(super) fn new(limits: GasLimits, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            clock,
            day: Mutex::default(),
            alarm: Alarm::default(),
        })
    }

    /// Reserves `each` wei for every party that stays within the limits; the others are answered
    /// with the limit that they would pass.
    pub(super) fn reserve(
        self: &Arc<Self>,
        parties: &[Party],
        each: u128,
    ) -> (Hold, Vec<Result<(), String>>) {
        let mut day = self.today();
        let mut admitted = Vec::with_capacity(parties.len());
        let mut answers = Vec::with_capacity(parties.len());
        for party in parties {
            let answer = self.admit(&mut day, *party, each);
            if answer.is_ok() {
                admitted.push((*party, each));
            }
            answers.push(answer);
        }
        let hold = Hold {
            book: Arc::clone(self),
            day: day.number,
            parties: admitted,
        };
        (hold, answers)
    }

    fn admit(&self, day: &mut Day, party: Party, more: u128) -> Result<(), String> {
        let over = |spent: u128, limit: Option<u128>| {
            limit.is_some_and(|limit| spent.saturating_add(more) > limit)
        };
        let of = |map: &HashMap<EvmAddress, u128>, key: &EvmAddress| {
            map.get(key).copied().unwrap_or_default()
        };
        if over(day.total, self.limits.per_day_wei) {
            let why = "today's limit for gas is reached; wait until midnight UTC, or raise max_gas_per_day";
            self.alarm.raise(why.to_owned());
            return Err(why.to_owned());
        }
        let payer = of(&day.payers, &party.payer);
        if over(payer, self.limits.per_payer_day_wei) {
            return Err(format!(
                "today's limit for gas of the payer {} is reached; wait until midnight UTC, or raise max_gas_per_day_payer",
                party.payer
            ));
        }
        let payee = of(&day.payees, &party.payee);
        if over(payee, self.limits.per_payee_day_wei) {
            return Err(format!(
                "today's limit for gas of the payee {} is reached; wait until midnight UTC, or raise max_gas_per_day_payee",
                party.payee
            ));
        }
        let is_full = |map: &HashMap<EvmAddress, u128>, key| {
            map.len() >= PARTIES_MAX && !map.contains_key(key)
        };
        if is_full(&day.payers, &party.payer) || is_full(&day.payees, &party.payee) {
            return Err(
                "too many payers or payees today to count their gas; wait until midnight UTC"
                    .into(),
            );
        }
        self.alarm.clear();
        self.charge(day, party, more);
        Ok(())
    }

    fn charge(&self, day: &mut Day, party: Party, wei: u128) {
        day.total = day.total.saturating_add(wei);
        // Only what is limited is counted one by one.
        if self.limits.per_payer_day_wei.is_some() {
            let spent = day.payers.entry(party.payer).or_default();
            *spent = spent.saturating_add(wei);
        }
        if self.limits.per_payee_day_wei.is_some() {
            let spent = day.payees.entry(party.payee).or_default();
            *spent = spent.saturating_add(wei);
        }
    }

    fn discharge(&self, day: &mut Day, party: Party, wei: u128) {
        day.total = day.total.saturating_sub(wei);
        if let Some(spent) = day.payers.get_mut(&party.payer) {
            *spent = spent.saturating_sub(wei);
        }
        if let Some(spent) = day.payees.get_mut(&party.payee) {
            *spent = spent.saturating_sub(wei);
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
    /// Reserves up to `each` for those whose payments go on, because the transaction is to pay a
    /// higher fee. The others keep what is held: an older version may still be mined. All of it
    /// counts as today's from now on.
    pub(super) fn raise(&mut self, going_on: &[Party], each: u128) -> Result<(), String> {
        let book = Arc::clone(&self.book);
        let mut day = book.today();
        let is_todays = day.number == self.day;
        let mut going_on = going_on.to_vec();
        let mut raised = Vec::with_capacity(self.parties.len());
        for (party, held) in &self.parties {
            let at = going_on.iter().position(|other| other == party);
            let wanted = match at {
                Some(at) => {
                    going_on.swap_remove(at);
                    each.max(*held)
                }
                None => *held,
            };
            raised.push((*party, wanted, if is_todays { *held } else { 0 }));
        }
        for (done, (party, wanted, held)) in raised.iter().enumerate() {
            let answer = match wanted.saturating_sub(*held) {
                0 => Ok(()),
                more => book.admit(&mut day, *party, more),
            };
            if let Err(why) = answer {
                for (party, wanted, held) in raised.iter().take(done) {
                    book.discharge(&mut day, *party, wanted.saturating_sub(*held));
                }
                return Err(why);
            }
        }
        self.day = day.number;
        self.parties = raised
            .into_iter()
            .map(|(p, wanted, _)| (p, wanted))
            .collect();
        Ok(())
    }

    /// The transaction has cost this much.
    pub(super) fn spend(mut self, cost_wei: u128) {
        self.give_back();
        let parties = std::mem::take(&mut self.parties);
        let mut day = self.book.today();
        if parties.is_empty() {
            day.total = day.total.saturating_add(cost_wei);
            return;
        }
        let count = u128::try_from(parties.len()).unwrap_or(u128::MAX);
        let each = cost_wei.div_ceil(count);
        for (party, _) in parties {
            self.book.charge(&mut day, party, each);
        }
    }

    fn give_back(&self) {
        let mut day = self.book.today();
        // What was reserved yesterday is not in today's book.
        if day.number == self.day {
            for (party, held) in &self.parties {
                self.book.discharge(&mut day, *party, *held);
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
#[path = "gas_tests.rs"]
mod tests;
