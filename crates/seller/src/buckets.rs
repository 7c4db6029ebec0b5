//! Token buckets over what strangers can make us do in vain: failed signatures, payers that turn
//! out unfunded, simulations (law 8).
//!
//! The gate keys them by the client's prefix, a facilitator by its access token. Whoever serves a
//! request asks [`Buckets::may`] before the work and says [`Buckets::charge`] after it turned out
//! to be in vain. A valid payment is never charged, so a good client never meets a limit.
//!
//! | what comes | what happens |
//! |---|---|
//! | a burst in parallel that passes `may` before the first `charge` | all of it is charged, up to a debt of [`DEBT_MAX_S`], and waits for that long |
//! | more keys than [`KEYS_MAX`] | keys without debt are forgotten; while there are none, newcomers share one bucket |
//! | a clock that goes back | debts that cannot be are forgiven |
//! | a crash | everything is forgotten: a limit on work is no record of money |

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many clients are told apart: some megabytes of memory, and more than trouble a seller at
/// one time.
pub const KEYS_MAX: usize = 65_536;
/// The longest that a key waits, in seconds: as long as a person tries again.
pub const DEBT_MAX_S: u64 = 60;
/// What may come at once, as seconds of the rate: a limit "per second" counts seconds.
const BURST_US: u64 = SECOND_US;
/// How often the keys without debt are looked for, at most: the look goes through all.
const SWEEP_EVERY_US: u64 = SECOND_US;
const SECOND_US: u64 = 1_000_000;
const DEBT_MAX_US: u64 = DEBT_MAX_S * SECOND_US;

/// How much of each is free, per key and second. Zero lets nothing through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketLimits {
    /// Signatures that turn out not to be the payer's.
    pub bad_signatures_per_s: u32,
    /// Payers that are looked up and turn out unfunded.
    pub first_sight_per_s: u32,
    /// Signatures that only a simulation on the chain can judge.
    pub simulations_per_s: u32,
}

impl Default for BucketLimits {
    fn default() -> Self {
        Self {
            bad_signatures_per_s: 50,
            first_sight_per_s: 5,
            simulations_per_s: 1,
        }
    }
}

/// What is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cost {
    /// `examine` refused the signature.
    BadSignature,
    /// `verify` refused for want of balance.
    FirstSight,
    /// Only `verify` can tell whether the signature is good: charged before it is asked.
    Simulation,
}

/// Seconds after which a client may try again; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfterS(pub u64);

/// One bucket of each kind per key.
pub struct Buckets<K> {
    limits: BucketLimits,
    table: Mutex<Table<K>>,
}

struct Table<K> {
    keys: HashMap<K, Debts>,
    /// Of the newcomers that have no place.
    crowd: Debts,
    swept_at_us: u64,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Empty.
    #[must_use]
    pub fn new(limits: BucketLimits) -> Self {
        Self {
            limits,
            table: Mutex::new(Table {
                keys: HashMap::new(),
                crowd: Debts::default(),
                swept_at_us: 0,
            }),
        }
    }

    /// Whether `key` may cause work of this kind now. Changes nothing.
    ///
    /// # Errors
    /// When it may try again.
    pub fn may(&self, key: &K, cost: Cost, now_ms: u64) -> Result<(), RetryAfterS> {
        let now_us = micros(now_ms);
        let table = self.lock();
        let debts = match table.keys.get(key) {
            Some(debts) => debts,
            None if table.keys.len() < KEYS_MAX => &Debts::default(),
            None => &table.crowd,
        };
        let price_us = self.limits.price_us(cost);
        let after_us = debts.owed_us(cost, now_us).saturating_add(price_us);
        match after_us.checked_sub(BURST_US) {
            None | Some(0) => Ok(()),
            Some(over_us) => Err(RetryAfterS(over_us.div_ceil(SECOND_US).min(DEBT_MAX_S))),
        }
    }

    /// It was in vain.
    pub fn charge(&self, key: &K, cost: Cost, now_ms: u64) {
        let now_us = micros(now_ms);
        let price_us = self.limits.price_us(cost);
        let mut table = self.lock();
        table.debts(key, now_us).charge(cost, price_us, now_us);
    }

    fn lock(&self) -> MutexGuard<'_, Table<K>> {
        // The table is whole after every statement, so a panic elsewhere cannot have broken it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BucketLimits {
    /// What one costs, as time until it is free again.
    fn price_us(&self, cost: Cost) -> u64 {
        let per_s = match cost {
            Cost::BadSignature => self.bad_signatures_per_s,
            Cost::FirstSight => self.first_sight_per_s,
            Cost::Simulation => self.simulations_per_s,
        };
        // Rounded up, so that no rate is ever exceeded; zero never becomes free.
        match per_s {
            0 => u64::MAX,
            per_s => SECOND_US.div_ceil(u64::from(per_s)),
        }
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    /// The debts of `key`, or of the crowd where there is no place for it.
    fn debts(&mut self, key: &K, now_us: u64) -> &mut Debts {
        let is_known = self.keys.contains_key(key);
        if !is_known && self.keys.len() >= KEYS_MAX {
            self.sweep(now_us);
        }
        if !is_known && self.keys.len() >= KEYS_MAX {
            return &mut self.crowd;
        }
        self.keys.entry(key.clone()).or_default()
    }

    fn sweep(&mut self, now_us: u64) {
        let is_early =
            now_us >= self.swept_at_us && now_us.saturating_sub(self.swept_at_us) < SWEEP_EVERY_US;
        if is_early {
            return;
        }
        self.swept_at_us = now_us;
        self.keys.retain(|_, debts| debts.any(now_us));
    }
}

/// When each bucket of a key is full again.
#[derive(Clone, Copy, Default)]
struct Debts {
    bad_signatures_us: u64,
    first_sight_us: u64,
    simulations_us: u64,
}

impl Debts {
    fn full_at_us(&mut self, cost: Cost) -> &mut u64 {
        match cost {
            Cost::BadSignature => &mut self.bad_signatures_us,
            Cost::FirstSight => &mut self.first_sight_us,
            Cost::Simulation => &mut self.simulations_us,
        }
    }

    fn owed_us(mut self, cost: Cost, now_us: u64) -> u64 {
        let owed_us = self.full_at_us(cost).saturating_sub(now_us);
        // More than was ever written down: the clock went back.
        if owed_us > DEBT_MAX_US { 0 } else { owed_us }
    }

    fn any(self, now_us: u64) -> bool {
        [Cost::BadSignature, Cost::FirstSight, Cost::Simulation]
            .iter()
            .any(|cost| self.owed_us(*cost, now_us) > 0)
    }

    fn charge(&mut self, cost: Cost, price_us: u64, now_us: u64) {
        let owed_us = self.owed_us(cost, now_us).saturating_add(price_us);
        *self.full_at_us(cost) = now_us.saturating_add(owed_us.min(DEBT_MAX_US));
    }
}

fn micros(ms: u64) -> u64 {
    ms.saturating_mul(1_000)
}

#[cfg(test)]
#[path = "buckets_tests.rs"]
mod tests;
