//! Who verified which credential: some facilitators settle only what they have verified before.
//!
//! In memory and bounded. Forgetting costs a second look of a facilitator, never money.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use farebox_wire::identity::Identity;

/// Credentials between verification and settlement at one time; far more than any gate serves.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Verified(Mutex<Table>);

#[derive(Default)]
struct Table {
    by: HashMap<Identity, usize>,
    order: VecDeque<Identity>,
}

impl Verified {
    /// Notes that the facilitator at this place said yes.
    pub(crate) fn note(&self, identity: &Identity, place: usize) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.by.insert(identity.clone(), place).is_none() {
            table.order.push_back(identity.clone());
        }
        while table.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = table.order.pop_front() {
                table.by.remove(&oldest);
            }
        }
    }

    /// Who said yes.
    pub(crate) fn by(&self, identity: &Identity) -> Option<usize> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.by.get(identity).copied()
    }
}
