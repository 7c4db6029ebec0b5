//! The invoices that are open or lately were: in memory alone, because those who ask for them are anonymous.

use std::collections::{BTreeSet, HashMap};

use crate::hash::PaymentHash;

/// Open invoices at once. A seller's own limit is far lower; this one keeps a node that is asked directly from growing.
pub(crate) const MAX_OPEN: usize = 100_000;
/// An unpaid invoice is remembered for so long after it expired, so that its late asker hears "expired", not "unknown".
const UNPAID_KEPT_S: u64 = 600;
/// LDK takes payments for two hours after an invoice expired (block times may be that far off), and ldk-node refuses a
/// second payment of one hash while it has the row of the first.
const PAID_KEPT_S: u64 = 2 * 3600 + 600;

/// Where an invoice that nobody has paid stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Claimed by the node as soon as it is paid.
    Open,
    /// Held when it is paid, until it is claimed or cancelled.
    Hold,
    /// A payment has arrived and is held.
    Held,
    /// Payments of it are sent back.
    Canceled,
    /// Paid; kept so that it cannot be paid again.
    Paid,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// Msat: of the invoice, or what is held.
    pub(crate) amount_msat: u64,
    pub(crate) expires_at_unix_s: u64,
    pub(crate) stage: Stage,
    due: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct OpenInvoices {
    by_hash: HashMap<PaymentHash, Open>,
    /// By the second in which they are forgotten.
    due: BTreeSet<(u64, PaymentHash)>,
}

impl OpenInvoices {
    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub(crate) fn get(&self, hash: PaymentHash) -> Option<Open> {
        self.by_hash.get(&hash).copied()
    }

    /// Adds one.
    pub(crate) fn insert(
        &mut self,
        hash: PaymentHash,
        amount_msat: u64,
        expires_at_unix_s: u64,
        stage: Stage,
    ) {
        let kept = match stage {
            Stage::Paid => PAID_KEPT_S,
            _ => UNPAID_KEPT_S,
        };
        self.remove(hash);
        let due = expires_at_unix_s.saturating_add(kept);
        self.due.insert((due, hash));
        self.by_hash.insert(
            hash,
            Open {
                amount_msat,
                expires_at_unix_s,
                stage,
                due,
            },
        );
    }

    /// Moves one on. `false` if it is not there.
    pub(crate) fn set(&mut self, hash: PaymentHash, stage: Stage, amount_msat: u64) -> bool {
        let Some(open) = self.get(hash) else {
            return false;
        };
        self.insert(hash, amount_msat, open.expires_at_unix_s, stage);
        true
    }

    pub(crate) fn remove(&mut self, hash: PaymentHash) -> Option<Open> {
        let open = self.by_hash.remove(&hash)?;
        self.due.remove(&(open.due, hash));
        Some(open)
    }

    /// Takes out what is to be forgotten by now, at most `most`. What is held stays: its payer's money is in it.
    pub(crate) fn take_due(&mut self, now_unix_s: u64, most: usize) -> Vec<PaymentHash> {
        let past = self.due.range(..(now_unix_s, PaymentHash([0; 32])));
        let hashes: Vec<PaymentHash> = past
            .map(|(_, hash)| *hash)
            .filter(|hash| self.get(*hash).is_none_or(|open| open.stage != Stage::Held))
            .take(most)
            .collect();
        for hash in &hashes {
            self.remove(*hash);
        }
        hashes
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
