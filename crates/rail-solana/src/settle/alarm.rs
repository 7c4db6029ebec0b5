//! Something that a person should look at: told in the log once when it begins and once when it
//! is over, and shown for as long as it lasts.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One kind of trouble.
#[derive(Default)]
pub(crate) struct Alarm {
    why: Mutex<Option<String>>,
}

impl Alarm {
    /// It is so, for this reason.
    pub(crate) fn raise(&self, why: String) {
        let mut now = self.lock();
        if now.is_none() {
            tracing::error!(why, "attention is needed");
        }
        *now = Some(why);
    }

    /// It is not, or no longer.
    pub(crate) fn clear(&self) {
        if let Some(why) = self.lock().take() {
            tracing::warn!(why, "over");
        }
    }

    /// The sentence, while it lasts.
    pub(crate) fn now(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
