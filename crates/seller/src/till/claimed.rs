//! Which identities may have been claimed, so that the first sight of one costs no look into the
//! ledger (ARCHITECTURE law 8).
//!
//! Filled by [`Till::recover`](super::Till::recover) with what the ledger has, and by
//! [`Till::claim`](super::Till::claim) before the claim is written. It may say "maybe" at any
//! time, and then the ledger is asked. It must never say "no" of an identity that is claimed and
//! whose credential may still be served.
//!
//! | what happens | what is said |
//! |---|---|
//! | before `recover` has ended, or where it failed | maybe, of everything |
//! | a claim is refused, or its caller goes away | maybe, though it may not be written |
//! | too many are claimed at once | maybe, of everything, until those that found no room are over |
//! | the process crashes | the next one asks the ledger again |
//! | two identities share a fingerprint | maybe, of both |

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use farebox_wire::identity::Identity;

/// Claims that are remembered: two minutes of two thousand a second, in some 10 MB.
pub(super) const CLAIMS_MAX: usize = 250_000;
/// How long after the end of its credential a claim is remembered: requests that began before end
/// before that. Should a clock jump back further, the claim itself still finds the first one.
pub(super) const MARGIN_S: u64 = 60;

/// See the module.
#[derive(Default)]
pub(super) struct Claims {
    key: RandomState,
    known: Mutex<Known>,
}

/// Fingerprints with the end of their credentials, in Unix seconds.
#[derive(Default)]
struct Known {
    ends: HashMap<u64, u64>,
    /// Whether what the ledger had at the start is in it.
    is_loaded: bool,
    /// The latest end of a claim that found no room.
    without_room_s: Option<u64>,
    /// When room was last looked for.
    cleared_s: u64,
}

impl Claims {
    /// A claim is about to be written.
    pub(super) fn add(&self, identity: &Identity, valid_before_s: u64, now_s: u64) {
        let fingerprint = self.key.hash_one(identity);
        self.known().add(fingerprint, valid_before_s, now_s);
    }

    /// Everything that the ledger had is in it, but for what is known to be missing.
    pub(super) fn loaded(&self) {
        self.known().is_loaded = true;
    }

    /// Whether the identity may have been claimed.
    pub(super) fn may_have(&self, identity: &Identity, now_s: u64) -> bool {
        let fingerprint = self.key.hash_one(identity);
        let known = self.known();
        !known.is_loaded
            || known.without_room_s.is_some_and(|end| !is_over(end, now_s))
            || known.ends.contains_key(&fingerprint)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is complete before anything can panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, fingerprint: u64, end_s: u64, now_s: u64) {
        if let Some(end) = self.ends.get_mut(&fingerprint) {
            *end = end_s.max(*end);
            return;
        }
        // Looking through all of them is rare: once a second at most, and only where it is full.
        if self.ends.len() >= CLAIMS_MAX && self.cleared_s != now_s {
            self.cleared_s = now_s;
            self.ends.retain(|_, end| !is_over(*end, now_s));
        }
        if self.ends.len() < CLAIMS_MAX {
            self.ends.insert(fingerprint, end_s);
        } else {
            self.without_room_s = self.without_room_s.max(Some(end_s));
        }
    }
}

const fn is_over(end_s: u64, now_s: u64) -> bool {
    end_s.saturating_add(MARGIN_S) < now_s
}

#[cfg(test)]
#[path = "claimed_tests.rs"]
mod tests;
