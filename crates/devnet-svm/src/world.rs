//! The chain's data: the virtual machine, slots, blockhashes, and what has landed. Owned by `chain` behind one lock.
//! It decides what a leader would: which transactions are executed, and which never land.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use litesvm::LiteSVM;
use solana_account::Account;
use solana_address::Address;
use solana_clock::Clock;
use solana_hash::Hash;
use solana_message::{Message, VersionedMessage};
use solana_signature::Signature;
use solana_signer::Signer as _;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::landed::{Landed, Simulated, balances};
use crate::options::{BLOCKHASH_LIFE_BLOCKS, DevnetSvmOptions, MAX_FINAL_DEPTH, authority};
use crate::past::Past;
use crate::time::Time;

/// The first slot. Far enough from the block height that a client that takes one for the other is found out.
const FIRST_SLOT: u64 = 1000;
/// Slots in which no block was made: so much less is the block height.
const SKIPPED_SLOTS: u64 = 100;
/// Blocks that are kept: enough for the deepest finality and a blockhash's life before it.
const KEPT_BLOCKS: usize = 512;
/// Transactions that may wait for a slot. A node's queue is as short.
const MAX_WAITING: usize = 10_000;
/// Accounts that one transaction may lock.
const MAX_LOCKS: usize = solana_transaction::sanitized::MAX_TX_ACCOUNT_LOCKS;
/// More than any test needs; each costs a hash.
const MAX_ADVANCE: u64 = 100_000;

/// How far a node is with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Commitment {
    Processed,
    Confirmed,
    Finalized,
}

/// One block, which is one slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) slot: u64,
    pub(crate) height: u64,
    pub(crate) hash: Hash,
    pub(crate) time_s: i64,
}

impl Block {
    /// The last block in which a transaction with this block's hash may land.
    pub(crate) fn last_valid_height(&self) -> u64 {
        self.height.saturating_add(BLOCKHASH_LIFE_BLOCKS)
    }
}

/// State, blocks and time.
pub(crate) struct World {
    svm: LiteSVM,
    past: Past,
    /// Oldest first; never empty.
    blocks: VecDeque<Block>,
    newest: Block,
    landed: HashMap<Signature, Arc<Landed>>,
    /// By the hash of the message: what runs once, whoever signed it and how.
    messages: HashSet<Hash>,
    by_address: HashMap<Address, Vec<Arc<Landed>>>,
    waiting: VecDeque<VersionedTransaction>,
    pub(crate) time: Time,
    confirmed_depth: u64,
    final_depth: u64,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("newest", &self.newest)
            .field("landed", &self.landed.len())
            .finish_non_exhaustive()
    }
}

impl World {
    /// A chain with the programs that every Solana network has, and nobody on it.
    pub(crate) fn new(options: &DevnetSvmOptions) -> Self {
        // Signatures, blockhashes and repeats are checked here: the machine knows one blockhash alone, and no commitment.
        let svm = LiteSVM::new()
            .with_sigverify(false)
            .with_blockhash_check(false)
            .with_transaction_history(0);
        let time = Time::default();
        let newest = Block {
            slot: FIRST_SLOT,
            height: FIRST_SLOT.saturating_sub(SKIPPED_SLOTS),
            hash: time.salt(),
            time_s: time.now_s(),
        };
        let final_depth = options.final_depth.min(MAX_FINAL_DEPTH);
        let mut world = Self {
            svm,
            past: Past::default(),
            blocks: VecDeque::from([newest]),
            newest,
            landed: HashMap::new(),
            messages: HashSet::new(),
            by_address: HashMap::new(),
            waiting: VecDeque::new(),
            time,
            confirmed_depth: options.confirmed_depth.min(final_depth),
            final_depth,
        };
        // So that there is a finalized block, with a past, from the start.
        world.advance(MAX_FINAL_DEPTH);
        world
    }

    /// The newest block that is this far.
    pub(crate) fn block(&self, commitment: Commitment) -> Block {
        let depth = match commitment {
            Commitment::Processed => 0,
            Commitment::Confirmed => self.confirmed_depth,
            Commitment::Finalized => self.final_depth,
        };
        let index = usize::try_from(depth)
            .ok()
            .and_then(|depth| self.blocks.len().checked_sub(depth)?.checked_sub(1));
        let block = index.and_then(|index| self.blocks.get(index));
        block.copied().unwrap_or(self.newest)
    }

    /// The block of a slot, if it is still kept.
    pub(crate) fn block_at(&self, slot: u64) -> Option<Block> {
        let index = self.blocks.binary_search_by_key(&slot, |block| block.slot);
        self.blocks.get(index.ok()?).copied()
    }

