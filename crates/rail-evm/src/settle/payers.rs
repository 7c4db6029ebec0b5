//! What settling knows about payers without asking a chain.
//!
//! Filled by `verify`; read before a payment may share a transaction. An answer may be out of
//! date, so nothing but the choice of the way may rest on it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use farebox_wire::evm::EvmAddress;

/// Payers that are remembered: about a megabyte. Whoever is forgotten pays alone until the next
/// verification.
const PAYERS_MAX: usize = 10_000;

/// What is known of the payers of one chain.
#[derive(Default)]
pub(crate) struct Payers {
    has_code: Mutex<HashMap<EvmAddress, bool>>,
}

impl Payers {
    /// The chain has just said so.
    pub(crate) fn seen(&self, payer: EvmAddress, has_code: bool) {
        let mut known = self.lock();
        if known.len() >= PAYERS_MAX && !known.contains_key(&payer) {
            known.clear();
        }
        known.insert(payer, has_code);
    }

    /// Whether there is code at the payer's address, as the last verification saw it; `None`
    /// where nobody has looked lately.
    #[expect(dead_code, reason = "for payments that share a transaction")]
    pub(crate) fn has_code(&self, payer: EvmAddress) -> Option<bool> {
        self.lock().get(&payer).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EvmAddress, bool>> {
        self.has_code.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
