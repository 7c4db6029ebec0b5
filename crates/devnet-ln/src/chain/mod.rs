//! A regtest chain: blocks with real work and real commitments, coins, and what waits for a block. The server asks it for
//! the nodes, and the handle pushes it around. Scripts and signatures are not run: both nodes are ours, and each checks the
//! other.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::absolute::{Height, LockTime, Time};
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::script::Builder;
use bitcoin::{
    Address, Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence,
    Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness, transaction,
};

mod pool;
pub(crate) mod rpc;
pub(crate) mod server;

use pool::Pool;

/// What a block pays its miner. There is no halving: the chain is young for ever.
const SUBSIDY: Amount = Amount::from_sat(50 * 100_000_000);
/// Easiest target there is: every second header meets it.
const BITS: u32 = 0x207f_ffff;
/// OP_TRUE: coins that the faucet may spend without a key.
const ANYONE: &[u8] = &[0x51];
/// What marks the witness commitment in a coinbase (BIP 141).
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Why a transaction was not taken, in the words of bitcoind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("bad-txns-inputs-missingorspent")]
    Missing,
    #[error("txn-mempool-conflict")]
    Conflict,
    #[error("bad-txns-in-belowout")]
    TooMuch,
    #[error("non-final")]
    TooEarly,
    #[error("bad-txns-vin-empty")]
    Empty,
    #[error("coinbase")]
    Coinbase,
}

/// The faucet has no coin that large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the faucet gives at most 49 bitcoin at a time")]
pub(crate) struct Dry;

/// The chain.
pub(crate) struct Chain {
    blocks: Vec<Block>,
    by_hash: HashMap<BlockHash, usize>,
    /// Where a transaction is: its block's height and its place there.
    by_txid: HashMap<Txid, (usize, usize)>,
    coins: HashMap<OutPoint, TxOut>,
    pool: Pool,
}

impl Chain {
    /// The genesis block of regtest.
    pub(crate) fn new() -> Self {
        let genesis = genesis_block(Network::Regtest);
        Self {
            by_hash: HashMap::from([(genesis.block_hash(), 0)]),
            blocks: vec![genesis],
            by_txid: HashMap::new(),
            coins: HashMap::new(),
            pool: Pool::default(),
        }
    }

    /// The newest block's height.
    pub(crate) fn height(&self) -> usize {
        self.blocks.len().saturating_sub(1)
    }

