//! Chain time: the wall clock plus what tests added. Owned by `world`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use solana_hash::Hash;
use solana_message::VersionedMessage;

/// Chain time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Time {
    offset_s: i64,
}

impl Time {
    /// Seconds since 1970.
    pub(crate) fn now_s(self) -> i64 {
        let now_s = i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX);
        now_s.saturating_add(self.offset_s)
    }

    /// Moves time forward for good.
    pub(crate) fn increase(&mut self, seconds: u64) {
        self.offset_s = self.offset_s.saturating_add_unsigned(seconds);
    }

    /// A first blockhash that no other run has, so that no transaction of another run is valid here.
    pub(crate) fn salt(self) -> Hash {
        let mut contents = since_1970().as_nanos().to_le_bytes().to_vec();
        contents.extend(std::process::id().to_le_bytes());
        VersionedMessage::hash_raw_message(&contents)
    }
}

fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
