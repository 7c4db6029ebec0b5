//! The handle: starts a chain and its server, and lets tests look at the chain and push it around without RPC.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::chain::Chain;
use crate::faults::Faults;
use crate::miner::Mode;
use crate::options::{Account, DevnetOptions};
use crate::rpc::{Rpc, server};
use crate::{miner, token};

/// Threads that answer RPC calls. Two, so that a slow call does not hold up the others.
const RPC_THREADS: usize = 2;
/// Why a devnet did not start or could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The port is taken or may not be used.
    #[error(
        "cannot listen on 127.0.0.1:{port}: {source}; choose another port, or 0 for a free one"
    )]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start the devnet's threads: {0}")]
    Threads(#[source] std::io::Error),
    /// The token refused what it was asked at the start or by a test.
    #[error("the token refused: {0}; check its name, decimals and amounts")]
    Token(String),
    /// A reorg or revert reaches further back than the chain, or than the state that is kept.
    #[error("the chain does not reach that far back")]
    TooFarBack,
}

/// A running chain. Dropping it stops it; [`Devnet::shutdown`] also waits until the port is free.
#[derive(Debug)]
pub struct Devnet {
    chain: Arc<Chain>,
    faults: Faults,
    address: SocketAddr,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    stopped: Option<oneshot::Receiver<()>>,
    miner: Option<JoinHandle<()>>,
}

