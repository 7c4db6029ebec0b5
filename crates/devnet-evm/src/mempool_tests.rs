//! The pool's bounds and its order.

use alloy_consensus::{Signed, TxEip1559, TxEnvelope};
use alloy_primitives::Signature;

use alloy_sol_types::SolValue as _;

use super::*;

const GWEI: u128 = 1_000_000_000;
const BASE_FEE: u64 = 1_000_000_000;

fn sender(number: usize) -> Address {
    Address::from_word(B256::from(U256::from(number + 1)))
}

fn tx(sender: Address, nonce: u64, max_fee_per_gas: u128) -> Arc<SignedTx> {
    let hash = alloy_primitives::keccak256((sender, nonce, max_fee_per_gas).abi_encode());
    let tx = TxEip1559 {
        nonce,
        max_fee_per_gas,
        max_priority_fee_per_gas: max_fee_per_gas,
        ..TxEip1559::default()
    };
    let envelope =
        TxEnvelope::Eip1559(Signed::new_unchecked(tx, Signature::test_signature(), hash));
    Arc::new(SignedTx {
        envelope,
        hash,
        sender,
        size: 0,
    })
}

fn nonces(ready: &[Arc<SignedTx>]) -> Vec<(Address, u64)> {
    ready
        .iter()
        .map(|tx| (tx.sender, tx.envelope.nonce()))
        .collect()
}

#[test]
fn a_full_pool_takes_replacements_only() {
    let mut pool = Pool::default();
    for number in 0..MAX_POOL_TRANSACTIONS {
        pool.insert(tx(sender(number), 0, 2 * GWEI))
            .expect("there is room");
    }
    let refused = pool.insert(tx(sender(MAX_POOL_TRANSACTIONS), 0, 2 * GWEI));
    assert!(matches!(refused, Err(PoolError::Full)));
    pool.insert(tx(sender(0), 0, 3 * GWEI))
        .expect("it replaces");
    assert_eq!(pool.len(), MAX_POOL_TRANSACTIONS);
    assert!(pool.remove(&tx(sender(1), 0, 2 * GWEI).hash));
    pool.insert(tx(sender(MAX_POOL_TRANSACTIONS), 0, 2 * GWEI))
        .expect("there is room again");
}

#[test]
fn a_transaction_takes_its_turn_after_those_it_waits_for() {
    let (early, late) = (sender(0), sender(1));
    let mut pool = Pool::default();
    // The early sender's second transaction arrives first, but cannot go before its own first, which arrives last.
    for (sender, nonce) in [(early, 1), (late, 0), (early, 0), (late, 2)] {
        pool.insert(tx(sender, nonce, 2 * GWEI))
            .expect("it is taken");
    }
    assert_eq!(
        nonces(&pool.ready(BASE_FEE, |_| 0)),
        [(late, 0), (early, 0), (early, 1)]
    );
    assert!(pool.is_ready(early, 0, 1, BASE_FEE) && !pool.is_ready(late, 0, 2, BASE_FEE));
    assert_eq!(
        (pool.next_nonce(early, 0), pool.next_nonce(late, 0)),
        (2, 1)
    );
}

#[test]
fn a_cheap_transaction_holds_its_successors_back() {
    let mut pool = Pool::default();
    pool.insert(tx(sender(0), 0, GWEI / 2))
        .expect("it is taken");
    pool.insert(tx(sender(0), 1, 2 * GWEI))
        .expect("it is taken");
    assert!(pool.ready(BASE_FEE, |_| 0).is_empty());
    assert_eq!(pool.ready(BASE_FEE / 2, |_| 0).len(), 2);
}

#[test]
fn what_is_used_up_leaves_and_whoever_waits_is_told() {
    let mut pool = Pool::default();
    let mut gone = pool
        .insert(tx(sender(0), 0, 2 * GWEI))
        .expect("it is taken");
    let mut stays = pool
        .insert(tx(sender(0), 1, 2 * GWEI))
        .expect("it is taken");
    pool.prune(sender(0), 1);
    assert!(
        gone.try_recv()
            .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
    );
    assert!(
        stays
            .try_recv()
            .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
    );
    assert_eq!(pool.len(), 1);
}
