//! What a receipt says, told in one place (ARCHITECTURE law 3).
//!
//! Called by the buyer with a `PAYMENT-RESPONSE` and by a gate with a facilitator's answer. A
//! verdict is the peer's word: what really happened is for the rail to find out.

use crate::x402::reason::Reason;
use crate::x402::types::SettleResponse;

/// What the peer says became of the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It moved.
    Settled {
        /// Hash of the settling transaction, where the peer names one.
        transaction: Option<&'a str>,
    },
    /// It is on its way: sent, and not decided. Never a reason to pay again.
    Pending {
        /// Hash of the transaction to watch.
        transaction: &'a str,
    },
    /// It was refused. The credential is still spendable (law 3).
    Refused {
        /// Machine code, where the peer gives one.
        reason: Option<&'a str>,
        /// Hash of a transaction that failed, where the peer names one.
        transaction: Option<&'a str>,
    },
}

impl SettleResponse {
    /// What this receipt says.
    #[must_use]
    pub fn verdict(&self) -> Verdict<'_> {
        let transaction = filled(&self.transaction);
        let reason = self.error_reason.as_deref().and_then(filled);
        match (self.success, transaction) {
            (true, transaction) => Verdict::Settled { transaction },
            (false, Some(transaction)) if reason.is_some_and(is_pending) => {
                Verdict::Pending { transaction }
            }
            (false, transaction) => Verdict::Refused {
                reason,
                transaction,
            },
        }
    }
}

/// Facilitators append details to some codes, as in `code: detail`.
fn is_pending(reason: &str) -> bool {
    let code = reason.split(':').next().unwrap_or_default();
    code == Reason::SettlementPending.code()
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
