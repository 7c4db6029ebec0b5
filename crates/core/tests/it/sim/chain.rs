//! A token on a chain: authorizations that work once before their expiry, a mempool that loses
//! and keeps, blocks that can be undone until they are final.

use std::collections::BTreeMap;

use super::books::Id;
use super::rng::Rng;

/// Blocks on top after which a block is final.
const FINAL_DEPTH: usize = 2;
/// Seconds between blocks.
const BLOCK_S: u64 = 2;

/// What the payer signed: whoever has it can broadcast it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authorization {
    pub(crate) id: Id,
    pub(crate) amount: i128,
    pub(crate) valid_before_s: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Settled { is_final: bool },
    Open,
    NeverWill,
}

pub(crate) struct Chain {
    pub(crate) now_s: u64,
    /// What the payer owned at the start.
    pub(crate) funds: i128,
    mempool: Vec<Authorization>,
    /// Transfers per block.
    blocks: Vec<(u64, Vec<Authorization>)>,
}

impl Chain {
    pub(crate) fn new(funds: i128) -> Self {
        Self {
            now_s: 1_000,
            funds,
            mempool: vec![],
            blocks: vec![(1_000, vec![])],
        }
    }

    pub(crate) fn broadcast(&mut self, authorization: Authorization) {
        self.mempool.push(authorization);
    }

    /// Mines some of what waits; expired, used and unfunded transactions revert and vanish.
    pub(crate) fn mine(&mut self, rng: &mut Rng) {
        self.now_s += BLOCK_S;
        let mut included = Vec::new();
        for tx in std::mem::take(&mut self.mempool) {
            if rng.chance(25) {
                self.mempool.push(tx);
                continue;
            }
            let used = self.used(tx.id) || included.iter().any(|t: &Authorization| t.id == tx.id);
            let moved = self.moved() + included.iter().map(|t| t.amount).sum::<i128>();
            if !used && self.now_s < tx.valid_before_s && moved + tx.amount <= self.funds {
                included.push(tx);
            }
        }
        self.blocks.push((self.now_s, included));
    }

    /// Undoes the newest block if it is not final. Its transactions wait again, or are lost.
    pub(crate) fn reorg(&mut self, rng: &mut Rng) -> bool {
        if self.blocks.len() < 2 {
            return false;
        }
        let (_, transactions) = self.blocks.pop().unwrap();
        let any = !transactions.is_empty();
        for tx in transactions {
            if rng.chance(50) {
                self.mempool.push(tx);
            }
        }
        // Blocks that were final stay final: the chain grows back at once.
        self.blocks.push((self.now_s, vec![]));
        any
    }

    pub(crate) fn used(&self, id: Id) -> bool {
        self.blocks
            .iter()
            .any(|(_, txs)| txs.iter().any(|t| t.id == id))
    }

    pub(crate) fn balance(&self) -> i128 {
        self.funds - self.moved()
    }

    /// Everything that has moved from payer to payee.
    pub(crate) fn moved(&self) -> i128 {
        self.blocks
            .iter()
            .flat_map(|(_, txs)| txs)
            .map(|t| t.amount)
            .sum()
    }

    pub(crate) fn transfers_by_id(&self) -> BTreeMap<Id, usize> {
        let mut count = BTreeMap::new();
        for tx in self.blocks.iter().flat_map(|(_, txs)| txs) {
            *count.entry(tx.id).or_default() += 1;
        }
        count
    }

    /// What a rail's `check` says: it asks the token, not a transaction.
    pub(crate) fn check(&self, authorization: &Authorization) -> Answer {
        let place = self
            .blocks
            .iter()
            .position(|(_, t)| t.iter().any(|t| t.id == authorization.id));
        match place {
            Some(place) => Answer::Settled {
                is_final: place + FINAL_DEPTH < self.blocks.len(),
            },
            None => {
                let final_block = self.blocks.len().saturating_sub(1 + FINAL_DEPTH);
                if self.blocks[final_block].0 >= authorization.valid_before_s {
                    Answer::NeverWill
                } else {
                    Answer::Open
                }
            }
        }
    }
}
