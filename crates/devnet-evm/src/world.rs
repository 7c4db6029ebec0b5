//! The chain's data: state, blocks, the index by hash, snapshots and the clock. Owned by `chain` behind one lock.
//! It must never do anything slow: transactions are executed elsewhere and arrive here as finished blocks.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, U256, keccak256};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::context::BlockEnv;
use revm::state::{AccountInfo, EvmState};

use crate::block::{Block, FEE_RECIPIENT, MinedTx};
use crate::state::{Past, Position, State};

/// More open snapshots than any test needs; the oldest is forgotten beyond it.
const MAX_SNAPSHOTS: usize = 1024;

/// 1 gwei a gas. It never moves unless a test moves it, so that fees are the same in every run.
pub(crate) const DEFAULT_BASE_FEE_WEI: u64 = 1_000_000_000;

/// State, blocks and time.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) state: State,
    /// From genesis to head; the index is the block number.
    blocks: Vec<Arc<Block>>,
    by_hash: HashMap<B256, u64>,
    transactions: HashMap<B256, (u64, usize)>,
    snapshots: Vec<Snapshot>,
    next_snapshot: u64,
    /// Blocks ever sealed, reorged ones included: makes every block hash unique.
    sealed: U256,
    pub(crate) clock: Clock,
    pub(crate) gas_limit: u64,
    pub(crate) base_fee: u64,
}

#[derive(Clone, Copy, Debug)]
struct Snapshot {
    id: u64,
    head: u64,
    position: Position,
    clock: Clock,
    base_fee: u64,
}

/// Chain time: the wall clock plus what tests added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    offset_s: i64,
    next_s: Option<u64>,
}

/// State as of one block, for the EVM.
#[derive(Debug)]
pub(crate) struct View<'a> {
    world: &'a World,
    past: Option<Past>,
}

impl World {
    /// A world without blocks, for genesis to fill.
    pub(crate) fn new(chain_id: u64, gas_limit: u64) -> Self {
        Self {
            state: State::default(),
            blocks: Vec::new(),
            by_hash: HashMap::new(),
            transactions: HashMap::new(),
            snapshots: Vec::new(),
            next_snapshot: 1,
            sealed: U256::from(chain_id) << 64,
            clock: Clock::default(),
            gas_limit,
            base_fee: DEFAULT_BASE_FEE_WEI,
        }
    }

    /// Makes what is in the state so far block 0.
    pub(crate) fn seal_genesis(&mut self) {
        let env = BlockEnv {
            number: U256::ZERO,
            ..self.next_env()
        };
        let genesis = self.seal(&env, Vec::new());
        self.append(genesis, Vec::new());
    }

    /// The newest block. There is always one: genesis is never removed.
    pub(crate) fn head(&self) -> Option<&Arc<Block>> {
        self.blocks.last()
    }

    pub(crate) fn head_number(&self) -> u64 {
        self.head().map_or(0, |block| block.number())
    }

    pub(crate) fn block(&self, number: u64) -> Option<&Arc<Block>> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn block_by_hash(&self, hash: &B256) -> Option<&Arc<Block>> {
        self.block(*self.by_hash.get(hash)?)
    }

    pub(crate) fn transaction(&self, hash: &B256) -> Option<(&Arc<Block>, &Arc<MinedTx>)> {
        let (number, index) = *self.transactions.get(hash)?;
        let block = self.block(number)?;
        Some((block, block.transactions.get(index)?))
    }

    /// The environment in which the next block will be executed.
    pub(crate) fn next_env(&self) -> BlockEnv {
        let parent_time = self.head().map_or(0, |block| block.header.timestamp);
        BlockEnv {
            number: U256::from(self.head_number().saturating_add(1)),
            beneficiary: FEE_RECIPIENT,
            timestamp: U256::from(self.clock.next(parent_time)),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            prevrandao: Some(keccak256(self.sealed.to_be_bytes::<32>())),
            ..BlockEnv::default()
        }
    }

    /// Makes a block of transactions that were executed in `env` on top of the head.
    pub(crate) fn seal(&self, env: &BlockEnv, transactions: Vec<Arc<MinedTx>>) -> Block {
        let parent = self.head().map_or(B256::ZERO, |block| block.hash);
        Block::seal(env, parent, transactions)
    }

    /// Appends a sealed block and what its transactions changed.
    pub(crate) fn append(&mut self, mut block: Block, changes: Vec<EvmState>) -> Arc<Block> {
        for change in changes {
            self.state.apply(change);
        }
        block.state_after = self.state.position();
        self.sealed = self.sealed.wrapping_add(U256::ONE);
        self.clock.next_s = None;
        self.by_hash.insert(block.hash, block.number());
        for tx in &block.transactions {
            self.transactions
                .insert(tx.signed.hash, (block.number(), tx.index));
        }
        let block = Arc::new(block);
        self.blocks.push(Arc::clone(&block));
        block
    }

