//! The file: how it is made, opened and brought forward. Called by [`crate::store`] alone.
//!
//! It never opens a file of a newer version, and never one that is not a ledger.

use std::fs::OpenOptions;
use std::path::Path;
use std::thread;
use std::time::Duration;

use farebox_core::ledger::LedgerError;
use rusqlite::{Connection, DatabaseName, OpenFlags};

use crate::error;

/// "Fare" in ASCII: tells our files from other SQLite databases.
const APPLICATION_ID: i64 = 0x4661_7265;
/// What brings a file from version n to n + 1; the last is the newest that we know.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
];
/// Between two looks at a lock that another process holds. A commit takes about as long.
const BUSY_STEP: Duration = Duration::from_millis(1);
/// After so many looks, about 30 s, another process is stuck rather than busy.
const BUSY_STEPS_MAX: i32 = 28_000;
/// Every statement that we have stays prepared.
const STATEMENTS_MAX: usize = 64;

/// Opens the file for writing; makes it (readable by its owner alone) or brings it forward.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, LedgerError> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    refuse_strangers(&connection, path)?;
    patiently(|| use_wal(&connection, path))?;
    // FULL: a commit that returned survives a power cut. secure_delete: credentials that are
    // erased are overwritten. The pages that every payment touches (accounts, the ends of the
    // indexes) stay in 4 MiB of memory, and are copied back from a log of 16 MiB once, not often.
    // foreign_keys: this connection refers only to rows that it has read or written in the same
    // transaction, and a look at each of them costs a tenth of its time; the full check finds any
    // that does not exist.
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = OFF;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -4096;
             PRAGMA wal_autocheckpoint = 4096;
             PRAGMA secure_delete = ON;
             PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(error::store)?;
    migrate(&connection, path)?;
    Ok(connection)
}

/// Runs a statement without arguments and keeps it prepared.
pub(crate) fn execute(connection: &Connection, sql: &str) -> Result<(), LedgerError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(|_| ())
        .map_err(error::store)
}

/// Opens a file that a writer has open already.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let connection = Connection::open_with_flags(path, flags).map_err(error::store)?;
    connection
        .busy_handler(Some(wait_for_lock))
        .map_err(error::store)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

fn wait_for_lock(looks: i32) -> bool {
    thread::sleep(BUSY_STEP);
    looks < BUSY_STEPS_MAX
}

/// SQLite does not ask the busy handler where two that wait would wait for each other, which is so
/// while a new file gets its log.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    let mut looks = 0_i32;
    loop {
        match attempt() {
            Err(LedgerError::Busy(_)) if wait_for_lock(looks) => looks = looks.saturating_add(1),
            outcome => return outcome,
        }
    }
}

fn create_private(path: &Path) -> Result<(), LedgerError> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    // SQLite gives its -wal and -shm files the mode of this one.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(LedgerError::Store(format!(
            "{} cannot be made: {error}",
            path.display()
        ))),
    }
}

/// WAL: readers never wait for the writer.
fn use_wal(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(error::store)?;
    if mode == "wal" {
        return Ok(());
    }
    Err(LedgerError::Store(format!(
        "{} cannot have a write-ahead log; put the ledger on a local disk",
        path.display()
    )))
}

fn refuse_strangers(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let is_read_only = connection
        .is_readonly(DatabaseName::Main)
        .map_err(error::store)?;
    if is_read_only {
        return Err(LedgerError::Store(format!(
            "{} may not be written; change its permissions or choose another `ledger`",
            path.display()
        )));
    }
    // One statement, one snapshot: another process may be making the file right now.
    let (id, tables): (i64, i64) = connection
        .query_row(
            "SELECT application_id, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(error::store)?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    Err(LedgerError::Store(format!(
        "{} is a database of another program; choose another `ledger`",
        path.display()
    )))
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if pragma(connection, "user_version")? == newest {
        return Ok(());
    }
    // Two processes may start at once: the version counts that is read under the lock.
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(error::store)?;
    let result = migrate_locked(connection, path, newest)
        .and_then(|()| connection.execute_batch("COMMIT").map_err(error::store));
    if result.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(error::store)?;
    }
    result
}

fn migrate_locked(connection: &Connection, path: &Path, newest: i64) -> Result<(), LedgerError> {
    let version = pragma(connection, "user_version")?;
    let Some(missing) = usize::try_from(version)
        .ok()
        .and_then(|done| MIGRATIONS.get(done..))
    else {
        return Err(LedgerError::Store(format!(
            "{} has version {version}, and this program knows versions up to {newest}; \
             use a newer farebox",
            path.display()
        )));
    };
    for sql in missing {
        connection.execute_batch(sql).map_err(error::store)?;
    }
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .and_then(|()| connection.pragma_update(None, "user_version", newest))
        .map_err(error::store)
}

/// Writes the version once more as it is: the smallest change that reaches the disk.
pub(crate) fn rewrite_version(connection: &Connection) -> Result<(), LedgerError> {
    let version = pragma(connection, "user_version")?;
    connection
        .pragma_update(None, "user_version", version)
        .map_err(error::store)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, LedgerError> {
    connection
        .pragma_query_value(None, name, |row| row.get(0))
        .map_err(error::store)
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
