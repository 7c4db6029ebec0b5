//! What the chain said of payers within the last block, so that `verify` need not ask again.
//!
//! Owned by a [`Chain`](crate::network::Chain); asked by `verify`, told by the settle engine and by
//! `check` what became of payments. It must never say that a payer has more than the chain says,
//! less what this process has settled since. Only money that a stranger moves may be noticed late,
//! by one block at most. It answers from memory with a yes only: every no is the chain's own.
//!
//! The ledger's mark is read before `verify` and counts what was settled up to then, so whatever
//! the ledger counts must be off the balance here first:
//!
//! | what happens | an entry | a fetch that is under way |
//! |---|---|---|
//! | we settle a payment | its value is taken off, before the outcome is told | its value is taken off the answer, which may come from before |
//! | a settlement of ours fails or reverts | dropped: the payer's state is not what we thought | its answer is no longer believed; who waits for it asks again |
//! | `check` finds a payment settled, by whomever | dropped, before the finding is told | as above |
//! | the process crashes | gone: memory only | gone |
//! | the node does not answer, or with nonsense | stays until it expires | nothing is kept; who waits is told to try again |
//! | two fetches of one payer cross | the one that began later stands | each answer is taken as above |
//! | a stranger spends | expires with the block | as the node saw it |
//! | a stranger pays in, a reorg gives back | too low until it expires; a no is asked again | as the node saw it |

#[allow(dead_code, reason = "`verify` is put on it next")]
mod book;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farebox_wire::evm::EvmAddress;
use farebox_wire::money::Amount;
use farebox_wire::x402::exact_evm::Eip3009Authorization;
use tokio::time::Instant;

use self::book::{Book, Key, Seen};

/// What counts as one block until the chain has told: the usual time between blocks is longer.
const BLOCK_TIME_UNKNOWN: Duration = Duration::from_millis(500);

/// The payers of one chain. See the module.
#[derive(Default)]
pub(crate) struct Payers {
    book: Mutex<Book>,
}

impl Payers {
    /// Whether a contract or a delegation was at the payer's address when he was last looked at;
    /// `None` where he is not known. It may be out of date, so nothing but the choice of the way
    /// to settle may rest on it.
    #[allow(dead_code, reason = "for the settle engine")]
    pub(crate) fn has_code(&self, token: EvmAddress, from: EvmAddress) -> Option<bool> {
        self.book().has_code(&Key { token, from })
    }

    /// The chain has just said so.
    pub(crate) fn seen(&self, token: EvmAddress, from: EvmAddress, has_code: bool) {
        let now = Instant::now();
        let seen = Seen {
            has_code,
            balance: Amount::default(),
        };
        let mut book = self.book();
        let fetch = book.begin(Key { token, from }, now);
        book.end(fetch, Some(seen), now);
    }

    /// A payment of ours has moved the money. Call it before the outcome is told to anybody.
    #[allow(dead_code, reason = "for the settle engine")]
    pub(crate) fn settled(&self, token: EvmAddress, transfer: &Eip3009Authorization) {
        let from = transfer.from;
        self.book()
            .settled(Key { token, from }, transfer.value, transfer.nonce);
    }

    /// A settlement of this payer failed, reverted, or was somebody else's: what is known of him
    /// is in doubt. Call it before the outcome is told to anybody.
    pub(crate) fn failed(&self, token: EvmAddress, from: EvmAddress) {
        self.book().forget(Key { token, from });
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change is complete before anything can panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
