//! The handle of a running node: start, stop, who it is.
//!
//! The node lives on threads of its own. ldk-node blocks where it writes or waits, so every call goes through
//! [`Node::blocking`], and callers need no particular runtime.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::config::Config;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::{BuildError, Builder, NodeError};
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::decode::now;
use crate::error::Error;
use crate::events::{self, Event, Events};
use crate::lock::take_directory;
use crate::logs::ToTracing;
use crate::open::OpenInvoices;
use crate::options::{ChainSource, LdkOptions, Network, Storage};
use crate::records::Records;
use crate::store::Store;

/// Threads that LDK's tasks share.
const THREADS: usize = 2;
/// Events that a follower may be behind before it is told that it missed some.
const EVENTS: usize = 1024;
/// Payments whose hashes fall into one seat are begun one after another.
const SEATS: usize = 64;

/// How long [`Node::sync`] waits for the first look at the chain, which reads all blocks since the last one.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// Where free ports are looked for: below what Linux, macOS and Windows give to outgoing connections.
const FIRST_PORT: u16 = 12_000;
/// How many ports that are.
const PORTS: u16 = 20_000;
/// Ports that are tried before the start fails.
const PORT_ATTEMPTS: u32 = 16;

/// Another Lightning node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its public key, 66 hexadecimal digits.
    pub id: String,
    /// `host:port`.
    pub address: String,
}

impl Peer {
    pub(crate) fn parse(&self) -> Result<(PublicKey, SocketAddress), Error> {
        let id = self.id.parse().map_err(|_| {
            Error::Argument(format!("{} is no public key of a Lightning node", self.id))
        })?;
        let address = self.address.parse().map_err(|_| {
            Error::Argument(format!("{} is no address: write host:port", self.address))
        })?;
        Ok((id, address))
    }
}

/// What tasks of the node share.
pub(crate) struct Inner {
    pub(crate) ldk: ldk_node::Node,
    pub(crate) records: Arc<Records>,
    pub(crate) events: broadcast::Sender<Event>,
    /// The index of the newest settlement that is written.
    pub(crate) settled: watch::Sender<u64>,
    /// What ldk-node has looked at, and how many looks make its first one of the chain.
    looks: watch::Receiver<u64>,
    first_look: u64,
    open: Mutex<OpenInvoices>,
    /// Seconds by which invoices are older than the clock says; see [`Node::set_time_ahead`].
    ahead_s: AtomicU64,
    seats: Vec<Mutex<()>>,
    /// Held while the node lives, so that no other process uses its directory.
    _lock: Option<File>,
}

impl Inner {
    pub(crate) fn open(&self) -> MutexGuard<'_, OpenInvoices> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an invoice that ends then, in Unix seconds, is over.
    pub(crate) fn is_past(&self, end_unix_s: u64) -> bool {
        let ahead_s = self.ahead_s.load(Ordering::Relaxed);
        end_unix_s <= now().as_secs().saturating_add(ahead_s)
    }

    /// Two calls that pay the same hash must not both find that nothing was sent.
    pub(crate) fn seat(&self, hash: crate::PaymentHash) -> Option<MutexGuard<'_, ()>> {
        let number = usize::from(hash.0[0]) % SEATS;
        let seat = self.seats.get(number)?;
        Some(seat.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running node. Dropping it stops it in the background; [`Node::stop`] waits until its port and directory are free.
pub struct Node {
    live: Mutex<Option<Live>>,
    id: String,
    network: Network,
    address: Option<SocketAddr>,
}

/// What ends with the node.
struct Live {
    inner: Arc<Inner>,
    runtime: Runtime,
    follower: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({} on {})", self.id, self.network.name())
    }
}

impl Node {
    /// Starts a node and waits until it listens. The chain source must answer.
    ///
    /// # Errors
    /// The directory is in use or belongs to another network or seed, an address is taken, the chain source is away.
    pub async fn start(mut options: LdkOptions) -> Result<Self, Error> {
        let network = options.network;
        let wanted = options.listen.clone();
        let mut attempts = PORT_ATTEMPTS;
        let (runtime, inner) = loop {
            options.listen = wanted
                .iter()
                .copied()
                .map(with_port)
                .collect::<Result<_, _>>()?;
            let (started, back) = attempt(options).await?;
            options = back;
            attempts = attempts.saturating_sub(1);
            match started {
                Ok((runtime, inner)) => break (runtime, Arc::new(inner)),
                // Somebody else was quicker; another port will do.
                Err(Error::Listen(_)) if attempts > 0 && options.listen != wanted => {}
                Err(error) => return Err(error),
            }
        };
        let address = options.listen.first().copied();
        let (stop, stopped) = watch::channel(false);
        let follower = runtime.spawn(events::follow(Arc::clone(&inner), stopped));
        Ok(Self {
            id: inner.ldk.node_id().to_string(),
            live: Mutex::new(Some(Live {
                inner,
                runtime,
                follower,
                stop,
            })),
            network,
            address,
        })
    }