    /// Removes the newest `depth` blocks and their effects, newest first. `None` if that many blocks are not kept.
    pub(crate) fn remove_blocks(&mut self, depth: u64) -> Option<Vec<Arc<Block>>> {
        let keep = self.head_number().checked_sub(depth)?;
        let position = self.block(keep)?.state_after;
        self.cut(keep, position)
    }

    pub(crate) fn snapshot(&mut self) -> u64 {
        let id = self.next_snapshot;
        self.next_snapshot = id.saturating_add(1);
        if self.snapshots.len() == MAX_SNAPSHOTS {
            self.snapshots.remove(0);
        }
        self.snapshots.push(Snapshot {
            id,
            head: self.head_number(),
            position: self.state.position(),
            clock: self.clock,
            base_fee: self.base_fee,
        });
        id
    }

    /// Goes back to a snapshot and forgets it and all later ones. `None` if it is unknown or no longer reachable.
    pub(crate) fn revert(&mut self, id: u64) -> Option<Vec<Arc<Block>>> {
        let index = self
            .snapshots
            .iter()
            .position(|snapshot| snapshot.id == id)?;
        let snapshot = *self.snapshots.get(index)?;
        let removed = self.cut(snapshot.head, snapshot.position)?;
        self.snapshots.truncate(index);
        self.clock = snapshot.clock;
        self.base_fee = snapshot.base_fee;
        Some(removed)
    }

    /// The newest state.
    pub(crate) fn latest(&self) -> View<'_> {
        View {
            world: self,
            past: None,
        }
    }

    /// The state after a block, if it is still kept.
    pub(crate) fn at(&self, block: &Block) -> Option<View<'_>> {
        if block.number() == self.head_number() {
            return Some(self.latest());
        }
        let past = self.state.past(block.state_after)?;
        Some(View {
            world: self,
            past: Some(past),
        })
    }

    fn cut(&mut self, head: u64, position: Position) -> Option<Vec<Arc<Block>>> {
        if head > self.head_number() || !self.state.undo_to(position) {
            return None;
        }
        let first = usize::try_from(head.saturating_add(1)).ok()?;
        let removed: Vec<_> = self.blocks.drain(first..).rev().collect();
        for block in &removed {
            self.by_hash.remove(&block.hash);
            for tx in &block.transactions {
                self.transactions.remove(&tx.signed.hash);
            }
        }
        self.snapshots
            .retain(|snapshot| snapshot.head <= head && snapshot.position <= position);
        Some(removed)
    }
}

impl Clock {
    /// The next block's timestamp: never before its parent's, and equal when several blocks fall into one second.
    fn next(&self, parent_s: u64) -> u64 {
        let now = wall_clock_s().saturating_add_signed(self.offset_s);
        self.next_s.unwrap_or(now).max(parent_s)
    }

    /// Moves time forward for good. Returns the total that has been added.
    pub(crate) fn increase(&mut self, seconds: u64) -> i64 {
        self.offset_s = self.offset_s.saturating_add_unsigned(seconds);
        self.offset_s
    }

    /// The next block gets exactly this timestamp, and time goes on from there.
    pub(crate) fn set_next(&mut self, timestamp_s: u64) {
        self.next_s = Some(timestamp_s);
        self.offset_s =
            i64::try_from(i128::from(timestamp_s) - i128::from(wall_clock_s())).unwrap_or(0);
    }
}

impl DatabaseRef for View<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let then = self.past.as_ref().and_then(|past| past.account(&address));
        Ok(then
            .unwrap_or_else(|| self.world.state.account(&address))
            .cloned())
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.world.state.code(&hash))
    }

    fn storage_ref(&self, address: Address, key: U256) -> Result<U256, Infallible> {
        let then = self
            .past
            .as_ref()
            .and_then(|past| past.slot(&address, &key));
        Ok(then.unwrap_or_else(|| self.world.state.slot(&address, &key)))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self
            .world
            .block(number)
            .map_or(B256::ZERO, |block| block.hash))
    }
}

impl View<'_> {
    /// An account, or the empty one.
    pub(crate) fn account(&self, address: Address) -> AccountInfo {
        match self.basic_ref(address) {
            Ok(info) => info.unwrap_or_default(),
        }
    }

    pub(crate) fn slot(&self, address: Address, key: U256) -> U256 {
        match self.storage_ref(address, key) {
            Ok(value) => value,
        }
    }
}

fn wall_clock_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
