//! Transactions that wait for a block, in the order in which they came, so that a block never has a child before its
//! parent.

use std::collections::{HashMap, HashSet};

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

#[derive(Default)]
pub(super) struct Pool {
    order: Vec<Txid>,
    /// With the second in which it came.
    by_txid: HashMap<Txid, (Transaction, u64)>,
    spent: HashSet<OutPoint>,
}

impl Pool {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn get(&self, txid: &Txid) -> Option<&(Transaction, u64)> {
        self.by_txid.get(txid)
    }

    pub(super) fn txids(&self) -> &[Txid] {
        &self.order
    }

    /// Whether something that waits spends this.
    pub(super) fn spends(&self, output: &OutPoint) -> bool {
        self.spent.contains(output)
    }

    /// An output of something that waits.
    pub(super) fn output(&self, output: &OutPoint) -> Option<&TxOut> {
        let (transaction, _) = self.by_txid.get(&output.txid)?;
        transaction.output.get(usize::try_from(output.vout).ok()?)
    }

    pub(super) fn insert(&mut self, txid: Txid, transaction: Transaction, at_s: u64) {
        let inputs = transaction.input.iter().map(|input| input.previous_output);
        self.spent.extend(inputs);
        self.order.push(txid);
        self.by_txid.insert(txid, (transaction, at_s));
    }

    /// Empties it.
    pub(super) fn take(&mut self) -> Vec<Transaction> {
        self.spent.clear();
        let mut waiting = std::mem::take(&mut self.by_txid);
        let order = std::mem::take(&mut self.order);
        let taken = order.iter().filter_map(|txid| waiting.remove(txid));
        taken.map(|(transaction, _)| transaction).collect()
    }
}
