//! The node's storage: memory or SQLite, as ldk-node and our records use it.
//!
//! An invoice that nobody has paid is never written: whoever asks a seller for one is anonymous, and must cost it nothing
//! that lasts. LDK recognises such an invoice without a row when it is paid. Invoices that hold are written: without its
//! row, ldk-node would send a payment back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ldk_node::io::sqlite_store::SqliteStore;
use ldk_node::lightning::io;
use ldk_node::lightning::util::async_poll::AsyncResult;
use ldk_node::lightning::util::persist::{KVStore, KVStoreSync};
use ldk_node::lightning::util::ser::Readable as _;
use ldk_node::payment::{PaymentDetails, PaymentDirection, PaymentKind, PaymentStatus};

use tokio::sync::watch;

use crate::error::Error;
use crate::hash::PaymentHash;

/// Where ldk-node keeps its rows of payments and invoices.
const PAYMENTS: &str = "payments";
/// Where LDK keeps channels: whole ones, changes to them, and those that are closed. Each holds the hashes of all payments
/// that the channel has ever been told of, as plain bytes.
const MONITORS: &str = "monitors";
const MONITOR_UPDATES: &str = "monitor_updates";
const ARCHIVED_MONITORS: &str = "archived_monitors";
/// Where LDK keeps what it is about to do, such as a payment that waits for its peer.
const MANAGER: &str = "manager";
/// What ldk-node writes at the end of every look at the chain, and of every look at fees.
const METRICS: &str = "node_metrics";
/// The database's file and table in the node's directory.
const DATABASE: &str = "node.sqlite";
const TABLE: &str = "node";

/// A storage in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    entries: Arc<Mutex<BTreeMap<Key, Vec<u8>>>>,
}

/// Primary namespace, secondary namespace, key.
type Key = (String, String, String);

fn key(primary: &str, secondary: &str, key: &str) -> Key {
    (primary.to_owned(), secondary.to_owned(), key.to_owned())
}

impl MemoryStore {
    /// How many entries it has: to show that something leaves none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was ever stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<u8>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KVStoreSync for MemoryStore {
    fn read(&self, primary: &str, secondary: &str, name: &str) -> Result<Vec<u8>, io::Error> {
        let entry = self.lock().get(&key(primary, secondary, name)).cloned();
        entry.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such key"))
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        value: Vec<u8>,
    ) -> Result<(), io::Error> {
        self.lock().insert(key(primary, secondary, name), value);
        Ok(())
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        _lazy: bool,
    ) -> Result<(), io::Error> {
        self.lock().remove(&key(primary, secondary, name));
        Ok(())
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        let entries = self.lock();
        let keys = entries
            .range(key(primary, secondary, "")..)
            .take_while(|((first, second, _), _)| first == primary && second == secondary);
        Ok(keys.map(|((_, _, name), _)| name.clone()).collect())
    }
}

/// One of the two.
enum Place {
    Memory(MemoryStore),
    Sqlite(SqliteStore),
}

/// The storage of a running node.
pub(crate) struct Store {
    place: Place,
    /// How often the metrics were written since this was opened.
    looks: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn memory(store: MemoryStore) -> Self {
        Self {
            place: Place::Memory(store),
            looks: watch::Sender::new(0),
        }
    }

    /// How often ldk-node has finished a look at the chain or at fees.
    pub(crate) fn looks(&self) -> watch::Receiver<u64> {
        self.looks.subscribe()
    }