impl Devnet {
    /// Starts a chain. Needs no async runtime: the chain brings its own.
    ///
    /// # Errors
    /// The port is taken, threads cannot be started, or the token or amounts make no sense.
    pub fn start(options: DevnetOptions) -> Result<Self, DevnetError> {
        let port = options.port;
        let listen = |source| DevnetError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let chain = Arc::new(Chain::new(options)?);
        let faults = Faults::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RPC_THREADS)
            .thread_name("devnet-evm-rpc")
            .enable_all()
            .build()
            .map_err(DevnetError::Threads)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(listen)?
        };
        let (stop, stop_signal) = oneshot::channel();
        let (stopped_signal, stopped) = oneshot::channel();
        let rpc = Rpc::new(Arc::clone(&chain), faults.clone());
        runtime.spawn(async move {
            server::serve(listener, rpc, stop_signal).await;
            let _ = stopped_signal.send(());
        });
        let miner = miner::start(Arc::clone(&chain)).map_err(DevnetError::Threads)?;
        Ok(Self {
            chain,
            faults,
            address,
            runtime: Some(runtime),
            stop: Some(stop),
            stopped: Some(stopped),
            miner: Some(miner),
        })
    }

    /// Stops the chain and waits until its port is free.
    pub async fn shutdown(mut self) {
        self.signal_stop();
        if let Some(stopped) = self.stopped.take() {
            // An error means that the server task is already gone.
            let _ = stopped.await;
        }
    }

    /// Where HTTP clients connect.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where WebSocket clients connect: the same port.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The EIP-155 chain id.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain.options.chain_id
    }

    /// The token's address.
    #[must_use]
    pub fn usdc(&self) -> Address {
        self.chain.options.token.address
    }

    /// The funded accounts, in the order of the options.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.chain.options.accounts
    }

    /// Faults to switch on.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The newest block's number.
    #[must_use]
    pub fn block_number(&self) -> u64 {
        self.chain.world().head_number()
    }

    /// The newest block's timestamp, in seconds.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.chain
            .world()
            .head()
            .map_or(0, |block| block.header.timestamp)
    }

    /// An account's wei in the newest block.
    #[must_use]
    pub fn ether_balance(&self, address: Address) -> U256 {
        self.chain.world().latest().account(address).balance
    }

    /// An account's nonce in the newest block: transactions that wait do not count.
    #[must_use]
    pub fn nonce(&self, address: Address) -> u64 {
        self.chain.world().latest().account(address).nonce
    }

    /// An account's tokens in the newest block, in atomic units.
    ///
    /// # Errors
    /// A test replaced the token's code by something that is no token.
    pub fn token_balance(&self, address: Address) -> Result<U256, DevnetError> {
        token::balance_of(&self.chain.world(), &self.chain.options, address)
    }

    /// Gives an account this much wei.
    pub fn set_ether_balance(&self, address: Address, wei: U256) {
        self.chain.edit_account(address, |info| info.balance = wei);
    }

    /// Places code at an address; empty code makes it an ordinary account again.
    pub fn set_code(&self, address: Address, code: Bytes) {
        self.chain.edit_account(address, |info| {
            *info = info.clone().with_code(Bytecode::new_raw(code))
        });
    }

    /// Creates tokens for an account, in atomic units.
    ///
    /// # Errors
    /// The token refuses: the supply would overflow, or the address is zero.
    pub fn mint(&self, to: Address, value: U256) -> Result<(), DevnetError> {
        self.chain
            .edit(|world| token::mint(world, &self.chain.options, to, value))
    }

    /// Mines one block with all that is ready, empty if nothing is. Returns its hash.
    pub fn mine(&self) -> B256 {
        self.chain.mine(true).map_or(B256::ZERO, |block| block.hash)
    }

    /// Mines at once (`true`), or only when told (`false`).
    pub fn set_automine(&self, automine: bool) {
        self.chain.schedule.set_mode(if automine {
            Mode::Automine
        } else {
            Mode::Manual
        });
    }

    /// Mines a block each so often.
    pub fn set_block_time(&self, every: Duration) {
        self.chain.schedule.set_mode(Mode::Interval(every));
    }

    /// Stops mining, whatever the schedule, until [`Devnet::release_mining`]. Transactions are still taken.
    pub fn hold_mining(&self) {
        self.chain.schedule.hold(true);
    }

    /// Takes mining up again.
    pub fn release_mining(&self) {
        self.chain.schedule.hold(false);
    }

    /// Remembers the chain as it is. The number is for [`Devnet::revert`].
    #[must_use]
    pub fn snapshot(&self) -> u64 {
        self.chain.edit(|world| world.snapshot())
    }

    /// Goes back to a snapshot, which is used up with all later ones. The mempool is emptied.
    ///
    /// # Errors
    /// There is no such snapshot (any more).
    pub fn revert(&self, snapshot: u64) -> Result<(), DevnetError> {
        if self.chain.revert(snapshot) {
            Ok(())
        } else {
            Err(DevnetError::TooFarBack)
        }
    }

    /// Moves chain time forward for good; the next block shows it.
    pub fn increase_time(&self, by: Duration) {
        self.chain.edit(|world| world.clock.increase(by.as_secs()));
    }

    /// The next block gets exactly this timestamp (seconds), but never one before its parent's.
    pub fn set_next_block_timestamp(&self, timestamp_s: u64) {
        self.chain.edit(|world| world.clock.set_next(timestamp_s));
    }

    /// The base fee of all following blocks. Transactions that offer less wait.
    pub fn set_base_fee(&self, wei: u64) {
        self.chain.edit(|world| world.base_fee = wei);
        self.chain.schedule.wake();
    }

    /// Replaces the newest `depth` blocks by as many empty ones. Their transactions are put back into the mempool
    /// (`requeue`) or forgotten.
    ///
    /// # Errors
    /// The chain, or the state that is kept, does not reach that far back.
    pub fn reorg(&self, depth: u64, requeue: bool) -> Result<(), DevnetError> {
        self.chain
            .reorg(depth, requeue)
            .map_err(|_| DevnetError::TooFarBack)
    }

    /// Forgets a waiting transaction. `false` if it does not wait.
    #[must_use]
    pub fn drop_transaction(&self, hash: B256) -> bool {
        self.chain.pool().remove(&hash)
    }

    /// The transactions that wait for a block, in no order.
    #[must_use]
    pub fn waiting_hashes(&self) -> Vec<B256> {
        self.chain.pool().hashes()
    }

    /// How many transactions wait for a block.
    #[must_use]
    pub fn waiting_transactions(&self) -> usize {
        self.chain.pool().len()
    }

    fn signal_stop(&mut self) {
        self.chain.schedule.stop();
        if let Some(stop) = self.stop.take() {
            // An error means that the server is already gone.
            let _ = stop.send(());
        }
        if let Some(miner) = self.miner.take() {
            // A panic of the miner is its own; there is nothing left to do for it.
            let _ = miner.join();
        }
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.signal_stop();
        if let Some(runtime) = self.runtime.take() {
            // Blocking is not allowed inside of another runtime.
            runtime.shutdown_background();
        }
    }
}
