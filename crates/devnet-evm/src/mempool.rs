//! Transactions that wait for a block: checked at the door with geth's words, mined in order of arrival.
//! Called by `chain`. It must never hold a transaction that the chain's rules can refuse at the door.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256};
use revm::state::AccountInfo;
use tokio::sync::oneshot;

use crate::exec;
use crate::signed::{DecodeError, SignedTx};

/// geth's default pool holds about 6,000; the rest is room for floods in tests.
pub(crate) const MAX_POOL_TRANSACTIONS: usize = 20_000;
/// EIP-3860.
const MAX_INIT_CODE_BYTES: usize = 49_152;
/// A replacement must pay a tenth more, as in geth.
const REPLACEMENT_BUMP_PERCENT: u128 = 10;

/// Why a transaction was not taken. The words are geth's, because clients match on them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("already known")]
    AlreadyKnown,
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow { next: u64, nonce: u64 },
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    #[error(
        "max priority fee per gas higher than max fee per gas: address {sender}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
    )]
    TipAboveFeeCap {
        sender: Address,
        tip: u128,
        max_fee: u128,
    },
    #[error("insufficient funds for gas * price + value: address {sender} have {have} want {want}")]
    InsufficientFunds {
        sender: Address,
        have: U256,
        want: U256,
    },
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas { gas: u64, needed: u64 },
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorGas { gas: u64, needed: u64 },
    #[error("exceeds block gas limit")]
    GasLimit,
    #[error("max initcode size exceeded: code size {size}, limit {MAX_INIT_CODE_BYTES}")]
    InitCodeSize { size: usize },
    #[error("sender not an eoa: address {0}")]
    SenderHasCode(Address),
    #[error("EIP-7702 transaction with empty auth list")]
    EmptyAuthorizations,
    #[error("EIP-7702 transaction cannot be used to create contract")]
    AuthorizationsCreate,
    #[error("txpool is full")]
    Full,
}

/// The waiting transactions.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    senders: HashMap<Address, BTreeMap<u64, Waiting>>,
    by_hash: HashMap<B256, (Address, u64)>,
    arrivals: u64,
}

#[derive(Debug)]
struct Waiting {
    signed: Arc<SignedTx>,
    arrival: u64,
    /// Dropped when the transaction leaves the pool: whoever waits for that is told.
    _gone: oneshot::Sender<()>,
}

/// Resolves (with an error, which means nothing) once the transaction has left the pool.
pub(crate) type Gone = oneshot::Receiver<()>;

/// The checks that need nothing but the transaction and its sender's account.
pub(crate) fn check(
    signed: &SignedTx,
    account: &AccountInfo,
    block_gas_limit: u64,
) -> Result<(), PoolError> {
    let tx = &signed.envelope;
    let sender = signed.sender;
    if tx.nonce() < account.nonce {
        return Err(PoolError::NonceTooLow {
            next: account.nonce,
            nonce: tx.nonce(),
        });
    }
    if tx.gas_limit() > block_gas_limit {
        return Err(PoolError::GasLimit);
    }
    let (tip, max_fee) = (
        tx.max_priority_fee_per_gas().unwrap_or_default(),
        tx.max_fee_per_gas(),
    );
    if tip > max_fee {
        return Err(PoolError::TipAboveFeeCap {
            sender,
            tip,
            max_fee,
        });
    }
    if tx.is_create() && tx.input().len() > MAX_INIT_CODE_BYTES {
        return Err(PoolError::InitCodeSize {
            size: tx.input().len(),
        });
    }
    if tx.authorization_list().is_some_and(<[_]>::is_empty) {
        return Err(PoolError::EmptyAuthorizations);
    }
    if tx.authorization_list().is_some() && tx.is_create() {
        return Err(PoolError::AuthorizationsCreate);
    }
    if account
        .code
        .as_ref()
        .is_some_and(|code| !code.is_empty() && !code.is_eip7702())
    {
        return Err(PoolError::SenderHasCode(sender));
    }
    let gas = tx.gas_limit();
    let (intrinsic, floor) = exec::minimum_gas(&signed.tx_env());
    if gas < intrinsic {
        return Err(PoolError::IntrinsicGas {
            gas,
            needed: intrinsic,
        });
    }
    if gas < floor {
        return Err(PoolError::FloorGas { gas, needed: floor });
    }
    let want = exec::upfront_cost(signed).unwrap_or(U256::MAX);
    if want > account.balance {
        return Err(PoolError::InsufficientFunds {
            sender,
            have: account.balance,
            want,
        });
    }
    Ok(())
}

