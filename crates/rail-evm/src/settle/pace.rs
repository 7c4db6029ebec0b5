//! How often the watcher asks for the newest block. Called by the watcher alone; it must never
//! let a slow chain be asked in haste.

use std::time::{Duration, Instant};

/// The shortest pause between two questions for the newest block.
const PAUSE_MIN: Duration = Duration::from_millis(4);
/// The longest pause with a node on this machine, and the first one with any.
const PAUSE_MAX_LOCAL: Duration = Duration::from_millis(100);
/// After something was sent, the first pause; each further one is twice as long, up to the usual
/// one. Nodes that mine at once may take a moment for it.
const PAUSE_AFTER_SENDING: Duration = Duration::from_millis(4);
/// The longest pause with a remote node.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Questions per block, once its time is known.
const QUESTIONS_PER_BLOCK: u32 = 8;
/// The longest pause while the node fails.
const PAUSE_FAILING_MAX: Duration = Duration::from_secs(5);

/// How often to ask: a fraction of the block time, as it was seen.
pub(super) struct Pace {
    pause: Duration,
    pause_max: Duration,
    last_block: Option<Instant>,
    /// The next pause, where something was sent just now.
    haste: Option<Duration>,
}

impl Pace {
    pub(super) const fn new(is_local: bool) -> Self {
        Self {
            pause: PAUSE_MAX_LOCAL,
            pause_max: if is_local { PAUSE_MAX_LOCAL } else { PAUSE_MAX },
            last_block: None,
            haste: None,
        }
    }

    /// Something was sent. On a chain whose blocks come seconds apart it is in none yet.
    pub(super) fn sent(&mut self) {
        let is_quick = self.pause <= PAUSE_MAX_LOCAL;
        self.haste = is_quick.then_some(PAUSE_AFTER_SENDING);
    }

    /// How long to wait before the next look.
    pub(super) fn next(&mut self) -> Duration {
        let Some(haste) = self.haste.filter(|haste| *haste < self.pause) else {
            self.haste = None;
            return self.pause;
        };
        self.haste = Some(haste * 2);
        haste
    }

    /// Nothing was waited for meanwhile, so the time since the last block means nothing.
    pub(super) const fn rested(&mut self) {
        self.last_block = None;
    }

    pub(super) fn looked(&mut self, has_changed: bool) {
        if has_changed && let Some(before) = self.last_block.replace(Instant::now()) {
            let fraction = before.elapsed() / QUESTIONS_PER_BLOCK;
            // Half old, half new: one early block does not set the pace.
            self.pause = (self.pause + fraction) / 2;
        }
        self.pause = self.pause.clamp(PAUSE_MIN, self.pause_max);
    }

    pub(super) fn failed(&mut self) {
        self.last_block = None;
        self.pause = (self.pause * 2).min(PAUSE_FAILING_MAX);
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
