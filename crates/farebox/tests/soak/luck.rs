//! Chance that can be repeated: SplitMix64.

use std::time::Duration;

/// A stream of numbers from a seed.
pub(crate) struct Luck(u64);

impl Luck {
    /// The stream of one part of a run.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        Self(seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    /// A number below this; zero below one.
    pub(crate) fn index(&mut self, below: usize) -> usize {
        let below = u64::try_from(below.max(1)).expect("a small number");
        usize::try_from(self.next() % below).expect("below a small number")
    }

    /// So many bytes, as hex digits.
    pub(crate) fn hex(&mut self, bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < 2 * bytes {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(2 * bytes);
        text
    }

    /// A time below this.
    pub(crate) fn below(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).expect("seconds at most");
        Duration::from_micros(self.next() % most)
    }
}
