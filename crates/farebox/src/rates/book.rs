//! What a source has said, and whether that can be used: fresh, in range, and no jump.
//!
//! Told by `feed.rs` what was read; asked by rails. A jump refuses at once. It is believed where the
//! source sticks to it for as long as a rate may be old: then it is the market that has moved, and
//! the range still holds.

use farebox_core::rates::{NoRate, Rate};
use farebox_wire::money::UsdMicros;

/// What bounds a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Milliseconds after which a rate is too old.
    pub(crate) max_age_ms: u64,
    /// By how much one reading may differ from the one before, in millionths of it.
    pub(crate) max_jump_ppm: u32,
    /// The least that is plausible.
    pub(crate) min: UsdMicros,
    /// The most.
    pub(crate) max: UsdMicros,
}

/// One pair.
#[derive(Debug)]
pub(crate) struct Book {
    pair: String,
    bounds: Bounds,
    /// What counts.
    accepted: Option<Rate>,
    /// What does not count yet: the last reading, and when the source first said about so much.
    suspect: Option<(UsdMicros, u64)>,
    /// A reading that was out of range, if it was the last.
    out_of_range: Option<UsdMicros>,
    /// Why the last reading failed, if it did.
    failed: Option<String>,
}

impl Book {
    pub(crate) const fn new(pair: String, bounds: Bounds) -> Self {
        Self {
            pair,
            bounds,
            accepted: None,
            suspect: None,
            out_of_range: None,
            failed: None,
        }
    }

    /// Takes a reading.
    pub(crate) fn take(&mut self, reading: Result<UsdMicros, String>, now_ms: u64) {
        let read = match reading {
            Ok(read) => read,
            Err(why) => {
                self.failed = Some(why);
                return;
            }
        };
        self.failed = None;
        if read < self.bounds.min || read > self.bounds.max {
            self.out_of_range = Some(read);
            return;
        }
        self.out_of_range = None;
        // After a pause any plausible rate is a beginning; while it jumps, none is.
        let known = match self.suspect {
            Some(_) => self.accepted,
            None => self.fresh(now_ms),
        };
        let known = known.map(Rate::per_unit);
        if known.is_none_or(|known| self.is_near(known, read)) {
            self.accepted = Rate::new(read, now_ms);
            self.suspect = None;
            return;
        }
        let since = match self.suspect {
            Some((before, since)) if self.is_near(before, read) => since,
            _ => now_ms,
        };
        self.suspect = Some((read, since));
        if now_ms.saturating_sub(since) >= self.bounds.max_age_ms {
            self.accepted = Rate::new(read, now_ms);
            self.suspect = None;
        }
    }

    /// The rate, if it can be used.
    pub(crate) fn rate(&self, now_ms: u64) -> Result<Rate, NoRate> {
        let pair = &self.pair;
        let no = |code, message| Err(NoRate { code, message });
        if let Some(read) = self.out_of_range {
            return no(
                "rate_out_of_range",
                format!(
                    "the source of {pair} says {read} USD, outside of {} to {}; look at the source, or correct min and max in [rates]",
                    self.bounds.min, self.bounds.max
                ),
            );
        }
        if let (Some((read, _)), Some(known)) = (self.suspect, self.accepted) {
            return no(
                "rate_jumped",
                format!(
                    "the source of {pair} jumped from {} to {read} USD; it is believed if it stays there, or raise max_jump in [rates]",
                    known.per_unit()
                ),
            );
        }
        match (self.fresh(now_ms), self.accepted, &self.failed) {
            (Some(rate), _, _) => Ok(rate),
            (None, Some(_), why) => no(
                "rate_stale",
                format!(
                    "the rate of {pair} is older than {} s ({}); check its url in [rates]",
                    self.bounds.max_age_ms / 1_000,
                    why.as_deref().unwrap_or("no new one was read")
                ),
            ),
            (None, None, Some(why)) => no(
                "rate_missing",
                format!(
                    "the rate of {pair} cannot be read: {why}; check its url and pointer in [rates]"
                ),
            ),
            (None, None, None) => no(
                "rate_missing",
                format!("the rate of {pair} has not been read yet; try again"),
            ),
        }
    }

    fn fresh(&self, now_ms: u64) -> Option<Rate> {
        self.accepted
            .filter(|rate| now_ms.saturating_sub(rate.as_of_ms) <= self.bounds.max_age_ms)
    }

    /// Whether two readings are of one market.
    fn is_near(&self, before: UsdMicros, read: UsdMicros) -> bool {
        let difference = before.0.abs_diff(read.0);
        let allowed = before.0.checked_mul(self.bounds.max_jump_ppm.into());
        allowed.is_some_and(|allowed| difference <= allowed / 1_000_000)
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
