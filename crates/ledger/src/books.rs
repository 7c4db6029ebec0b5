//! The file as its one writing thread of this process sees it, with what that thread remembers.
//!
//! | when | what is remembered is true because |
//! |---|---|
//! | inside a transaction | nobody else can write between `BEGIN IMMEDIATE` and its end |
//! | between two | it is not used; `PRAGMA data_version`, read after the next `BEGIN IMMEDIATE`, changes when another connection has committed, and then all of it is thrown away |
//! | after a failure | all of it is thrown away |
//!
//! Rows of payments, entries and postings are written at once. Balances of accounts are written
//! before the end of the transaction: until then, on this connection, they are read here alone.
//! Readers have connections of their own, and see transactions that have ended.

use farebox_core::ledger::{LedgerError, Payment, PaymentId};
use rusqlite::{CachedStatement, Connection};

use crate::cache::{Account, Cache, Slot};
use crate::row::{self, Stored};
use crate::schema::execute;
use crate::{blob, error, postings};

/// The writing connection. Lives in [`crate::writer`]'s thread.
pub(crate) struct Books {
    connection: Connection,
    cache: Cache,
    /// What `PRAGMA data_version` said in the last transaction.
    version: Option<i64>,
    /// Whether the job that runs has written something that only the end of the transaction, or
    /// of a [`Books::guarded`] work, can take back.
    has_written: bool,
}

impl Books {
    /// Over a connection that may write, outside of a transaction.
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            cache: Cache::default(),
            version: None,
            has_written: false,
        }
    }

    /// For what changes nothing, and does not ask for balances.
    pub(crate) const fn file(&self) -> &Connection {
        &self.connection
    }

    /// Starts a transaction, which nobody else can then write to.
    pub(crate) fn begin(&mut self) -> Result<(), LedgerError> {
        // Left open where a rollback has failed: nothing of it was kept, nothing may be.
        if !self.connection.is_autocommit() {
            execute(&self.connection, "ROLLBACK")?;
        }
        execute(&self.connection, "BEGIN IMMEDIATE")?;
        let version = self
            .connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(error::store)?;
        if self.version.replace(version) != Some(version) {
            self.cache.clear();
        }
        self.cache.trim();
        Ok(())
    }

    /// Ends the transaction; what it has written is on disk then.
    pub(crate) fn commit(&mut self) -> Result<(), LedgerError> {
        self.write_balances()?;
        execute(&self.connection, "COMMIT")
    }

    /// After any failure of the transaction: nothing of it is kept, nor remembered.
    pub(crate) fn roll_back(&mut self) -> Result<(), LedgerError> {
        self.cache.clear();
        if self.connection.is_autocommit() {
            return Ok(());
        }
        execute(&self.connection, "ROLLBACK")
    }

    /// Whether the transaction is gone: a full or failing disk makes SQLite roll back by itself.
    pub(crate) fn has_lost_transaction(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// The next job begins, or the next part of one whose parts fail each by itself.
    pub(crate) const fn begin_job(&mut self) {
        self.has_written = false;
    }

    /// Whether the job has left something in the transaction.
    pub(crate) const fn has_written(&self) -> bool {
        self.has_written
    }

    /// Runs one statement that writes, once unless the job has written before. Where it fails the
    /// first time it has written nothing; what the job wrote before is then everybody's loss, so
    /// decide first and write after.
    pub(crate) fn write<T>(
        &mut self,
        sql: &str,
        run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let done = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| run(&mut statement))
            .map_err(error::store)?;
        self.has_written |= self.connection.changes() > 0;
        Ok(done)
    }

    /// For work that may fail after it has written: then what it wrote is taken back alone.
    pub(crate) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        // So that nothing is lost with what the work leaves in the cache.
        self.write_balances()?;
        execute(&self.connection, "SAVEPOINT work")?;
        let result = work(self);
        if self.has_lost_transaction() {
            return result;
        }
        // Where one of these fails, so does the transaction: nobody knows what it holds then.
        self.has_written = true;
        if result.is_err() {
            execute(&self.connection, "ROLLBACK TO work")?;
            self.cache.clear();
        }
        execute(&self.connection, "RELEASE work")?;
        self.has_written = result.is_ok();
        result
    }

    /// Takes a payment, which must exist, to change it; put it back with [`Books::keep`] when the
    /// change is written.
    pub(crate) fn take(&mut self, id: &PaymentId) -> Result<Stored, LedgerError> {
        match self.cache.take(id) {
            Some(stored) => Ok(stored),
            None => row::by_id(&self.connection, id),
        }
    }

    /// Remembers a payment as it was just written.
    pub(crate) fn keep(&mut self, stored: Stored) {
        self.cache.keep(stored);
    }

    /// The same, with a copy for whoever asked.
    pub(crate) fn keep_and_copy(&mut self, stored: Stored) -> Payment {
        self.cache.keep_and_copy(stored)
    }

    /// Payments were changed by other ways than [`Books::take`].
    pub(crate) fn forget_payments(&mut self) {
        self.cache.forget_payments();
    }

    /// An account's place in the memory of this transaction, and what it is.
    pub(crate) fn account(
        &mut self,
        name: &str,
        asset: &str,
    ) -> Result<(Slot, Account), LedgerError> {
        let slot = match self.cache.slot(name, asset) {
            Some(slot) => slot,
            None => {
                let found = postings::find(&self.connection, name, asset)?;
                self.cache.add(name, asset, found)
            }
        };
        let account = self.cache.account(slot).ok_or_else(|| {
            LedgerError::Store("an account was forgotten within a transaction".to_owned())
        })?;
        Ok((slot, account))
    }

    /// A posting was written to an account.
    pub(crate) fn posted(&mut self, slot: Slot, id: i64, balance: i128) {
        self.cache.post(slot, id, balance);
    }

    /// See [`Cache::account`].
    pub(crate) fn id_at(&self, slot: Slot) -> Option<i64> {
        self.cache.account(slot)?.id
    }

    fn write_balances(&mut self) -> Result<(), LedgerError> {
        let connection = &self.connection;
        let mut update = connection
            .prepare_cached("UPDATE accounts SET balance = ?2 WHERE id = ?1")
            .map_err(error::store)?;
        for (id, balance) in self.cache.unwritten() {
            let written = update.execute((id, blob::signed(balance)));
            written.map_err(error::store)?;
        }
        self.cache.all_written();
        Ok(())
    }
}
