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
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::payment::{Claim, Payment, Ticket};
use super::refusal::is_out_of_gas;
use super::seats::Ending;
use super::trip::Way;
use super::tx::Action;
use super::{Settler, Stop, Working, ours, pending, stop};
use crate::check;
use crate::handle::EvmHandle;
use crate::rpc::{Call, Quantity, decode};
use crate::wallets::{self, Task};

/// Room over the estimate, in hundredths: balances and storage change until the block is made.
const GAS_ROOM_PERCENT: u64 = 125;

impl Settler {
    /// Simulates for the caller, who may go away meanwhile, and sends.
    pub(super) async fn drive_alone(
        self: &Arc<Self>,
        payment: Payment,
        ending: Ending,
        deadline: Instant,
    ) -> Outcome {
        let has_begun = AtomicBool::new(false);
        let prepared = self.prepare(&payment.handle, &*payment.journal, &has_begun);
        match timeout_at(deadline, prepared).await {
            Ok(Ok(action)) => {
                let ticket = Ticket::new(payment);
                let claim = Claim(Arc::clone(&ticket));
                tokio::spawn(self.launch(vec![ticket], Way::Alone(action), None));
                self.wait_or_withdraw(ending, deadline, &claim).await
            }
            Ok(Err(Stop(outcome))) => {
                payment.finish(outcome.clone());
                outcome
            }
            Err(_) if has_begun.load(Ordering::Relaxed) => pending(),
            Err(_) => Outcome::Rejected(ours(&"the node did not answer in time; nothing was sent")),
        }
    }

    /// Simulates and sends each by itself: those whose company did not work out.
    pub(super) fn alone(self: &Arc<Self>, tickets: Vec<Arc<Ticket>>) -> Working {
        let settler = Arc::clone(self);
        Box::pin(async move {
            for ticket in tickets {
                // Left where it is, so that its caller may still take it back.
                let Some((handle, journal)) = ticket.look() else {
                    continue;
                };
                let has_begun = AtomicBool::new(false);
                let preparing = settler.prepare(&handle, &*journal, &has_begun);
                match preparing.instrument(ticket.span().clone()).await {
                    Ok(action) => {
                        settler.launch(vec![ticket], Way::Alone(action), None).await;
                    }
                    Err(Stop(outcome)) => ticket.finish(outcome),
                }
            }
        })
    }

    /// Everything up to the signature. May be dropped at any point.
    async fn prepare(
        &self,
        handle: &EvmHandle,
        journal: &dyn Journal,
        has_begun: &AtomicBool,
    ) -> Result<Action, Stop> {
        let task = wallets::task(&self.chain, &self.rpc, handle, &self.factories)
            .await
            .map_err(|refusal| match refusal.is_ours {
                true => stop(refusal.message),
                false => Stop(Outcome::Rejected(refusal)),
            })?;
        match self.simulate(handle, &task).await {
            Err(Stop(outcome @ Outcome::Unknown { .. })) => {
                self.record_stranger(handle, journal, has_begun).await?;
                Err(Stop(outcome))
            }
            simulated => Ok(Action {
                to: task.to,
                gas_limit: simulated?,
                data: task.data,
            }),
        }
    }

    /// Asks for the gas limit, which also tells whether the transfer would revert; for the count
    /// of transactions, so that another user of the key is noticed; and for the key's money.
    async fn simulate(&self, handle: &EvmHandle, task: &Task) -> Result<u64, Stop> {
        let lane = self
            .lanes
            .freest()
            .ok_or_else(|| stop("there is no gas key"))?;
        let asked = lane.nonces.epoch();
        let calls = [
            bounded_estimate_call(lane.address(), task),
            lane.count_call(),
            lane.money_call(),
        ];
        let results = self.rpc.batch(&calls).await.map_err(stop)?;
        let [estimate, count, money] =
            <[_; 3]>::try_from(results).map_err(|_| stop("the node left answers out"))?;
        if let Ok(count) = count {
            lane.observe(decode(count).map_err(stop)?, asked);
        }
        // A balance that cannot be read stops nothing: the node refuses what is not covered.
        if let Ok(Quantity(wei)) = money.and_then(decode::<Quantity>) {
            lane.has(wei);
        }
        let estimate = match estimate {
            // A wallet that burns what it is given has failed, however the node puts it.
            Err(error) if error.is_revert() || is_out_of_gas(&error) => {
                return Err(Stop(self.would_revert(handle, &error).await));
            }
            estimate => estimate.and_then(decode::<Quantity>).map_err(stop)?,
        };
        let estimate = u64::try_from(estimate.0).unwrap_or(u64::MAX);
        // The estimate was made under the same limit.
        let with_room = estimate.saturating_mul(GAS_ROOM_PERCENT) / 100;
        Ok(with_room.min(task.gas_max))
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

/// What the task takes, as long as that is no more than it may.
fn bounded_estimate_call(from: EvmAddress, task: &Task) -> Call {
    let data = alloy_primitives::hex::encode_prefixed(&task.data);
    let gas = format!("{:#x}", task.gas_max);
    let call = json!({"from": from, "to": task.to, "data": data, "gas": gas});
    Call::new("eth_estimateGas", json!([call]))
}