impl Pool {
    /// Takes a transaction that passed [`check`].
    pub(crate) fn insert(&mut self, signed: Arc<SignedTx>) -> Result<Gone, PoolError> {
        if self.by_hash.contains_key(&signed.hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let (sender, nonce) = (signed.sender, signed.envelope.nonce());
        match self
            .senders
            .get(&sender)
            .and_then(|waiting| waiting.get(&nonce))
        {
            Some(old) if !outbids(&signed, &old.signed) => {
                return Err(PoolError::ReplacementUnderpriced);
            }
            Some(old) => {
                self.by_hash.remove(&old.signed.hash);
            }
            None if self.by_hash.len() >= MAX_POOL_TRANSACTIONS => return Err(PoolError::Full),
            None => {}
        }
        let (gone_tx, gone) = oneshot::channel();
        self.arrivals = self.arrivals.saturating_add(1);
        self.by_hash.insert(signed.hash, (sender, nonce));
        let waiting = Waiting {
            signed,
            arrival: self.arrivals,
            _gone: gone_tx,
        };
        self.senders
            .entry(sender)
            .or_default()
            .insert(nonce, waiting);
        Ok(gone)
    }

    /// Everything that could be mined now: per sender without a gap from the account's nonce on, in order of arrival.
    pub(crate) fn ready(
        &self,
        base_fee: u64,
        nonce_of: impl Fn(Address) -> u64,
    ) -> Vec<Arc<SignedTx>> {
        let mut ready = Vec::new();
        for (sender, waiting) in &self.senders {
            // A transaction is as late as the latest one that it has to wait for.
            let mut turn = 0;
            for (next, (nonce, tx)) in (nonce_of(*sender)..).zip(waiting.iter()) {
                if *nonce != next || tx.signed.envelope.max_fee_per_gas() < u128::from(base_fee) {
                    break;
                }
                turn = tx.arrival.max(turn);
                ready.push((turn, *nonce, Arc::clone(&tx.signed)));
            }
        }
        ready.sort_unstable_by_key(|(turn, nonce, _)| (*turn, *nonce));
        ready.into_iter().map(|(_, _, tx)| tx).collect()
    }

    /// Whether the transaction of this sender with this nonce would be among [`Pool::ready`].
    pub(crate) fn is_ready(
        &self,
        sender: Address,
        account_nonce: u64,
        nonce: u64,
        base_fee: u64,
    ) -> bool {
        let Some(waiting) = self.senders.get(&sender) else {
            return false;
        };
        (account_nonce..=nonce).all(|nonce| {
            waiting
                .get(&nonce)
                .is_some_and(|tx| tx.signed.envelope.max_fee_per_gas() >= u128::from(base_fee))
        })
    }

    /// The sender's next free nonce.
    pub(crate) fn next_nonce(&self, sender: Address, account_nonce: u64) -> u64 {
        let Some(waiting) = self.senders.get(&sender) else {
            return account_nonce;
        };
        (account_nonce..)
            .find(|nonce| !waiting.contains_key(nonce))
            .unwrap_or(u64::MAX)
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&Arc<SignedTx>> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        Some(&self.senders.get(sender)?.get(nonce)?.signed)
    }

    pub(crate) fn remove(&mut self, hash: &B256) -> bool {
        let Some((sender, nonce)) = self.by_hash.remove(hash) else {
            return false;
        };
        if let Some(waiting) = self.senders.get_mut(&sender) {
            waiting.remove(&nonce);
            if waiting.is_empty() {
                self.senders.remove(&sender);
            }
        }
        true
    }

    /// Removes what the sender has already used up.
    pub(crate) fn prune(&mut self, sender: Address, account_nonce: u64) {
        let Some(waiting) = self.senders.get_mut(&sender) else {
            return;
        };
        let kept = waiting.split_off(&account_nonce);
        for stale in std::mem::replace(waiting, kept).into_values() {
            self.by_hash.remove(&stale.signed.hash);
        }
        if waiting.is_empty() {
            self.senders.remove(&sender);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.senders.clear();
        self.by_hash.clear();
    }

    pub(crate) fn hashes(&self) -> Vec<B256> {
        self.by_hash.keys().copied().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }
}

fn outbids(new: &SignedTx, old: &SignedTx) -> bool {
    let bumped =
        |price: u128| price.saturating_add(price.saturating_mul(REPLACEMENT_BUMP_PERCENT) / 100);
    let fee = |tx: &SignedTx| tx.envelope.max_fee_per_gas();
    let tip = |tx: &SignedTx| tx.envelope.priority_fee_or_price();
    fee(new) >= bumped(fee(old)) && tip(new) >= bumped(tip(old)) && fee(new) > fee(old)
}

#[cfg(test)]
#[path = "mempool_tests.rs"]
mod tests;