    /// Transactions that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.pool.len()
    }

    /// Whether this transaction waits or is in a block.
    pub(crate) fn knows(&self, txid: &Txid) -> bool {
        self.pool.get(txid).is_some() || self.by_txid.contains_key(txid)
    }

    /// Takes a transaction into the pool.
    pub(crate) fn submit(&mut self, transaction: Transaction) -> Result<Txid, Refused> {
        let txid = transaction.compute_txid();
        if self.knows(&txid) {
            return Ok(txid);
        }
        if transaction.is_coinbase() {
            return Err(Refused::Coinbase);
        }
        if transaction.input.is_empty() || transaction.output.is_empty() {
            return Err(Refused::Empty);
        }
        if !self.is_final(&transaction) {
            return Err(Refused::TooEarly);
        }
        let mut paid_in = Amount::ZERO;
        for input in &transaction.input {
            if self.pool.spends(&input.previous_output) {
                return Err(Refused::Conflict);
            }
            let coin = self
                .coins
                .get(&input.previous_output)
                .or_else(|| self.pool.output(&input.previous_output))
                .ok_or(Refused::Missing)?;
            paid_in = paid_in.checked_add(coin.value).ok_or(Refused::TooMuch)?;
        }
        let outputs = transaction.output.iter().map(|output| output.value);
        let paid_out = outputs
            .into_iter()
            .try_fold(Amount::ZERO, Amount::checked_add)
            .ok_or(Refused::TooMuch)?;
        if paid_out > paid_in {
            return Err(Refused::TooMuch);
        }
        self.pool.insert(txid, transaction, now_s());
        Ok(txid)
    }

    /// Sends coins to an address. They are in the next block. The maturity of coinbases is waived.
    pub(crate) fn fund(&mut self, to: &Address, amount: Amount) -> Result<Txid, Dry> {
        let anyone = ScriptBuf::from_bytes(ANYONE.to_vec());
        if amount >= SUBSIDY {
            return Err(Dry);
        }
        // A coin of a block each: what waits stays independent of what waited before.
        self.mine_one(anyone.clone());
        let coinbase = self.blocks.last().and_then(|block| block.txdata.first());
        let source = coinbase.map(Transaction::compute_txid).ok_or(Dry)?;
        let transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(source, 0),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![
                TxOut {
                    value: amount,
                    script_pubkey: to.script_pubkey(),
                },
                TxOut {
                    value: SUBSIDY.checked_sub(amount).ok_or(Dry)?,
                    script_pubkey: anyone,
                },
            ],
        };
        self.submit(transaction).map_err(|_| Dry)
    }

    /// Mines blocks; the first takes everything that waits.
    pub(crate) fn mine(&mut self, count: usize) {
        for _ in 0..count {
            self.mine_one(ScriptBuf::from_bytes(ANYONE.to_vec()));
        }
    }

    /// Mines a block that pays its subsidy to this script.
    fn mine_one(&mut self, to: ScriptBuf) {
        let height = self.blocks.len();
        let Some(previous) = self.blocks.last().map(|block| block.header) else {
            return;
        };
        let mut transactions = vec![coinbase(height, to)];
        transactions.extend(self.pool.take());
        let mut block = Block {
            header: Header {
                version: Version::from_consensus(0x2000_0000),
                prev_blockhash: previous.block_hash(),
                merkle_root: TxMerkleNode::all_zeros(),
                time: now_s_u32().max(previous.time.saturating_add(1)),
                bits: CompactTarget::from_consensus(BITS),
                nonce: 0,
            },
            txdata: transactions,
        };
        commit(&mut block);
        let target = block.header.target();
        while block.header.validate_pow(target).is_err() {
            block.header.nonce = block.header.nonce.wrapping_add(1);
        }
        for (place, transaction) in block.txdata.iter().enumerate() {
            let txid = transaction.compute_txid();
            for input in &transaction.input {
                self.coins.remove(&input.previous_output);
            }
            for (number, output) in (0u32..).zip(&transaction.output) {
                if !output.script_pubkey.is_op_return() {
                    self.coins
                        .insert(OutPoint::new(txid, number), output.clone());
                }
            }
            self.by_txid.insert(txid, (height, place));
        }
        self.by_hash.insert(block.block_hash(), height);
        self.blocks.push(block);
    }

    fn is_final(&self, transaction: &Transaction) -> bool {
        if !transaction.is_lock_time_enabled() {
            return true;
        }
        let next = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        let (Ok(height), Ok(time)) = (
            Height::from_consensus(next),
            Time::from_consensus(now_s_u32()),
        ) else {
            return false;
        };
        transaction.lock_time.is_satisfied_by(height, time)
    }

    fn tip(&self) -> Option<&Block> {
        self.blocks.last()
    }

    fn height_of(&self, hash: &BlockHash) -> Option<usize> {
        self.by_hash.get(hash).copied()
    }

    /// Looks in the pool and in all blocks.
    fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        self.pool.get(txid).map(|(known, _)| known).or_else(|| {
            let (height, place) = self.by_txid.get(txid)?;
            self.blocks.get(*height)?.txdata.get(*place)
        })
    }
}

/// A block's first transaction. The height in it (BIP 34) makes it one of a kind.
fn coinbase(height: usize, to: ScriptBuf) -> Transaction {
    let height = i64::try_from(height).unwrap_or(i64::MAX);
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new().push_int(height).push_int(0).into_script(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0u8; 32]]),
        }],
        output: vec![TxOut {
            value: SUBSIDY,
            script_pubkey: to,
        }],
    }
}

/// Writes the witness commitment and the root of all transactions.
fn commit(block: &mut Block) {
    if let Some(root) = block.witness_root() {
        let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
        let mut script = COMMITMENT.to_vec();
        script.extend_from_slice(commitment.as_byte_array());
        if let Some(coinbase) = block.txdata.first_mut() {
            coinbase.output.push(TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from_bytes(script),
            });
        }
    }
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn now_s_u32() -> u32 {
    u32::try_from(now_s()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
