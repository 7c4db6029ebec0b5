//! The handle: starts a chain and its server, and lets tests look at the chain and push it around without RPC.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use solana_account::Account as Stored;
use solana_address::Address;
use spl_token_interface::state::AccountState;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::chain::Chain;
use crate::faults::Faults;
use crate::options::{
    Account, BLOCKHASH_LIFE_BLOCKS, DevnetSvmOptions, NETWORK, TokenProgram, USDC_DECIMALS,
    USDC_MINT, accounts, authority,
};
use crate::rpc::{Rpc, server};
use crate::world::{Commitment, World};
use crate::{beat, tokens};

/// Threads that answer RPC calls. Two, so that a slow call does not hold up the others.
const RPC_THREADS: usize = 2;
/// What airdrops are paid from: ten million SOL.
const PURSE_LAMPORTS: u64 = 10_000_000_000_000_000;
/// The system program, which owns accounts that hold lamports alone.
const SYSTEM_PROGRAM: Address = Address::new_from_array([0; 32]);

/// Why a devnet did not start or could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DevnetSvmError {
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
    /// There is no mint at the address.
    #[error("{0} is no mint of this devnet; use usdc() or what add_mint() returned")]
    NoMint(Address),
    /// The owner has no associated account of the mint.
    #[error("{0} has no token account of that mint; mint() makes one")]
    NoTokenAccount(Address),
    /// The supply would be more than a mint can count.
    #[error("the supply of {0} would not fit into 64 bits")]
    TooMuch(Address),
}

/// A running chain. Dropping it stops it; [`DevnetSvm::shutdown`] also waits until the port is free.
#[derive(Debug)]
pub struct DevnetSvm {
    chain: Arc<Chain>,
    faults: Faults,
    address: SocketAddr,
    accounts: Vec<Account>,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    stopped: Option<oneshot::Receiver<()>>,
    beat: Option<JoinHandle<()>>,
}

