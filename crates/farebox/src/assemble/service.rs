//! What a gate and a facilitator share: books under their lock, a listener, keys under their
//! lease, and the tasks that run beside the server until it stops.

use std::fs::{File, OpenOptions, TryLockError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use farebox_core::clock::{Clock as _, SystemClock};
use farebox_ledger::{SellerLock, SqliteLedger};
use farebox_rail_evm::EvmKey;
use farebox_rail_solana::SolanaKey;
use farebox_seller::Seller;
use farebox_seller::till::Till;
use farebox_server::{Connections, Watched};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::keys;
use super::overseeing::Oversight;
use crate::config::{DataDir, create_private};
use crate::failure::Failure;
use crate::telemetry;

/// How often what is closed and expired is erased from the ledger.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The ledger, for as long as this process alone may sell from it.
pub(super) struct Books {
    pub(super) ledger: SqliteLedger,
    /// Held for as long as the server lives: one gate or facilitator per ledger.
    _lock: SellerLock,
}

impl Books {
    /// Locks and opens the ledger.
    pub(super) async fn open(path: PathBuf) -> Result<Self, Failure> {
        let lock = SellerLock::acquire(&path)?;
        let ledger = super::open_ledger(path).await?;
        Ok(Self {
            ledger,
            _lock: lock,
        })
    }
}

/// Listens; `flag` chooses another address.
pub(super) async fn bind(wanted: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(wanted).await.map_err(|error| {
        Failure::config(
            "listen_failed",
            format!("cannot listen on {wanted}: {error}; choose another with {flag}"),
        )
    })
}

/// The accounts of all keys that send transactions.
pub(super) fn owners(gas_keys: &[Arc<EvmKey>], fee_payers: &[Arc<SolanaKey>]) -> Vec<String> {
    let evm = gas_keys.iter().map(|key| keys::checksummed(key.address()));
    let solana = fee_payers.iter().map(|key| key.address().to_string());
    evm.chain(solana).collect()
}

/// The right to send transactions with some keys. Two processes with one key would take each
/// other's nonces. The operating system gives it back when the process ends, however it ends.
pub(super) struct Lease {
    _files: Vec<File>,
}

impl Lease {
    /// Takes the lease of every key.
    ///
    /// # Errors
    /// Exit 2 where another process has one of them.
    pub(super) fn take(data_dir: &DataDir, owners: &[String]) -> Result<Self, Failure> {
        let dir = data_dir.created()?.join("leases");
        let unusable = |path: &std::path::Path, error: &std::io::Error| {
            Failure::internal(
                "store_unwritable",
                format!(
                    "cannot lock {}: {error}; name another data directory with --data-dir",
                    path.display()
                ),
            )
        };
        create_private(&dir).map_err(|error| unusable(&dir, &error))?;
        let mut files = Vec::with_capacity(owners.len());
        for address in owners {
            let path = dir.join(format!("{address}.lock"));
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(|error| unusable(&path, &error))?;
            match file.try_lock() {
                Ok(()) => files.push(file),
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::config(
                        "signer_busy",
                        format!(
                            "another gate or facilitator sends transactions with the gas key of {address}; stop it, or give this one a key of its own"
                        ),
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
            }
        }
        Ok(Self { _files: files })
    }
}

/// Ends when the server has to stop.
pub(super) type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What runs beside a server.
pub(super) struct Beside {
    pub(super) ledger: SqliteLedger,
    pub(super) oversight: Oversight,
    pub(super) till: Arc<Till>,
    /// Of a gate, whose watch looks after more than its till.
    pub(super) seller: Option<Seller>,
    pub(super) connections: Connections,
}

/// The watch of a till, or of the seller that it belongs to.
async fn watch_over(till: Arc<Till>, seller: Option<Seller>, stopping: Stopping) {
    match seller {
        Some(seller) => seller.watch(stopping).await,
        None => till.watch(stopping).await,
    }
}

/// Serves until `stop`, with the watch of the till, the pruning of the ledger and the admin server
/// beside it, and returns when all of them have ended: the admin server last, so that it tells of
/// the drain.
///
/// # Errors
/// Exit 1 where one of them broke off.
pub(super) async fn run<T, S>(
    stop: impl Future<Output = ()> + Send + 'static,
    beside: Beside,
    serve: impl FnOnce(Stopping) -> S,
) -> Result<T, Failure>
where
    S: Future<Output = T>,
{
    let Beside {
        ledger,
        oversight:
            Oversight {
                admin,
                course,
                files,
                stop_timeout,
            },
        till,
        seller,
        connections,
    } = beside;
    let (stopped, stopping) = watch::channel(false);
    let stopping = || -> Stopping {
        let mut stopping = stopping.clone();
        Box::pin(async move {
            // An error means that the sender is gone, which is a stop too.
            let _ = stopping.wait_for(|stop| *stop).await;
        })
    };
    let closing = CancellationToken::new();
    let admin = admin.map(|admin| {
        let watched = Watched {
            till: Arc::clone(&till),
            connections,
            course: Arc::clone(&course),
        };
        let closed = closing.clone();
        tokio::spawn(admin.serve(watched, closed.cancelled_owned()))
    });
    let stopped_at = Arc::new(OnceLock::new());
    let noted = Arc::clone(&stopped_at);
    let fallen = CancellationToken::new();
    let broken = fallen.clone();
    let signal = tokio::spawn(async move {
        tokio::select! {
            () = stop => {}
            () = broken.cancelled() => {
                tracing::error!("what looks after payments broke off; the server stops, start it again");
            }
        }
        let _ = noted.set(Instant::now());
        // First, so that whoever asks whether to send more requests hears it before any is refused.
        course.drain();
        // Nobody may be left to hear it.
        let _ = stopped.send(true);
    });
    let watched = stopping();
    let watcher = tokio::spawn(noticed(watch_over(till, seller, watched), fallen.clone()));
    let pruner = tokio::spawn(noticed(prune(ledger, stopping()), fallen.clone()));
    let served = serve(stopping()).await;
    signal.abort();
    closing.cancel();
    let log = files
        .log
        .map(|log| tokio::task::spawn_blocking(move || log.close()));
    for task in [watcher, pruner].into_iter().chain(admin).chain(log) {
        task.await
            .map_err(|why| Failure::internal("server_failed", why.to_string()))?;
    }
    // Last, with what is left of the time: the spans of the drain are among them.
    let gone = stopped_at.get().map_or(Duration::ZERO, Instant::elapsed);
    telemetry::flush(stop_timeout.saturating_sub(gone)).await;
    Ok(served)
}

/// Cancels `fallen` where the task breaks off: without it payments would be served, and no longer
/// looked after.
async fn noticed<T>(task: impl Future<Output = T>, fallen: CancellationToken) -> T {
    let guard = fallen.drop_guard();
    let ended = task.await;
    guard.disarm();
    ended
}

async fn prune(ledger: SqliteLedger, mut stop: Stopping) {
    let mut ticks = tokio::time::interval(PRUNE_EVERY);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = ticks.tick() => {}
        }
        match ledger.prune(SystemClock.now_ms()).await {
            Ok(pruned) => tracing::debug!(?pruned, "pruned the ledger"),
            Err(error) => tracing::warn!(%error, "the ledger could not be pruned"),
        }
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
