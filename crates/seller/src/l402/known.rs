//! Tokens whose signature held a moment ago, by the digest of the whole line that showed them.
//!
//! Asked by `redeem` before a line of `Authorization` is read. What is remembered is only what no
//! clock, route or counter can change: that this key has signed the token and that the preimage is
//! the one of its payment. Everything else is asked again for each request. Its bytes are bounded,
//! and lines are not kept, so that whoever reads this memory has tokens without their preimages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::token::Proven;

/// Bytes on each of two shelves, about: together some thousands of tokens.
const SHELF_BYTES_MAX: usize = 1024 * 1024;

/// The SHA-256 of a line.
pub(crate) type LineDigest = [u8; 32];

/// See the module.
#[derive(Default)]
pub(crate) struct Known(Mutex<Shelves>);

/// What is found on the old one moves to the new; when that is full, the old one is emptied.
#[derive(Default)]
struct Shelves {
    new: HashMap<LineDigest, Arc<Proven>>,
    new_bytes: usize,
    old: HashMap<LineDigest, Arc<Proven>>,
}

impl Known {
    /// The token of a line that was seen before.
    pub(crate) fn find(&self, line: &LineDigest) -> Option<Arc<Proven>> {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = shelves.new.get(line) {
            return Some(Arc::clone(found));
        }
        let found = shelves.old.remove(line)?;
        shelves.put(*line, &found);
        Some(found)
    }

    /// This line has shown this token.
    pub(crate) fn keep(&self, line: LineDigest, proven: &Arc<Proven>) {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelves.put(line, proven);
    }
}

impl Shelves {
    fn put(&mut self, line: LineDigest, proven: &Arc<Proven>) {
        let bytes = proven.bytes();
        if self.new_bytes.saturating_add(bytes) > SHELF_BYTES_MAX {
            self.old = std::mem::take(&mut self.new);
            self.new_bytes = 0;
        }
        if self.new.insert(line, Arc::clone(proven)).is_none() {
            self.new_bytes = self.new_bytes.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
