//! What the node remembers of payments: of its own, from before they are sent; of its customers', from when they settled.
//! Kept in the node's storage, so that they share its fate. Written by `payments.rs` and `events.rs`.

use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::hash::{PaymentHash, Preimage};
use crate::invoices::Settlement;
use crate::payments::{FailReason, PayState};
use crate::store::Store;

/// Our own payments, by hash.
const SENT: (&str, &str) = ("farebox", "sent");
/// Received payments, by hash.
const SETTLED: (&str, &str) = ("farebox", "settled");
/// Received payments, by the order in which they settled.
const LOG: (&str, &str) = ("farebox", "settled_log");
/// Newest entries of the log that are kept. Followers that are further behind must ask by hash.
pub(crate) const LOG_KEPT: u64 = 100_000;

/// One of our own payments.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Msat, without the fee.
    pub(crate) amount_msat: u64,
    /// Where it stands.
    pub(crate) state: SentState,
}

/// Where one of our own payments stands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub(crate) enum SentState {
    /// It may have left.
    Sending,
    /// It is done.
    Succeeded {
        /// Hexadecimal.
        preimage: String,
        fee_msat: u64,
    },
    /// No part of it can settle any more.
    Failed {
        reason: FailReason,
        /// Whether it ever left this node.
        left: bool,
    },
}

impl Sent {
    /// The same for callers.
    pub(crate) fn to_state(&self) -> PayState {
        match &self.state {
            SentState::Sending => PayState::InFlight,
            SentState::Succeeded { preimage, fee_msat } => match bytes(preimage) {
                Some(preimage) => PayState::Succeeded {
                    preimage: Preimage::new(preimage),
                    fee_msat: *fee_msat,
                    amount_msat: self.amount_msat,
                },
                // Written by us as 64 digits: a storage that lost them cannot take the success back.
                None => PayState::InFlight,
            },
            SentState::Failed { reason, .. } => PayState::Failed { reason: *reason },
        }
    }
}

/// A payment that was received.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Settled {
    pub(crate) index: u64,
    pub(crate) amount_msat: u64,
    pub(crate) at_unix_s: u64,
    /// Hexadecimal. Not known of an invoice from before a restart.
    pub(crate) preimage: Option<String>,
}

/// The 32 bytes of 64 hexadecimal digits.
pub(crate) fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The records of one node.
pub(crate) struct Records {
    store: Arc<Store>,
    /// The index of the newest settlement; held while one is written.
    newest: Mutex<u64>,
}

impl Records {
    /// Opens them. Intents that no channel has heard of are dropped: what they announce never left.
    pub(crate) fn open(store: Arc<Store>) -> Result<Self, Error> {
        let names = store.names(LOG)?;
        let newest = names.iter().filter_map(|name| name.parse().ok()).max();
        let records = Self {
            store,
            newest: Mutex::new(newest.unwrap_or_default()),
        };
        for name in records.store.names(SENT)? {
            let Ok(hash) = name.parse() else { continue };
            let open = records
                .sent(hash)?
                .is_some_and(|sent| sent.state == SentState::Sending);
            if open && !records.store.mentions(hash)? {
                tracing::info!(payment_hash = %hash, "an intended payment never left this node");
                records.store.delete(SENT, &name)?;
            }
        }
        Ok(records)
    }

    /// One of our own payments.
    pub(crate) fn sent(&self, hash: PaymentHash) -> Result<Option<Sent>, Error> {
        self.read(SENT, &hash.to_string())
    }

    /// Writes one of our own payments.
    pub(crate) fn put_sent(&self, hash: PaymentHash, sent: &Sent) -> Result<(), Error> {
        self.write(SENT, &hash.to_string(), sent)
    }

    /// A received payment.
    pub(crate) fn settled(&self, hash: PaymentHash) -> Result<Option<Settled>, Error> {
        self.read(SETTLED, &hash.to_string())
    }

    /// The index of the newest received payment; 0 if there is none.
    pub(crate) fn newest(&self) -> u64 {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a received payment, once: `None` if it is known.
    pub(crate) fn settle(
        &self,
        hash: PaymentHash,
        amount_msat: u64,
        at_unix_s: u64,
        preimage: Option<String>,
    ) -> Result<Option<Settlement>, Error> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        // An entry by hash without one in the log is one that a crash cut in two: it is written again, with its index.
        let known = self.settled(hash)?;
        let index = match &known {
            Some(settled) if settled.index.saturating_add(LOG_KEPT) <= *newest => return Ok(None),
            Some(settled) if self.logged(settled.index)?.is_some() => return Ok(None),
            Some(settled) => settled.index,
            None => newest.saturating_add(1),
        };
        let settled = Settled {
            index,
            amount_msat,
            at_unix_s,
            preimage,
        };
        self.write(SETTLED, &hash.to_string(), &settled)?;
        let entry = Settlement {
            index,
            payment_hash: hash,
            amount_msat,
            at_unix_s,
        };
        self.write(LOG, &index.to_string(), &entry)?;
        *newest = index.max(*newest);
        if let Some(old) = index.checked_sub(LOG_KEPT) {
            self.store.delete(LOG, &old.to_string())?;
        }
        Ok(Some(entry))
    }

    /// An entry of the log.
    pub(crate) fn logged(&self, index: u64) -> Result<Option<Settlement>, Error> {
        self.read(LOG, &index.to_string())
    }

    fn read<T: DeserializeOwned>(
        &self,
        space: (&str, &str),
        name: &str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.store.get(space, name)? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&value)
            .map_err(|error| Error::Storage(format!("{}/{name}: {error}", space.1)))?;
        Ok(Some(record))
    }

    fn write<T: Serialize>(&self, space: (&str, &str), name: &str, value: &T) -> Result<(), Error> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::Storage(error.to_string()))?;
        self.store.put(space, name, bytes)
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
