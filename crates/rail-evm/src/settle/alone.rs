//! One payment in a transaction of its own: simulated first, which gives the gas limit and the
//! reason where it cannot work.
//!
//! Called for whatever may not share a transaction: payers that may have code, signatures that a
//! contract checks, payments that failed in company. Must never sign before it has simulated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use farebox_core::rail::{Journal, Outcome, SentTransaction};
use farebox_wire::evm::EvmAddress;
use serde_json::json;

use super::fees::Fee;
use super::seats::Seat;
use super::send::Handed;
use super::tx::{Action, sign};
use super::{Settler, Stop, ours, stop};
use crate::abi;
use crate::check;
use crate::handle::EvmHandle;
use crate::rpc::{Call, Quantity, decode};

/// Tries to hand one payment over; each costs a new signature and a line in the journal.
const SEND_TRIES: u32 = 5;
/// A transfer needs well under 100,000; rollups add their own. More than this is a trap.
pub(super) const GAS_MAX: u64 = 1_000_000;
/// Room over the estimate, in hundredths: balances and storage change until the block is made.
const GAS_ROOM_PERCENT: u64 = 125;

/// What a transaction has to do, before its gas limit is known.
struct Task {
    to: EvmAddress,
    data: Vec<u8>,
    /// More gas than this is a trap.
    gas_max: u64,
}

/// What has to be called for `handle`.
fn task_of(handle: &EvmHandle) -> Result<Task, Stop> {
    let signature = handle.signature().ok_or_else(|| {
        Stop(Outcome::Rejected(ours(
            &"the stored payment has no signature",
        )))
    })?;
    Ok(Task {
        to: handle.token,
        data: abi::transfer_with_authorization(&handle.transfer, &signature),
        gas_max: GAS_MAX,
    })
}

/// What the chain said before anything was signed.
struct Simulated {
    gas_limit: u64,
    /// What the gas key's account has.
    gas_money_wei: Option<u128>,
}

impl Simulated {
    /// Whether the gas key can pay, as far as is known.
    fn is_covered(&self, fee: Fee) -> bool {
        let most = fee.max.saturating_mul(u128::from(self.gas_limit));
        self.gas_money_wei.is_none_or(|wei| wei >= most)
    }
}

impl Settler {
    /// Everything up to the moment at which a node has the transaction. May be dropped at any
    /// point: what has left is followed by its own task, and what has not gives its nonce back.
    pub(super) async fn hand_over(
        self: &Arc<Self>,
        handle: &EvmHandle,
        mut seat: Seat,
        journal: &dyn Journal,
        has_begun: &AtomicBool,
    ) -> Result<(), Stop> {
        let task = task_of(handle)?;
        let simulated = match self.simulate(handle, &task).await {
            Err(Stop(outcome @ Outcome::Unknown { .. })) => {
                self.record_stranger(handle, journal, has_begun).await?;
                return Err(Stop(outcome));
            }
            simulated => simulated?,
        };
        for _ in 0..SEND_TRIES {
            let fee = self.fees.current(&self.rpc).await.map_err(stop)?;
            if !simulated.is_covered(fee) {
                return Err(Stop(Outcome::Rejected(self.unfunded())));
            }
            let lease = self
                .nonces
                .lease()
                .ok_or_else(|| Stop(Outcome::Rejected(ours(&"no transaction nonce is known"))))?;
            let action = Action {
                to: task.to,
                data: task.data.clone(),
                gas_limit: simulated.gas_limit,
            };
            let tx = sign(&self.key, self.chain.number, lease.nonce(), fee, action);
            let line = SentTransaction {
                hash: tx.hash.to_string(),
                signer: Some(self.key.address().to_string()),
                nonce: Some(lease.nonce()),
            };
            has_begun.store(true, Ordering::Relaxed);
            // Law 2: without the journal's line nothing leaves.
            journal.sending(&line).await.map_err(stop)?;
            match self.send(tx, lease, seat, handle.clone()).await {
                Handed::Over => return Ok(()),
                Handed::Refused(refusal) => return Err(Stop(Outcome::Rejected(refusal))),
                Handed::Again(again) => seat = again,
            }
        }
        Err(Stop(Outcome::Rejected(ours(
            &"the node refused every nonce; another program seems to use the gas key",
        ))))
    }

    /// Asks for the gas limit, which also tells whether the transfer would revert; for the count
    /// of transactions, so that another user of the key is noticed; and for the key's money.
    async fn simulate(&self, handle: &EvmHandle, task: &Task) -> Result<Simulated, Stop> {
        let asked = self.nonces.epoch();
        let calls = [
            self.estimate_call(task.to, &task.data),
            self.count_call(),
            Call::new("eth_getBalance", json!([self.key.address(), "latest"])),
        ];
        let results = self.rpc.batch(&calls).await.map_err(stop)?;
        let [estimate, count, balance] =
            <[_; 3]>::try_from(results).map_err(|_| stop("the node left answers out"))?;
        if let Ok(count) = count {
            self.observe(decode(count).map_err(stop)?, asked);
        }
        let estimate = match estimate {
            Err(error) if error.is_revert() => {
                return Err(Stop(self.would_revert(handle, &error).await));
            }
            estimate => estimate.and_then(decode::<Quantity>).map_err(stop)?,
        };
        let estimate = u64::try_from(estimate.0).unwrap_or(u64::MAX);
        let gas_limit = estimate.saturating_mul(GAS_ROOM_PERCENT) / 100;
        if gas_limit > task.gas_max {
            return Err(stop(format!(
                "the transfer would need {gas_limit} gas, more than the {} allowed",
                task.gas_max
            )));
        }
        // A balance that cannot be read stops nothing: the node refuses what is not covered.
        let gas_money_wei = balance.and_then(decode::<Quantity>).ok().map(|wei| wei.0);
        Ok(Simulated {
            gas_limit,
            gas_money_wei,
        })
    }

    /// Somebody else's transaction has used the authorization, but not deep enough to serve. It
    /// goes on record as if it were ours, so that the books wait for it.
    async fn record_stranger(
        &self,
        handle: &EvmHandle,
        journal: &dyn Journal,
        has_begun: &AtomicBool,
    ) -> Result<(), Stop> {
        let found = check::find_payment(&self.rpc, handle).await;
        if let Some(hash) = found.map_err(stop)? {
            has_begun.store(true, Ordering::Relaxed);
            let line = SentTransaction::by_stranger(hash.to_string());
            journal.sending(&line).await.map_err(stop)?;
        }
        Ok(())
    }
}
