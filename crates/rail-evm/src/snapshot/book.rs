//! The book of payers: entries, fetches under way, nonces seen used. No I/O and no clock.
//!
//! Called by [`Payers`](super::Payers) under its lock. The table of the module above is kept here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::money::Amount;
use tokio::time::Instant;

/// Payers in the book. One takes about 250 bytes with its place in the map, so 2.5 MB at most.
const PAYERS_MAX: usize = 10_000;
/// How many are let go at once where the book is full, so that looking for them stays rare.
const PAYERS_CUT: usize = PAYERS_MAX / 8;
/// Authorizations that are remembered as used: about 24 bytes each.
const USED_MAX: usize = 16_384;

/// One payer of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) token: EvmAddress,
    pub(super) from: EvmAddress,
}

/// What a node says of a payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether a contract or a delegation is at his address.
    pub(crate) has_code: bool,
    /// Atomic units of the token.
    pub(crate) balance: Amount,
}

/// A fetch that is under way. Give it back to [`Book::end`], whatever came of it.
#[must_use]
#[derive(Debug)]
pub(super) struct Fetch {
    key: Key,
    nonce: Word,
    why: Why,
    began: Instant,
    settled: u128,
    doubts: u64,
}

/// Why a payer is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A buyer asks.
    Asked,
    /// He is in use.
    Refresh,
}

/// See the module.
pub(super) struct Book {
    entries: HashMap<Key, Entry>,
    /// Payers with fetches under way.
    watched: HashMap<Key, Watch>,
    used: Used,
    valid_for: Duration,
}

struct Entry {
    seen: Seen,
    /// When the fetch of it began: nothing before is unknown to it.
    as_of: Instant,
    /// When a buyer last used it.
    asked: Instant,
    /// The authorization that he used it for.
    nonce: Word,
}

/// What has happened to a payer while fetches of him were under way.
#[derive(Default)]
struct Watch {
    fetches: usize,
    /// Settled since the first of the fetches began.
    settled: u128,
    /// How often he was forgotten since then.
    doubts: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            watched: HashMap::new(),
            used: Used::default(),
            valid_for: super::refresh::BLOCK_TIME_UNKNOWN,
        }
    }
}

impl Book {
    /// How long an entry is valid: one block.
    pub(super) const fn valid_for(&self) -> Duration {
        self.valid_for
    }

    pub(super) const fn set_valid_for(&mut self, block_time: Duration) {
        self.valid_for = block_time;
    }

    pub(super) fn has_code(&self, key: &Key) -> Option<bool> {
        self.entries.get(key).map(|entry| entry.seen.has_code)
    }

    /// Whether the payer had this much when he was last looked at, less what was settled since.
    pub(super) fn has(&self, key: &Key, value: Amount) -> bool {
        let entry = self.entries.get(key);
        entry.is_some_and(|entry| entry.seen.balance >= value)
    }

    /// What is known of a payer, for an authorization of his that is not known to be used.
    pub(super) fn ask(&mut self, key: &Key, nonce: Word, now: Instant) -> Option<Seen> {
        if self.used.may_have(key, nonce) {
            return None;
        }
        let valid_for = self.valid_for;
        let entry = self.entries.get_mut(key)?;
        if !entry.is_fresh(now, valid_for) {
            return None;
        }
        entry.asked = now;
        entry.nonce = nonce;
        Some(entry.seen)
    }

    /// A fetch begins, now, before the node is asked.
    pub(super) fn begin(&mut self, key: Key, nonce: Word, why: Why, now: Instant) -> Fetch {
        let watch = self.watched.entry(key).or_default();
        watch.fetches = watch.fetches.saturating_add(1);
        Fetch {
            key,
            nonce,
            why,
            began: now,
            settled: watch.settled,
            doubts: watch.doubts,
        }
    }