    /// Stops the node: peers are disconnected, all is written, port and directory are free. Payments that are under way
    /// go on when it is started again, and must: a peer may still claim them.
    ///
    /// # Errors
    /// It is stopped already, or its threads are gone.
    pub async fn stop(&self) -> Result<(), Error> {
        let live = self.take().ok_or(Error::Stopped)?;
        live.stop.send_replace(true);
        // An error is a panic of the follower, which is its own.
        let _ = live.follower.await;
        let inner = live.inner;
        let stopped = live.runtime.spawn_blocking(move || stop(inner)).await;
        live.runtime.shutdown_background();
        stopped.map_err(|_| Error::Stopped)?
    }

    /// For tests of what expires: judges from now on whether invoices of its own are over as if it were so much later.
    pub fn set_time_ahead(&self, by: Duration) {
        if let Some(live) = self.live().as_ref() {
            live.inner.ahead_s.store(by.as_secs(), Ordering::Relaxed);
        }
    }

    /// The node's public key, 66 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its network.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// Where peers reach it; `None` if it does not listen.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Everything that happens from now on. For what must not be missed, see [`Node::settlements`] and the lookups.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.inner().ok().map(|inner| inner.events.subscribe()))
    }

    /// Looks at the chain now, instead of within the next seconds. What was in a block before the call is seen after it.
    ///
    /// # Errors
    /// The chain source did not answer.
    pub async fn sync(&self) -> Result<(), Error> {
        // ldk-node's own first look takes it for impossible that somebody else's is under way, and panics.
        let (mut looks, first) = {
            let inner = self.inner()?;
            (inner.looks.clone(), inner.first_look)
        };
        let looked = tokio::time::timeout(FIRST_LOOK, looks.wait_for(|looks| *looks >= first));
        match looked.await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(Error::Stopped),
            Err(_) => {
                let why = format!("it has not been read to its end after {FIRST_LOOK:?}");
                return Err(Error::Chain(why));
            }
        }
        self.blocking(|inner| {
            // The first may only wait for a look that began before this call; the second cannot.
            inner.ldk.sync_wallets()?;
            Ok(inner.ldk.sync_wallets()?)
        })
        .await
    }

    /// Connects to another node and remembers it, so that the connection is taken up again when it breaks.
    ///
    /// # Errors
    /// The key or address makes no sense, or nobody answers there.
    pub async fn connect(&self, peer: &Peer) -> Result<(), Error> {
        let (id, address) = peer.parse()?;
        self.blocking(move |inner| Ok(inner.ldk.connect(id, address, true)?))
            .await
    }

    /// Whether a connection to this node stands.
    ///
    /// # Errors
    /// The node is stopped.
    pub async fn is_connected(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        let peers = self.blocking(|inner| Ok(inner.ldk.list_peers())).await?;
        Ok(peers
            .iter()
            .any(|peer| peer.is_connected && peer.node_id.to_string() == id))
    }

    pub(crate) fn inner(&self) -> Result<Arc<Inner>, Error> {
        let live = self.live();
        let live = live.as_ref().ok_or(Error::Stopped)?;
        Ok(Arc::clone(&live.inner))
    }

    /// Runs what may write or wait on a thread that may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.inner()?;
        let working = self.handle()?.spawn_blocking(move || work(&inner));
        working.await.map_err(|_| Error::Stopped)?
    }

    pub(crate) fn handle(&self) -> Result<tokio::runtime::Handle, Error> {
        let live = self.live();
        let live = live.as_ref().ok_or(Error::Stopped)?;
        Ok(live.runtime.handle().clone())
    }

    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Live> {
        self.live().take()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Some(live) = self.take() else { return };
        live.stop.send_replace(true);
        // Stopping blocks, which is not allowed inside of a runtime.
        let stopping = std::thread::Builder::new().name("ldk-stop".to_owned());
        let stopped = stopping.spawn(move || {
            if let Err(error) = stop(live.inner) {
                tracing::debug!(%error, "the node was not stopped in order");
            }
            live.runtime.shutdown_background();
        });
        if let Err(error) = stopped {
            tracing::warn!(%error, "the node was not stopped in order");
        }
    }
}

/// Stops ldk-node, and lets go of it.
fn stop(inner: Arc<Inner>) -> Result<(), Error> {
    // Where the storage has failed, LDK's tasks are dead, and ldk-node panics when it looks for them: here, and again when
    // it is dropped, which would end the whole process. So it is not dropped then.
    match std::panic::catch_unwind(AssertUnwindSafe(|| inner.ldk.stop())) {
        Ok(Ok(()) | Err(NodeError::NotRunning)) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            std::mem::forget(inner);
            let why = "the node's tasks have died; see the log of before";
            Err(Error::Storage(why.to_owned()))
        }
    }
}

