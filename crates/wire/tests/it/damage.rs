//! Breaks what strangers send, in the same way on every machine.
//!
//! Used here, and by the tests of damage of other crates, which include this file by its path.

/// SplitMix64: small, even, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound.max(1)).expect("it fits"))
            .expect("it fits")
    }
}

/// Pieces that parsers trip over.
const PIECES: [&[u8]; 16] = [
    b"null",
    b"\"\"",
    b"0",
    b"-1",
    b"1e999",
    b"340282366920938463463374607431768211456",
    b"[",
    b"{",
    b"}",
    b"\"",
    b"\\u0000",
    b"\xff",
    b"\xe2\x98\x95",
    b":",
    b" ",
    b"=",
];

/// A copy of `text` that is broken in a few places.
pub(crate) fn damage(dice: &mut Dice, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(text.len());
        let end = (at + dice.below(8)).min(text.len());
        match dice.below(5) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..end)),
            2 => {
                let copy = text[at..end].to_vec();
                text.splice(at..at, copy);
            }
            3 => drop(text.splice(at..end, PIECES[dice.below(PIECES.len())].iter().copied())),
            _ => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    text
}
