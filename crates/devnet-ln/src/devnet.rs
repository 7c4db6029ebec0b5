//! The handle: starts chain, nodes and faces, and lets tests look at them and push them around.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use farebox_node_ldk::Balances;
use tokio::runtime::Runtime;

use crate::chain::server::SharedChain;
use crate::faults::Faults;
use crate::side::Side;
use crate::start;

/// Threads that chain and faces share; the nodes have their own.
const THREADS: usize = 2;

/// Why a devnet did not start or could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// Threads could not be started.
    #[error("cannot start the devnet's threads: {0}")]
    Threads(#[source] std::io::Error),
    /// A port could not be had.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(#[source] std::io::Error),
    /// No randomness, or no certificate.
    #[error("cannot make keys: {0}")]
    Keys(String),
    /// A node refused.
    #[error("a node of the devnet refused: {0}")]
    Node(#[from] farebox_node_ldk::Error),
    /// More than a channel holds.
    #[error("each side can have at most {0} sats")]
    TooMuch(u64),
    /// The channel did not become usable in time.
    #[error("the channel was not usable after {0} s")]
    Channel(u64),
    /// There are two nodes, 0 and 1.
    #[error("there is no node {0}: 0 sells, 1 buys")]
    NoSuchNode(usize),
    /// The faucet cannot.
    #[error("{0}")]
    Faucet(String),
}

/// How a devnet is started.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// What each side has in the channel, in satoshis: at most 8,388,607, because ldk-node takes no channel above 0.168
    /// bitcoin.
    pub sats_each: u64,
    /// Whether six blocks are mined whenever a transaction waits. Otherwise [`Devnet::mine`] alone makes blocks.
    pub automine: bool,
}

impl Default for DevnetOptions {
    /// 0.08 bitcoin each, and blocks by themselves.
    fn default() -> Self {
        Self {
            sats_each: 8_000_000,
            automine: true,
        }
    }
}

/// How a client of LND reaches a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LndNode {
    /// The node's public key, hexadecimal.
    pub pubkey: String,
    /// Where its REST face is.
    pub url: String,
    /// What opens it, hexadecimal. Public knowledge within this devnet: it guards nothing.
    pub macaroon: String,
    /// What to trust it by, PEM.
    pub cert: String,
    /// Where other Lightning nodes reach it.
    pub p2p: SocketAddr,
}

/// What reaches the chain's JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcAccess {
    /// On 127.0.0.1.
    pub address: SocketAddr,
    /// `rpcuser`.
    pub user: String,
    /// `rpcpassword`. It guards nothing.
    pub password: String,
}

/// What a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeBalances {
    /// On chain, in satoshis.
    pub onchain_sats: u64,
    /// What it can pay over its channels now, in msat.
    pub outbound_msat: u64,
    /// What it can be paid over its channels now, in msat.
    pub inbound_msat: u64,
}

impl From<Balances> for NodeBalances {
    fn from(balances: Balances) -> Self {
        Self {
            onchain_sats: balances.onchain_sats,
            outbound_msat: balances.outbound_msat,
            inbound_msat: balances.inbound_msat,
        }
    }
}

/// A running devnet. Dropping it stops it.
pub struct Devnet {
    pub(crate) chain: SharedChain,
    pub(crate) sides: [Arc<Side>; 2],
    pub(crate) nodes: [LndNode; 2],
    pub(crate) rpc: RpcAccess,
    pub(crate) runtime: Option<Runtime>,
}

impl std::fmt::Debug for Devnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Devnet({} and {})", self.nodes[0].url, self.nodes[1].url)
    }
}

