//! The chain: takes transactions, mines blocks, goes back. The RPC, the miner thread and the test handle all work on it.
//! Locks are taken in the order mining, world, pool. Execution happens under a read lock, so that calls go on meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256};
use revm::state::AccountInfo;
use tokio::sync::broadcast;

use crate::block::Block;
use crate::exec::{self, Executed};
use crate::mempool::{self, Gone, Pool, PoolError};
use crate::miner::Schedule;
use crate::options::DevnetOptions;
use crate::signed::SignedTx;
use crate::world::World;
use crate::{DevnetError, genesis};

/// Blocks that a slow subscriber may fall behind before it loses events.
const EVENT_BACKLOG: usize = 8192;

/// What subscribers and filters hear.
#[derive(Clone, Debug)]
pub(crate) enum ChainEvent {
    /// A block was appended.
    Mined(Arc<Block>),
    /// The head was removed by a reorg or a revert.
    Removed(Arc<Block>),
    /// A transaction was taken into the pool.
    Pending(B256),
}

/// One chain.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) options: DevnetOptions,
    pub(crate) schedule: Schedule,
    world: RwLock<World>,
    pool: Mutex<Pool>,
    /// Held by whoever changes the chain.
    mining: Mutex<()>,
    events: broadcast::Sender<ChainEvent>,
}

impl Chain {
    pub(crate) fn new(options: DevnetOptions) -> Result<Self, DevnetError> {
        let world = genesis::build(&options)?;
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        Ok(Self {
            schedule: Schedule::new(options.block_time, options.idle_blocks),
            options,
            world: RwLock::new(world),
            pool: Mutex::new(Pool::default()),
            mining: Mutex::new(()),
            events,
        })
    }

    pub(crate) fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }

    /// Changes the world outside of a block, as the `anvil_*` and `evm_*` methods do.
    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let _mining = self.lock_mining();
        change(&mut self.world_mut())
    }

    /// Changes one account outside of a block.
    pub(crate) fn edit_account(&self, address: Address, change: impl FnOnce(&mut AccountInfo)) {
        self.edit(|world| {
            let mut info = world.latest().account(address);
            change(&mut info);
            world.state.set_account(address, info);
        });
    }

    /// Takes a raw transaction into the pool. In automine, the second value resolves when it has been mined.
    pub(crate) fn submit(&self, raw: &[u8]) -> Result<(B256, Option<Gone>), PoolError> {
        let signed = Arc::new(SignedTx::decode(raw, self.options.chain_id)?);
        let hash = signed.hash;
        let (sender, nonce) = (signed.sender, signed.envelope.nonce());
        let (gone, ready) = {
            let world = self.world();
            if world.transaction(&hash).is_some() {
                return Err(PoolError::AlreadyKnown);
            }
            let account = world.latest().account(sender);
            mempool::check(&signed, &account, world.gas_limit)?;
            let mut pool = self.pool();
            let gone = pool.insert(signed)?;
            (
                gone,
                pool.is_ready(sender, account.nonce, nonce, world.base_fee),
            )
        };
        // Nobody listening is fine.
        let _ = self.events.send(ChainEvent::Pending(hash));
        let soon = ready && self.schedule.wake();
        Ok((hash, soon.then_some(gone)))
    }

    /// Whether the pool holds a transaction that a block could include.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready().is_empty()
    }

    /// Mines a block with all that is ready and fits. Without any such transaction, only if `empty` is allowed.
    pub(crate) fn mine(&self, empty: bool) -> Option<Arc<Block>> {
        let _mining = self.lock_mining();
        self.mine_locked(empty)
    }

    /// Goes back to a snapshot. `false` if there is no such snapshot any more.
    pub(crate) fn revert(&self, snapshot: u64) -> bool {
        let _mining = self.lock_mining();
        let Some(removed) = self.world_mut().revert(snapshot) else {
            return false;
        };
        // The pool belongs to the future that was given up.
        self.pool().clear();
        self.announce_removed(removed);
        true
    }

    /// Replaces the newest `depth` blocks by as many empty ones. Their transactions go back to the pool or are forgotten.
    pub(crate) fn reorg(&self, depth: u64, requeue: bool) -> Result<(), ReorgTooDeep> {
        let _mining = self.lock_mining();
        let removed = self.world_mut().remove_blocks(depth).ok_or(ReorgTooDeep)?;
        let orphans: Vec<_> = removed
            .iter()
            .rev()
            .flat_map(|block| block.transactions.iter())
            .cloned()
            .collect();
        self.announce_removed(removed);
        for _ in 0..depth {
            let block = {
                let world = self.world();
                world.seal(&world.next_env(), Vec::new())
            };
            self.append(block, Executed::default());
        }
        if requeue {
            let mut pool = self.pool();
            for tx in orphans {
                // A slot taken meanwhile by a replacement stays taken.
                let _ = pool.insert(Arc::clone(&tx.signed));
            }
            drop(pool);
            self.schedule.wake();
        }
        Ok(())
    }

    fn mine_locked(&self, empty: bool) -> Option<Arc<Block>> {
        let ready = self.ready();
        if ready.is_empty() && !empty {
            return None;
        }
        let (block, executed) = {
            let world = self.world();
            let env = world.next_env();
            let mut executed = exec::block(world.latest(), &env, self.options.chain_id, &ready);
            let block = world.seal(&env, std::mem::take(&mut executed.mined));
            (block, executed)
        };
        if block.transactions.is_empty() && !empty {
            self.forget_refused(&executed);
            return None;
        }
        Some(self.append(block, executed))
    }

    fn append(&self, block: Block, mut executed: Executed) -> Arc<Block> {
        let changes = std::mem::take(&mut executed.changes);
        let block = self.world_mut().append(block, changes);
        tracing::debug!(
            number = block.number(),
            transactions = block.transactions.len(),
            "block mined"
        );
        self.forget_refused(&executed);
        let world = self.world();
        let mut pool = self.pool();
        // Subscribers hear of the block before those who wait for its transactions get their replies.
        let _ = self.events.send(ChainEvent::Mined(Arc::clone(&block)));
        for tx in &block.transactions {
            let sender = tx.signed.sender;
            pool.prune(sender, world.latest().account(sender).nonce);
        }
        block
    }

    fn forget_refused(&self, executed: &Executed) {
        let mut pool = self.pool();
        for (signed, reason) in &executed.refused {
            tracing::debug!(hash = %signed.hash, reason, "transaction dropped");
            pool.remove(&signed.hash);
        }
    }

    fn ready(&self) -> Vec<Arc<SignedTx>> {
        let world = self.world();
        let pool = self.pool();
        pool.ready(world.base_fee, |sender| {
            world.state.account(&sender).map_or(0, |info| info.nonce)
        })
    }

    fn announce_removed(&self, removed: Vec<Arc<Block>>) {
        for block in removed {
            let _ = self.events.send(ChainEvent::Removed(block));
        }
    }

    fn world_mut(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_mining(&self) -> MutexGuard<'_, ()> {
        self.mining.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reorg reaches past genesis or past the state that is kept.
#[derive(Debug, thiserror::Error)]
#[error("the chain does not reach that far back")]
pub(crate) struct ReorgTooDeep;
