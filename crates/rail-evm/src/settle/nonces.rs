//! Transaction nonces of one signer, handed out here so that many settlements can be in flight at
//! once without asking the chain between them.
//!
//! A nonce whose transaction never left comes back when its lease is dropped: to the top where it
//! was the highest, else as a gap, which the next payment or a filler takes, because everything
//! above a gap waits. One allocator per signer and chain; two would hand out the same nonce twice.
//!
//! A nonce below all leases that is neither mined nor leased is an orphan: an earlier process, or a
//! count that was too high, has left it. What may wait there is unknown, so only a filler takes it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long nothing must have been in flight before a lower count than ours is believed: nodes
/// behind one address may be a few blocks apart.
const QUIET: Duration = Duration::from_secs(2);

/// Orphans that are looked after at a time: each costs a transfer of nothing, and a node that told
/// a count far too high must not have us pay for all of them at once.
const ORPHANS_MAX: usize = 64;

/// The allocator.
#[derive(Default)]
pub(crate) struct Nonces {
    state: Mutex<State>,
    gap: Notify,
}

#[derive(Default)]
struct State {
    /// The next fresh nonce; unknown before the chain has been asked.
    next: Option<u64>,
    /// Given back below `next`.
    gaps: BTreeSet<u64>,
    /// Left by somebody below every lease; never in `gaps`.
    orphans: BTreeSet<u64>,
    leased: BTreeSet<u64>,
    /// Leases ever given, to tell whether an observation is older than a lease.
    leases: u64,
    last_return: Option<Instant>,
}

/// When the chain was asked, for [`Nonces::observe`].
#[derive(Clone, Copy)]
pub(crate) struct Epoch(u64);

/// The right to use one nonce. Dropped unused, it gives the nonce back.
pub(crate) struct Lease {
    nonces: Arc<Nonces>,
    nonce: u64,
    is_orphan: bool,
    is_used: bool,
}

impl Nonces {
    /// To be taken before the chain is asked for the count that [`Nonces::observe`] gets.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.lock().leases)
    }

    /// Takes note of the chain's count of transactions, waiting ones included.
    pub(crate) fn observe(&self, count: u64, asked: Epoch) {
        let mut state = self.lock();
        let is_quiet = state.leased.is_empty()
            && state.leases == asked.0
            && state.last_return.is_none_or(|at| at.elapsed() >= QUIET);
        match state.next {
            // Somebody else has used the key, or waiting transactions of ours were dropped.
            Some(next) if count < next && !is_quiet => {}
            Some(next) if count == next => {}
            _ => {
                state.next = Some(count);
                state.gaps.retain(|nonce| *nonce >= count);
                let State {
                    next,
                    gaps,
                    orphans,
                    ..
                } = &mut *state;
                let is_below = |nonce: &u64| next.is_some_and(|next| *nonce < next);
                gaps.retain(is_below);
                orphans.retain(is_below);
            }
        }
    }

    /// The chain says that `nonce` is taken, though not by us.
    pub(crate) fn skip_to(&self, above: u64, count: u64) {
        let mut state = self.lock();
        let least = above.saturating_add(1).max(count);
        if state.next.is_none_or(|next| next < least) {
            state.next = Some(least);
        }
        state.gaps.retain(|nonce| *nonce >= least);
    }

    /// The lowest nonce that a lease holds.
    pub(crate) fn lowest(&self) -> Option<u64> {
        self.lock().leased.first().copied()
    }

    /// Has the filler use up what lies between `mined`, the chain's count of transactions in
    /// blocks, and `lowest`, the lowest lease when that was asked for. A count that is too low
    /// does no harm: the filler is told that the nonce is used.
    pub(crate) fn adopt_orphans(&self, mined: u64, lowest: u64) -> usize {
        let mut state = self.lock();
        let end = state
            .leased
            .first()
            .map_or(lowest, |first| lowest.min(*first));
        let room = ORPHANS_MAX.saturating_sub(state.orphans.len());
        let State { gaps, orphans, .. } = &mut *state;
        let adopted: Vec<u64> = (mined..end)
            .filter(|nonce| !gaps.contains(nonce) && !orphans.contains(nonce))
            .take(room)
            .collect();
        orphans.extend(&adopted);
        if !orphans.is_empty() {
            self.gap.notify_one();
        }
        adopted.len()
    }

    /// The lowest nonce that is free; `None` before the chain has been observed.
    pub(crate) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let mut state = self.lock();
        let next = state.next?;
        let nonce = state.gaps.pop_first().unwrap_or(next);
        if nonce == next {
            state.next = Some(next.checked_add(1)?);
        }
        Some(self.leased(&mut state, nonce, false))
    }

    /// The lowest gap or orphan, if there is one and something above it waits.
    pub(crate) fn lease_gap(self: &Arc<Self>) -> Option<Lease> {
        let mut state = self.lock();
        let (gap, orphan) = (state.gaps.first(), state.orphans.first());
        let is_orphan = orphan.is_some_and(|orphan| gap.is_none_or(|gap| orphan < gap));
        let nonce = match is_orphan {
            true => state.orphans.pop_first()?,
            false => state.gaps.pop_first()?,
        };
        Some(self.leased(&mut state, nonce, is_orphan))
    }

    /// Leases that are out.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().leased.len()
    }

    /// Resolves when a gap has come up.
    pub(crate) async fn gap_appeared(&self) {
        self.gap.notified().await;
    }

    fn leased(self: &Arc<Self>, state: &mut State, nonce: u64, is_orphan: bool) -> Lease {
        state.leased.insert(nonce);
        state.leases = state.leases.wrapping_add(1);
        Lease {
            nonces: Arc::clone(self),
            nonce,
            is_orphan,
            is_used: false,
        }
    }

    fn give_back(&self, nonce: u64, is_orphan: bool) {
        let mut state = self.lock();
        let Some(mut next) = state.next else { return };
        if nonce >= next {
            return;
        }
        if is_orphan {
            state.orphans.insert(nonce);
            return self.gap.notify_one();
        }
        state.gaps.insert(nonce);
        // Gaps at the top are no gaps: nothing waits for them.
        while let Some(below) = next.checked_sub(1) {
            if !state.gaps.remove(&below) {
                break;
            }
            next = below;
        }
        state.next = Some(next);
        if !state.gaps.is_empty() {
            self.gap.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(crate) const fn nonce(&self) -> u64 {
        self.nonce
    }

    pub(crate) const fn is_used(&self) -> bool {
        self.is_used
    }

    /// A transaction with this nonce may have left, or the chain says that it is taken.
    pub(crate) const fn mark_used(&mut self) {
        self.is_used = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        {
            let mut state = self.nonces.lock();
            state.leased.remove(&self.nonce);
            state.last_return = Some(Instant::now());
        }
        if !self.is_used {
            self.nonces.give_back(self.nonce, self.is_orphan);
        }
    }
}

#[cfg(test)]
#[path = "nonces_tests.rs"]
mod tests;