    /// How far the block of a slot is.
    pub(crate) fn commitment(&self, slot: u64) -> Commitment {
        [Commitment::Finalized, Commitment::Confirmed]
            .into_iter()
            .find(|commitment| slot <= self.block(*commitment).slot)
            .unwrap_or(Commitment::Processed)
    }

    /// Blocks after a slot, for `confirmations`.
    pub(crate) fn depth(&self, slot: u64) -> u64 {
        self.newest.slot.saturating_sub(slot)
    }

    /// Whether the block that is this far takes a blockhash: a block knows no hash that is newer than itself.
    pub(crate) fn takes(&self, hash: &Hash, commitment: Commitment) -> bool {
        let height = self.block(commitment).height;
        let known = self.blocks.iter().rev().find(|block| block.hash == *hash);
        known.is_some_and(|block| block.height <= height && height <= block.last_valid_height())
    }

    /// An account as it was in the newest block that is this far.
    pub(crate) fn account(&self, address: &Address, commitment: Commitment) -> Option<Account> {
        let slot = self.block(commitment).slot;
        match self.past.at(address, slot) {
            Some(before) => before.clone(),
            None => self.svm.get_account(address),
        }
    }

    /// Accounts of a program, in no order.
    pub(crate) fn owned_by(
        &self,
        program: &Address,
        commitment: Commitment,
    ) -> Vec<(Address, Account)> {
        let known = self.svm.accounts_db().inner.keys();
        let accounts =
            known.filter_map(|address| Some((*address, self.account(address, commitment)?)));
        accounts
            .filter(|(_, account)| account.owner == *program)
            .collect()
    }

    /// Sets an account as if it had always been so. Lamports below what its size needs are raised to that.
    pub(crate) fn set_account(&mut self, address: Address, mut account: Account) {
        let least = self.rent_exempt(account.data.len());
        account.lamports = account.lamports.max(least);
        self.past.forget(&address);
        if let Err(error) = self.svm.set_account(address, account) {
            tracing::error!(%error, %address, "the machine refuses an account");
        }
    }

    /// Removes an account as if it had never been.
    pub(crate) fn remove_account(&mut self, address: Address) {
        self.past.forget(&address);
        if let Err(error) = self.svm.set_account(address, Account::default()) {
            tracing::error!(%error, %address, "the machine keeps an account");
        }
    }

    /// Lamports that an account of this size has to hold.
    pub(crate) fn rent_exempt(&self, data_len: usize) -> u64 {
        self.svm.minimum_balance_for_rent_exemption(data_len)
    }

    pub(crate) fn landed(&self, signature: &Signature) -> Option<&Arc<Landed>> {
        self.landed.get(signature)
    }

    /// Transactions that named an address, oldest first.
    pub(crate) fn landed_of(&self, address: &Address) -> &[Arc<Landed>] {
        self.by_address.get(address).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn landed_count(&self) -> usize {
        self.landed.len()
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &VersionedTransaction> {
        self.waiting.iter()
    }

    /// Forgets what waits.
    pub(crate) fn drop_waiting(&mut self) -> usize {
        std::mem::take(&mut self.waiting).len()
    }

    /// Keeps a transaction for the next slot. One too many is dropped, as a leader does.
    pub(crate) fn wait(&mut self, tx: VersionedTransaction) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(tx);
        }
    }

    /// Makes blocks; what waits is executed in the first of them.
    pub(crate) fn advance(&mut self, slots: u64) {
        for _ in 0..slots.min(MAX_ADVANCE) {
            self.next_block();
            if !self.waiting.is_empty() {
                self.tell_time();
                self.execute_waiting();
            }
        }
        self.tell_time();
    }

    /// Executes in the newest block what waits.
    pub(crate) fn execute_waiting(&mut self) {
        for tx in std::mem::take(&mut self.waiting) {
            self.execute(tx);
        }
    }

    /// Executes a transaction in the newest block, or drops it where no leader would include it.
    pub(crate) fn execute(&mut self, tx: VersionedTransaction) {
        if is_signed(&tx) && self.check(&tx, Commitment::Processed).is_ok() {
            self.land(tx);
        }
    }

    /// What every block asks before it executes anything. Signatures are another matter.
    pub(crate) fn check(
        &self,
        tx: &VersionedTransaction,
        commitment: Commitment,
    ) -> Result<(), TransactionError> {
        let keys = tx.message.static_account_keys();
        if keys.len() > MAX_LOCKS {
            return Err(TransactionError::TooManyAccountLocks);
        }
        let mut seen = HashSet::new();
        if !keys.iter().all(|key| seen.insert(key)) {
            return Err(TransactionError::AccountLoadedTwice);
        }
        if !self.takes(tx.message.recent_blockhash(), commitment) {
            return Err(TransactionError::BlockhashNotFound);
        }
        if self.messages.contains(&tx.message.hash()) {
            return Err(TransactionError::AlreadyProcessed);
        }
        Ok(())
    }