    /// A fetch has ended, with what the node said. Gives it as it holds now, or nothing where it
    /// cannot be believed any more.
    pub(super) fn end(&mut self, fetch: Fetch, seen: Option<Seen>, now: Instant) -> Option<Seen> {
        let watch = self.watched.get_mut(&fetch.key)?;
        let gone = watch.settled.saturating_sub(fetch.settled);
        let is_doubtful = watch.doubts != fetch.doubts;
        watch.fetches = watch.fetches.saturating_sub(1);
        if watch.fetches == 0 {
            self.watched.remove(&fetch.key);
        }
        let mut seen = seen.filter(|_| !is_doubtful)?;
        seen.balance = less(seen.balance, Amount::from_atomic(gone));
        self.put(&fetch, seen, now);
        Some(seen)
    }

    /// The node says that an authorization of the payer is used.
    pub(super) fn used(&mut self, fetch: &Fetch) {
        self.used.add(&fetch.key, fetch.nonce);
    }

    /// The payers whom buyers have asked for since `since`, each with the authorization that was
    /// asked about last.
    pub(super) fn in_use(&self, since: Instant) -> Vec<(Key, Word)> {
        let entries = self.entries.iter();
        entries
            .filter(|(_, entry)| entry.asked >= since)
            .map(|(key, entry)| (*key, entry.nonce))
            .collect()
    }

    /// A payment of ours has moved the money.
    pub(super) fn settled(&mut self, key: Key, value: Amount, nonce: Word) {
        self.used.add(&key, nonce);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.seen.balance = less(entry.seen.balance, value);
        }
        if let Some(watch) = self.watched.get_mut(&key) {
            match watch.settled.checked_add(value.atomic()) {
                Some(settled) => watch.settled = settled,
                None => watch.doubts = watch.doubts.saturating_add(1),
            }
        }
    }

    /// Nothing that is known of the payer, or being asked, can be believed.
    pub(super) fn forget(&mut self, key: Key) {
        self.entries.remove(&key);
        if let Some(watch) = self.watched.get_mut(&key) {
            watch.doubts = watch.doubts.saturating_add(1);
        }
    }

    fn put(&mut self, fetch: &Fetch, seen: Seen, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&fetch.key) {
            // Of two fetches that cross, the one that began later knows more.
            if entry.as_of <= fetch.began {
                entry.seen = seen;
                entry.as_of = fetch.began;
            }
            if fetch.why == Why::Asked {
                entry.asked = now;
                entry.nonce = fetch.nonce;
            }
        } else if fetch.why == Why::Asked {
            if self.entries.len() >= PAYERS_MAX {
                self.make_room();
            }
            let entry = Entry {
                seen,
                as_of: fetch.began,
                asked: now,
                nonce: fetch.nonce,
            };
            self.entries.insert(fetch.key, entry);
        }
    }

    /// Lets those go that were not used for longest.
    fn make_room(&mut self) {
        let mut by_use: Vec<(Instant, Key)> =
            self.entries.iter().map(|(k, e)| (e.asked, *k)).collect();
        by_use.sort_unstable();
        for (_, key) in by_use.into_iter().take(PAYERS_CUT) {
            self.entries.remove(&key);
        }
    }
}

impl Entry {
    fn is_fresh(&self, now: Instant, valid_for: Duration) -> bool {
        now.saturating_duration_since(self.as_of) < valid_for
    }
}

fn less(balance: Amount, gone: Amount) -> Amount {
    balance.checked_sub(gone).unwrap_or_default()
}

/// Authorizations that were seen used, the last so many. Kept as keyed fingerprints: one that is
/// taken for another costs a question to the chain, no more.
#[derive(Default)]
struct Used {
    key: RandomState,
    set: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Used {
    fn may_have(&self, key: &Key, nonce: Word) -> bool {
        self.set.contains(&self.fingerprint(key, nonce))
    }

    fn add(&mut self, key: &Key, nonce: Word) {
        let fingerprint = self.fingerprint(key, nonce);
        if !self.set.insert(fingerprint) {
            return;
        }
        self.order.push_back(fingerprint);
        if self.order.len() > USED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }

    fn fingerprint(&self, key: &Key, nonce: Word) -> u64 {
        self.key.hash_one((key, nonce.0))
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