    /// Opens or creates the database in a directory that is there.
    pub(crate) fn sqlite(dir: &Path) -> Result<Self, Error> {
        let opened = SqliteStore::new(
            dir.to_owned(),
            Some(DATABASE.to_owned()),
            Some(TABLE.to_owned()),
        );
        let store = opened.map_err(|error| Error::Directory {
            path: dir.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self {
            place: Place::Sqlite(store),
            looks: watch::Sender::new(0),
        })
    }

    fn sync(&self) -> &dyn KVStoreSync {
        match &self.place {
            Place::Memory(store) => store,
            Place::Sqlite(store) => store,
        }
    }

    /// Reads an entry of ours.
    pub(crate) fn get(&self, space: (&str, &str), name: &str) -> Result<Option<Vec<u8>>, Error> {
        match KVStoreSync::read(self, space.0, space.1, name) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Storage(error.to_string())),
        }
    }

    /// Writes an entry of ours; durable when it returns.
    pub(crate) fn put(&self, space: (&str, &str), name: &str, value: Vec<u8>) -> Result<(), Error> {
        KVStoreSync::write(self, space.0, space.1, name, value)
            .map_err(|error| Error::Storage(error.to_string()))
    }

    /// Removes an entry of ours, if it is there.
    pub(crate) fn delete(&self, space: (&str, &str), name: &str) -> Result<(), Error> {
        KVStoreSync::remove(self, space.0, space.1, name, false)
            .map_err(|error| Error::Storage(error.to_string()))
    }

    /// The names of our entries, in no order.
    pub(crate) fn names(&self, space: (&str, &str)) -> Result<Vec<String>, Error> {
        KVStoreSync::list(self, space.0, space.1).map_err(|error| Error::Storage(error.to_string()))
    }

    /// Whether LDK's own state mentions a payment hash: in a channel, open or closed, or among what it is about to do.
    ///
    /// LDK writes a channel's change before the message that it makes leaves for the peer. So where no byte of it knows the
    /// hash, no peer has ever heard of the payment. The converse does not hold: what is mentioned may be over.
    pub(crate) fn mentions(&self, hash: PaymentHash) -> Result<bool, Error> {
        let known = |space: (&str, &str), name: &str| -> Result<bool, Error> {
            let value = self.get(space, name)?.unwrap_or_default();
            Ok(value.windows(hash.0.len()).any(|window| window == hash.0))
        };
        if known(("", ""), MANAGER)? {
            return Ok(true);
        }
        for monitor in self.names((MONITORS, ""))? {
            if known((MONITORS, ""), &monitor)? {
                return Ok(true);
            }
            let updates = (MONITOR_UPDATES, monitor.as_str());
            for update in self.names(updates)? {
                if known(updates, &update)? {
                    return Ok(true);
                }
            }
        }
        for monitor in self.names((ARCHIVED_MONITORS, ""))? {
            if known((ARCHIVED_MONITORS, ""), &monitor)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether this is ldk-node's row of an invoice that nobody has paid, and that does not hold.
fn is_open_invoice(primary: &str, value: &[u8]) -> bool {
    primary == PAYMENTS
        && PaymentDetails::read(&mut io::Cursor::new(value)).is_ok_and(|row| {
            row.direction == PaymentDirection::Inbound
                && row.status == PaymentStatus::Pending
                && matches!(
                    row.kind,
                    PaymentKind::Bolt11 {
                        preimage: Some(_),
                        ..
                    }
                )
        })
}

impl KVStoreSync for Store {
    fn read(&self, primary: &str, secondary: &str, name: &str) -> Result<Vec<u8>, io::Error> {
        self.sync().read(primary, secondary, name)
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        value: Vec<u8>,
    ) -> Result<(), io::Error> {
        if is_open_invoice(primary, &value) {
            return Ok(());
        }
        self.sync().write(primary, secondary, name, value)?;
        if primary.is_empty() && name == METRICS {
            self.looks
                .send_modify(|looks| *looks = looks.saturating_add(1));
        }
        Ok(())
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        lazy: bool,
    ) -> Result<(), io::Error> {
        self.sync().remove(primary, secondary, name, lazy)
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        self.sync().list(primary, secondary)
    }
}

impl KVStore for Store {
    fn read(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
    ) -> AsyncResult<'static, Vec<u8>, io::Error> {
        match &self.place {
            Place::Memory(store) => ready(KVStoreSync::read(store, primary, secondary, name)),
            Place::Sqlite(store) => KVStore::read(store, primary, secondary, name),
        }
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        value: Vec<u8>,
    ) -> AsyncResult<'static, (), io::Error> {
        if is_open_invoice(primary, &value) {
            return ready(Ok(()));
        }
        match &self.place {
            Place::Memory(store) => {
                ready(KVStoreSync::write(store, primary, secondary, name, value))
            }
            Place::Sqlite(store) => KVStore::write(store, primary, secondary, name, value),
        }
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        lazy: bool,
    ) -> AsyncResult<'static, (), io::Error> {
        match &self.place {
            Place::Memory(store) => {
                ready(KVStoreSync::remove(store, primary, secondary, name, lazy))
            }
            Place::Sqlite(store) => KVStore::remove(store, primary, secondary, name, lazy),
        }
    }

    fn list(&self, primary: &str, secondary: &str) -> AsyncResult<'static, Vec<String>, io::Error> {
        match &self.place {
            Place::Memory(store) => ready(KVStoreSync::list(store, primary, secondary)),
            Place::Sqlite(store) => KVStore::list(store, primary, secondary),
        }
    }
}

fn ready<T: Send + 'static>(result: Result<T, io::Error>) -> AsyncResult<'static, T, io::Error> {
    Box::pin(std::future::ready(result))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
