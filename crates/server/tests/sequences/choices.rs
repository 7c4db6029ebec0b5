//! Choices that can be repeated: from a seed, or from the bytes of a fuzzer.

/// Where choices come from.
pub(crate) enum Choices<'a> {
    /// SplitMix64.
    #[allow(dead_code, reason = "for the test runs")]
    Seed(u64),
    /// A fuzzer's bytes; when they are used up, every choice is the first one.
    #[allow(dead_code, reason = "for the fuzz target")]
    Bytes(&'a [u8]),
}

impl Choices<'_> {
    /// A number below this, which is not zero.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        let next = match self {
            Self::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
            Self::Bytes(bytes) => {
                let taken = if most > 256 { 2 } else { 1 };
                let (now, rest) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
                *bytes = rest;
                now.iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
            }
        };
        usize::try_from(next % u64::try_from(most).expect("small")).expect("below a small number")
    }

    /// One of these.
    pub(crate) fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}