impl Devnet {
    /// Starts everything and waits until a payment has gone through in both directions. Needs no async runtime, and may be
    /// called inside of one.
    ///
    /// # Errors
    /// No threads, ports or randomness; or the nodes do not find each other.
    pub fn start(options: DevnetOptions) -> Result<Self, DevnetError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("devnet-ln")
            .enable_all()
            .build()
            .map_err(DevnetError::Threads)?;
        let started = on_a_thread(|| runtime.block_on(start::start(&options)));
        match started {
            Ok(Ok(parts)) => Ok(Self {
                chain: parts.chain,
                sides: parts.sides,
                nodes: parts.nodes,
                rpc: parts.rpc,
                runtime: Some(runtime),
            }),
            Ok(Err(error)) | Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Stops everything and waits until its ports are free.
    pub async fn shutdown(mut self) {
        for side in &self.sides {
            if let Err(error) = side.stop().await {
                tracing::debug!(%error, "a node was not stopped in order");
            }
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Both nodes, as a client of LND reaches them: 0 sells, 1 buys.
    #[must_use]
    pub const fn nodes(&self) -> &[LndNode; 2] {
        &self.nodes
    }

    /// The chain's JSON-RPC, for nodes of other processes.
    #[must_use]
    pub const fn bitcoind_rpc(&self) -> &RpcAccess {
        &self.rpc
    }

    /// Faults to switch on at a node. There is no third node: its number is taken as 1.
    #[must_use]
    pub fn faults(&self, node: usize) -> &Faults {
        &self.sides[node.min(1)].faults
    }

    /// What a node has.
    ///
    /// # Errors
    /// There is no such node, or it is stopped.
    pub fn balances(&self, node: usize) -> Result<NodeBalances, DevnetError> {
        let side = self.side(node)?;
        self.wait(async move { Ok(side.node().await?.balances().await?.into()) })
    }

    /// The newest block's height.
    #[must_use]
    pub fn height(&self) -> usize {
        self.chain.lock().height()
    }

    /// How many transactions wait for a block.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.chain.lock().waiting()
    }

    /// Mines blocks; the first takes what waits. The nodes see them within two seconds; [`Devnet::sync`] waits for that.
    pub fn mine(&self, blocks: usize) {
        self.chain.lock().mine(blocks);
    }

    /// A node judges from now on whether its invoices are over as if it were so much later; zero brings it back. A
    /// restart does too.
    ///
    /// # Errors
    /// There is no such node, or it is stopped.
    pub fn set_time_ahead(&self, node: usize, by: Duration) -> Result<(), DevnetError> {
        let side = self.side(node)?;
        self.wait(async move {
            side.node().await?.set_time_ahead(by);
            Ok(())
        })
    }

    /// Has both nodes look at the chain now.
    ///
    /// # Errors
    /// A node is stopped.
    pub fn sync(&self) -> Result<(), DevnetError> {
        let sides = self.sides.clone();
        self.wait(async move {
            for side in sides {
                side.node().await?.sync().await?;
            }
            Ok(())
        })
    }

    /// Sends coins to a regtest address and mines a block over them.
    ///
    /// # Errors
    /// The address is none of regtest, or it is more than the faucet gives at a time (49 bitcoin).
    pub fn fund(&self, address: &str, sats: u64) -> Result<(), DevnetError> {
        start::fund(&self.chain, address, sats)?;
        self.mine(1);
        Ok(())
    }

    /// Stops a node, as if its daemon was shut down. Its face stays and says so; what it has is kept.
    ///
    /// # Errors
    /// There is no such node.
    pub fn stop_node(&self, node: usize) -> Result<(), DevnetError> {
        let side = self.side(node)?;
        self.wait(async move { Ok(side.stop().await?) })
    }

    /// Starts a stopped node and waits until it has found the other one, if that runs.
    ///
    /// # Errors
    /// There is no such node, or it does not start.
    pub fn start_node(&self, node: usize) -> Result<(), DevnetError> {
        let side = self.side(node)?;
        let sides = self.sides.clone();
        let nodes = self.nodes.clone();
        self.wait(async move {
            side.start().await?;
            start::reconnect(&sides, &nodes).await
        })
    }

    pub(crate) fn side(&self, node: usize) -> Result<Arc<Side>, DevnetError> {
        let side = self.sides.get(node).ok_or(DevnetError::NoSuchNode(node))?;
        Ok(Arc::clone(side))
    }

    /// Runs something to its end on the devnet's threads, also for a caller inside of another runtime.
    pub(crate) fn wait<T: Send>(
        &self,
        work: impl Future<Output = Result<T, DevnetError>> + Send,
    ) -> Result<T, DevnetError> {
        let runtime = self.runtime.as_ref();
        let runtime = runtime.ok_or(DevnetError::Node(farebox_node_ldk::Error::Stopped))?;
        on_a_thread(|| runtime.block_on(work))?
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let sides = self.sides.clone();
        let stopped = on_a_thread(|| {
            runtime.block_on(async {
                for side in &sides {
                    if let Err(error) = side.stop().await {
                        tracing::debug!(%error, "a node was not stopped in order");
                    }
                }
            });
        });
        if let Err(error) = stopped {
            tracing::warn!(%error, "the devnet was not stopped in order");
        }
        runtime.shutdown_background();
    }
}

/// Blocking is not allowed inside of a runtime, so it is done on a thread of its own.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, DevnetError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("devnet-ln-wait".to_owned())
            .spawn_scoped(scope, work)
            .map_err(DevnetError::Threads)?;
        thread.join().map_err(|_| {
            DevnetError::Threads(std::io::Error::other("a thread of the devnet panicked"))
        })
    })
}