impl DevnetSvm {
    /// Starts a chain. Needs no async runtime: the chain brings its own.
    ///
    /// # Errors
    /// The port is taken, or threads cannot be started.
    pub fn start(options: DevnetSvmOptions) -> Result<Self, DevnetSvmError> {
        let port = options.port;
        let listen = |source| DevnetSvmError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let accounts = accounts();
        let chain = Arc::new(Chain::new(genesis(&options, &accounts)?, &options));
        let faults = Faults::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RPC_THREADS)
            .thread_name("devnet-svm-rpc")
            .enable_all()
            .build()
            .map_err(DevnetSvmError::Threads)?;
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
        let beat = beat::start(Arc::clone(&chain)).map_err(DevnetSvmError::Threads)?;
        Ok(Self {
            chain,
            faults,
            address,
            accounts,
            runtime: Some(runtime),
            stop: Some(stop),
            stopped: Some(stopped),
            beat: Some(beat),
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

    /// CAIP-2 name of the network: that of Solana's devnet.
    #[must_use]
    pub fn network(&self) -> &'static str {
        NETWORK
    }

    /// The dollar token's mint: an SPL Token mint with six decimals.
    #[must_use]
    pub fn usdc(&self) -> Address {
        USDC_MINT
    }

    /// The ten accounts: 0 pays fees and has no tokens; 1 to 8 have USDC; 9 has an empty USDC account. All have SOL.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Who may mint and freeze every token of the devnet.
    #[must_use]
    pub fn mint_authority(&self) -> Account {
        authority()
    }

    /// Faults to switch on.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The newest slot.
    #[must_use]
    pub fn slot(&self) -> u64 {
        self.chain.world().block(Commitment::Processed).slot
    }

    /// The newest block's height, which is less than its slot.
    #[must_use]
    pub fn block_height(&self) -> u64 {
        self.chain.world().block(Commitment::Processed).height
    }

    /// An account's lamports in the newest block.
    #[must_use]
    pub fn balance(&self, address: Address) -> u64 {
        let stored = self.chain.world().account(&address, Commitment::Processed);
        stored.map_or(0, |stored| stored.lamports)
    }

    /// What an owner's associated account of a mint holds in the newest block, in atomic units; 0 if there is none.
    #[must_use]
    pub fn token_balance(&self, owner: Address, mint: Address) -> u64 {
        let world = self.chain.world();
        let found = find(&world, owner, mint).ok();
        found.map_or(0, |(_, _, account)| account.amount)
    }

    /// How many transactions are in blocks, whether or not they succeeded.
    #[must_use]
    pub fn landed_transactions(&self) -> usize {
        self.chain.world().landed_count()
    }

    /// How many transactions wait for a slot.
    #[must_use]
    pub fn waiting_transactions(&self) -> usize {
        self.chain.world().waiting().count()
    }

    /// Forgets the transactions that wait for a slot. Returns how many there were.
    pub fn drop_waiting(&self) -> usize {
        self.chain.world().drop_waiting()
    }

    /// Makes so many blocks now; what waits is executed in the first of them.
    pub fn advance(&self, slots: u64) {
        self.chain.advance(slots);
    }

    /// Makes blocks until no blockhash that anybody knows is valid in the finalized block.
    pub fn expire_blockhashes(&self) {
        let world = self.chain.world();
        let depth = world.depth(world.block(Commitment::Finalized).slot);
        drop(world);
        self.advance(
            BLOCKHASH_LIFE_BLOCKS
                .saturating_add(depth)
                .saturating_add(1),
        );
    }

    /// Stops slots and the execution of transactions until [`DevnetSvm::release_blocks`]. Transactions are still taken,
    /// and [`DevnetSvm::advance`] still works.
    pub fn hold_blocks(&self) {
        self.chain.hold(true);
    }

    /// Takes slots and execution up again.
    pub fn release_blocks(&self) {
        self.chain.hold(false);
    }

    /// A slot each so often from now on; `None` only when told.
    pub fn set_slot_time(&self, every: Option<Duration>) {
        self.chain.set_slot_time(every);
    }

    /// Moves chain time forward for good; the next block shows it. No blockhash expires by it.
    pub fn increase_time(&self, by: Duration) {
        self.chain.world().time.increase(by.as_secs());
    }

    /// Gives an account exactly so many lamports, in all blocks. 0 removes it.
    pub fn set_balance(&self, address: Address, lamports: u64) {
        let mut world = self.chain.world();
        let stored = world.account(&address, Commitment::Processed);
        match stored {
            _ if lamports == 0 => world.remove_account(address),
            stored => world.set_account(
                address,
                Stored {
                    lamports,
                    ..stored.unwrap_or_else(empty)
                },
            ),
        }
    }

    /// Makes another token, at an address of its own. [`DevnetSvm::mint_authority`] may mint and freeze it.
    pub fn add_mint(&self, address: Address, program: TokenProgram, decimals: u8) {
        let mint = tokens::new_mint(program, decimals, authority().address);
        self.chain.world().set_account(address, mint);
    }

    /// Creates tokens in an owner's associated account, in atomic units. The account is made where there is none.
    ///
    /// # Errors
    /// There is no such mint, or the supply would not fit.
    pub fn mint(&self, owner: Address, mint: Address, amount: u64) -> Result<(), DevnetSvmError> {
        create_tokens(&mut self.chain.world(), owner, mint, amount)
    }

    /// Freezes an owner's associated account, in all blocks.
    ///
    /// # Errors
    /// There is no such mint or account.
    pub fn freeze(&self, owner: Address, mint: Address) -> Result<(), DevnetSvmError> {
        self.set_state(owner, mint, AccountState::Frozen)
    }

    /// Takes [`DevnetSvm::freeze`] back.
    ///
    /// # Errors
    /// There is no such mint or account.
    pub fn thaw(&self, owner: Address, mint: Address) -> Result<(), DevnetSvmError> {
        self.set_state(owner, mint, AccountState::Initialized)
    }

    /// Removes an owner's associated account with what is in it, in all blocks.
    ///
    /// # Errors
    /// There is no such mint or account.
    pub fn remove_token_account(
        &self,
        owner: Address,
        mint: Address,
    ) -> Result<(), DevnetSvmError> {
        let mut world = self.chain.world();
        let (address, _, _) = find(&world, owner, mint)?;
        world.remove_account(address);
        Ok(())
    }

    fn set_state(
        &self,
        owner: Address,
        mint: Address,
        state: AccountState,
    ) -> Result<(), DevnetSvmError> {
        let mut world = self.chain.world();
        let (address, mut stored, mut account) = find(&world, owner, mint)?;
        account.state = state;
        tokens::write(&mut stored, account);
        world.set_account(address, stored);
        Ok(())
    }

    fn signal_stop(&mut self) {
        self.chain.beat.stop();
        if let Some(stop) = self.stop.take() {
            // An error means that the server is already gone.
            let _ = stop.send(());
        }
        if let Some(beat) = self.beat.take() {
            // A panic of the thread is its own; there is nothing left to do for it.
            let _ = beat.join();
        }
    }
}

impl Drop for DevnetSvm {
    fn drop(&mut self) {
        self.signal_stop();
        if let Some(runtime) = self.runtime.take() {
            // Blocking is not allowed inside of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// Everybody's money at the start.
fn genesis(options: &DevnetSvmOptions, accounts: &[Account]) -> Result<World, DevnetSvmError> {
    let mut world = World::new(options);
    let atomic = 10_u64
        .saturating_pow(u32::from(USDC_DECIMALS))
        .saturating_mul(options.whole_tokens);
    let usdc = tokens::new_mint(TokenProgram::Token, USDC_DECIMALS, authority().address);
    world.set_account(USDC_MINT, usdc);
    let purses = accounts
        .iter()
        .map(|account| (account.address, options.lamports));
    for (address, lamports) in purses.chain([(authority().address, PURSE_LAMPORTS)]) {
        let stored = Stored {
            lamports,
            ..empty()
        };
        world.set_account(address, stored);
    }
    let owners = accounts.iter().skip(1);
    let last = accounts.len().saturating_sub(2);
    for (index, account) in owners.enumerate() {
        let amount = if index == last { 0 } else { atomic };
        create_tokens(&mut world, account.address, USDC_MINT, amount)?;
    }
    Ok(world)
}

fn create_tokens(
    world: &mut World,
    owner: Address,
    mint: Address,
    amount: u64,
) -> Result<(), DevnetSvmError> {
    let stored_mint = world.account(&mint, Commitment::Processed);
    let mut stored_mint = stored_mint.ok_or(DevnetSvmError::NoMint(mint))?;
    let (program, mut contents) =
        tokens::read_mint(&stored_mint).ok_or(DevnetSvmError::NoMint(mint))?;
    let address = tokens::associated(&owner, &mint, program);
    let mut stored = world
        .account(&address, Commitment::Processed)
        .unwrap_or_else(|| tokens::new_account(program, mint, owner));
    let (_, mut account) =
        tokens::read_account(&stored).ok_or(DevnetSvmError::NoTokenAccount(owner))?;
    let too_much = || DevnetSvmError::TooMuch(mint);
    contents.supply = contents.supply.checked_add(amount).ok_or_else(too_much)?;
    account.amount = account.amount.checked_add(amount).ok_or_else(too_much)?;
    tokens::write(&mut stored_mint, contents);
    tokens::write(&mut stored, account);
    world.set_account(mint, stored_mint);
    world.set_account(address, stored);
    Ok(())
}

/// An owner's associated account of a mint.
fn find(
    world: &World,
    owner: Address,
    mint: Address,
) -> Result<(Address, Stored, spl_token_interface::state::Account), DevnetSvmError> {
    let stored = world.account(&mint, Commitment::Processed);
    let (program, _) = stored
        .as_ref()
        .and_then(tokens::read_mint)
        .ok_or(DevnetSvmError::NoMint(mint))?;
    let address = tokens::associated(&owner, &mint, program);
    let none = || DevnetSvmError::NoTokenAccount(owner);
    let stored = world
        .account(&address, Commitment::Processed)
        .ok_or_else(none)?;
    let (_, account) = tokens::read_account(&stored).ok_or_else(none)?;
    Ok((address, stored, account))
}

fn empty() -> Stored {
    Stored {
        owner: SYSTEM_PROGRAM,
        ..Stored::default()
    }
}