    /// Checks a transaction at a block and executes it on the newest state, without leaving a trace. Signatures are another
    /// matter.
    pub(crate) fn simulate(&self, tx: &VersionedTransaction, commitment: Commitment) -> Simulated {
        if let Err(error) = self.check(tx, commitment) {
            return Simulated::failed(error);
        }
        match self.svm.simulate_transaction(tx.clone()) {
            Ok(info) => Simulated {
                error: None,
                meta: info.meta,
                accounts: info
                    .post_accounts
                    .into_iter()
                    .map(|(address, account)| (address, account.into()))
                    .collect(),
            },
            Err(failure) => Simulated {
                meta: failure.meta,
                ..Simulated::failed(failure.err)
            },
        }
    }

    /// What a message costs, in lamports, whether or not it would succeed.
    pub(crate) fn fee(&self, message: VersionedMessage) -> u64 {
        let signers = usize::from(message.header().num_required_signatures);
        let tx = VersionedTransaction {
            signatures: vec![Signature::default(); signers],
            message,
        };
        match self.svm.simulate_transaction(tx) {
            Ok(info) => info.meta.fee,
            Err(failed) => failed.meta.fee,
        }
    }

    /// A transfer from the devnet's own purse, to be sent like any other.
    pub(crate) fn airdrop(&self, to: &Address, lamports: u64) -> VersionedTransaction {
        let purse = authority();
        let transfer = solana_system_interface::instruction::transfer(&purse.address, to, lamports);
        let message =
            Message::new_with_blockhash(&[transfer], Some(&purse.address), &self.newest.hash);
        let message = VersionedMessage::Legacy(message);
        VersionedTransaction {
            signatures: vec![purse.keypair().sign_message(&message.serialize())],
            message,
        }
    }

    fn land(&mut self, tx: VersionedTransaction) {
        let keys = tx.message.static_account_keys().to_vec();
        let slot = self.newest.slot;
        if self.final_depth > 0 {
            let final_slot = self.block(Commitment::Finalized).slot;
            for (index, key) in keys.iter().enumerate() {
                if tx.message.is_maybe_writable(index, None) {
                    let before = self.svm.get_account(key);
                    self.past.note(*key, slot, final_slot, before);
                }
            }
        }
        let before = balances(&self.svm, &keys);
        let (error, meta) = match self.svm.send_transaction(tx.clone()) {
            Ok(meta) => (None, meta),
            // No context was made for it: a leader does not include it either, and nobody pays a fee.
            Err(failed) if failed.meta.signature == Signature::default() => return,
            Err(failed) => (Some(failed.err), failed.meta),
        };
        let after = balances(&self.svm, &keys);
        self.messages.insert(tx.message.hash());
        let landed = Arc::new(Landed {
            slot,
            time_s: self.newest.time_s,
            error,
            meta,
            before,
            after,
            transaction: tx,
        });
        for key in keys {
            let of_key = self.by_address.entry(key).or_default();
            of_key.push(Arc::clone(&landed));
        }
        self.landed.insert(landed.signature(), landed);
    }

    /// Shows programs the newest block's slot and time. Not for every block: it costs the machine a copy of all accounts.
    fn tell_time(&mut self) {
        let clock = Clock {
            slot: self.newest.slot,
            unix_timestamp: self.newest.time_s,
            ..self.svm.get_sysvar::<Clock>()
        };
        self.svm.set_sysvar(&clock);
    }

    fn next_block(&mut self) {
        let parent = self.newest;
        let mut contents = parent.hash.to_bytes().to_vec();
        contents.extend(parent.slot.to_le_bytes());
        let block = Block {
            slot: parent.slot.saturating_add(1),
            height: parent.height.saturating_add(1),
            hash: VersionedMessage::hash_raw_message(&contents),
            time_s: self.time.now_s().max(parent.time_s),
        };
        self.newest = block;
        self.blocks.push_back(block);
        if self.blocks.len() > KEPT_BLOCKS {
            self.blocks.pop_front();
        }
    }
}

/// Whether every signature that the message asks for is there and right.
pub(crate) fn is_signed(tx: &VersionedTransaction) -> bool {
    tx.verify_with_results()
        .into_iter()
        .all(|is_right| is_right)
}