/// A free port where none is named. It is not one of those that the system gives to outgoing connections, which could take
/// it before the node does.
fn with_port(address: SocketAddr) -> Result<SocketAddr, Error> {
    if address.port() != 0 {
        return Ok(address);
    }
    for _ in 0..PORT_ATTEMPTS {
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(|error| Error::Start(error.to_string()))?;
        let offset = u16::from_le_bytes(random) % PORTS;
        let chosen = SocketAddr::new(address.ip(), FIRST_PORT.saturating_add(offset));
        if TcpListener::bind(chosen).is_ok() {
            return Ok(chosen);
        }
    }
    Err(Error::Listen(address))
}

/// One start, on threads of its own: what a failed one has left running ends with them.
async fn attempt(
    options: LdkOptions,
) -> Result<(Result<(Runtime, Inner), Error>, LdkOptions), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("ldk")
        .enable_all()
        .build()
        .map_err(|error| Error::Start(error.to_string()))?;
    let handle = runtime.handle().clone();
    let starting = runtime.spawn_blocking(move || (start(&options, handle), options));
    match starting.await {
        Ok((Ok(inner), options)) => Ok((Ok((runtime, inner)), options)),
        Ok((Err(error), options)) => {
            runtime.shutdown_background();
            Ok((Err(error), options))
        }
        Err(panic) => {
            runtime.shutdown_background();
            Err(Error::Start(panic.to_string()))
        }
    }
}

fn start(options: &LdkOptions, handle: tokio::runtime::Handle) -> Result<Inner, Error> {
    let (store, lock, dir) = match &options.storage {
        Storage::Memory(memory) => (Store::memory(memory.clone()), None, None),
        Storage::Directory(dir) => {
            let lock = take_directory(dir, &options.holder)?;
            (Store::sqlite(dir)?, Some(lock), Some(dir.as_path()))
        }
    };
    let store = Arc::new(store);
    let records = Arc::new(Records::open(Arc::clone(&store))?);
    let looks = store.looks();
    let ldk = builder(options, dir, handle)?
        .build_with_store(store)
        .map_err(|error| match (error, options.listen.first()) {
            (BuildError::InvalidListeningAddresses, Some(address)) => Error::Listen(*address),
            (error, _) => Error::Start(error.to_string()),
        })?;
    // The start looks at fees. With a bitcoind, the next look is the first one at the chain; other sources have no first.
    let first_look = match &options.chain {
        ChainSource::BitcoindRpc { .. } => looks.borrow().saturating_add(2),
        ChainSource::Esplora { .. } | ChainSource::Electrum { .. } => 0,
    };
    ldk.start()
        .map_err(|error| match (error, options.listen.first()) {
            (NodeError::InvalidSocketAddress, Some(address)) => Error::Listen(*address),
            (error, _) => error.into(),
        })?;
    let inner = Inner {
        settled: watch::Sender::new(records.newest()),
        looks,
        first_look,
        records,
        ldk,
        events: broadcast::Sender::new(EVENTS),
        open: Mutex::default(),
        ahead_s: AtomicU64::new(0),
        seats: (0..SEATS).map(|_| Mutex::new(())).collect(),
        _lock: lock,
    };
    inner.tidy_rows()?;
    Ok(inner)
}

fn builder(
    options: &LdkOptions,
    dir: Option<&Path>,
    handle: tokio::runtime::Handle,
) -> Result<Builder, Error> {
    let mut config = Config {
        network: options.network.to_bitcoin(),
        ..Config::default()
    };
    if let Some(dir) = dir {
        config.storage_dir_path = dir.display().to_string();
    }
    for id in &options.trusted_0conf {
        let id = id
            .parse()
            .map_err(|_| Error::Argument(format!("{id} is no public key of a Lightning node")))?;
        config.trusted_peers_0conf.push(id);
    }
    let mut builder = Builder::from_config(config);
    builder.set_runtime(handle);
    builder.set_custom_logger(Arc::new(ToTracing));
    builder.set_entropy_seed_bytes(options.seed.bytes());
    match &options.chain {
        ChainSource::Esplora { url } => builder.set_chain_source_esplora(url.clone(), None),
        ChainSource::Electrum { url } => builder.set_chain_source_electrum(url.clone(), None),
        ChainSource::BitcoindRpc {
            host,
            port,
            user,
            password,
        } => builder.set_chain_source_bitcoind_rpc(
            host.clone(),
            *port,
            user.clone(),
            password.to_string(),
        ),
    };
    if let Some(first) = options.listen.first() {
        let addresses = options.listen.iter().map(|address| (*address).into());
        builder
            .set_listening_addresses(addresses.collect())
            .map_err(|_| Error::Listen(*first))?;
        if let Some(alias) = &options.alias {
            builder
                .set_node_alias(alias.clone())
                .map_err(|error| Error::Argument(error.to_string()))?;
        }
    }
    Ok(builder)
}
