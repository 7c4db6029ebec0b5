//! What settlements have come to: the logs of their transaction or, where those are missing, the
//! token's own word.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use farebox_core::rail::{Finding, Outcome, Proof};
use farebox_wire::x402::reason::Reason;

use super::payment::{Payment, Ticket};
use super::refusal::reverted;
use super::trip::{Trip, Way};
use super::{Settler, ours, pending};
use crate::abi;
use crate::check::{self, Said, is_used_at, read_bool};
use crate::events::Paid;
use crate::examine::refusal as refused;
use crate::handle::EvmHandle;
use crate::network::Finality;
use crate::rpc::{Call, Data, Quantity, Receipt, RpcError, block_number, decode};

impl Settler {
    /// The end of a trip whose transaction is in a block.
    pub(super) async fn arrived(self: Arc<Self>, mut trip: Trip, receipt: Receipt, head: u64) {
        let most = trip
            .fee
            .max
            .saturating_mul(trip.way.gas_limit(trip.payments.len()).into());
        let cost_wei = receipt.cost_wei().unwrap_or(most);
        trip.lane.paid(cost_wei, self.clock.now_s());
        let payments = std::mem::take(&mut trip.payments);
        let all = payments.len();
        let way = trip.way.clone();
        trip.hold.spend(cost_wei);
        drop((trip.lease, trip.stake, trip.stuck));
        self.clear_stuck_alarm();
        let missing = self.publish_paid(payments, &receipt, head);
        for payment in &missing {
            self.chain
                .payers
                .failed(payment.handle.token, payment.payer());
        }
        if missing.is_empty() && all > 0 {
            self.learn(&way, all, &receipt);
        }
        tracing::info!(hash = %receipt.transaction_hash, payments = all, missing = missing.len(), "settled");
        // Callers of the next transaction come back now.
        drop(trip.underway);
        match way {
            Way::Shared(_) => self.missing_in_company(missing, &receipt).await,
            Way::Alone(_) | Way::Nothing(_) => self.missing_alone(missing, &receipt).await,
        }
    }

    /// The end of a trip whose nonce somebody else's transaction has used.
    pub(super) async fn displaced(self: Arc<Self>, mut trip: Trip) {
        for payment in std::mem::take(&mut trip.payments) {
            let outcome = self.ask(&payment.handle, "latest").await;
            payment.finish(outcome.unwrap_or_else(pending));
        }
        drop(trip);
        self.clear_stuck_alarm();
    }

    /// To be called when a trip is over.
    fn clear_stuck_alarm(&self) {
        if self.stuck.load(Ordering::Relaxed) == 0 {
            self.stuck_alarm.clear();
        }
    }

    /// Tells those whose payment is in the logs, and returns the others.
    fn publish_paid(&self, payments: Vec<Payment>, receipt: &Receipt, head: u64) -> Vec<Payment> {
        let Some(token) = payments.first().map(|p| p.handle.token) else {
            return Vec::new();
        };
        let paid = Paid::of(receipt, token);
        let mut missing = Vec::new();
        for payment in payments {
            let transfer = &payment.handle.transfer;
            if paid.has(transfer) {
                payment.finish(self.settled(receipt, head));
            } else {
                missing.push(payment);
            }
        }
        missing
    }

    fn settled(&self, receipt: &Receipt, head: u64) -> Outcome {
        let above = head.saturating_sub(receipt.block_number);
        Outcome::Settled {
            transaction: receipt.transaction_hash.to_string(),
            is_final: match self.chain.network.finality {
                Finality::Blocks(depth) => above >= depth,
                // Not before the chain says so, which takes minutes.
                Finality::Finalized => false,
            },
            proof: Proof::Chain,
        }
    }

    fn learn(&self, way: &Way, payments: usize, receipt: &Receipt) {
        let token = match way {
            Way::Shared(shared) => Some(shared.token()),
            // A plain transfer, as the first of a token is.
            Way::Alone(action) if self.chain.token(action.to).is_some() => Some(action.to),
            Way::Alone(_) | Way::Nothing(_) => None,
        };
        if let (Some(token), Some(Quantity(used))) = (token, receipt.gas_used) {
            self.costs.seen(token, payments, used);
        }
    }

    /// Payments that a transaction of many did not make: settled by somebody else, refused by the
    /// token, or the victims of a revert of all.
    async fn missing_in_company(self: &Arc<Self>, missing: Vec<Payment>, receipt: &Receipt) {
        if missing.is_empty() {
            return;
        }
        if receipt.status != 1 && missing.len() > 1 {
            // Each half is estimated before it is sent again.
            let mut tickets: Vec<_> = missing.into_iter().map(Ticket::new).collect();
            let rest = tickets.split_off(tickets.len() / 2);
            for half in [tickets, rest] {
                tokio::spawn(self.share(half, true, None));
            }
            return;
        }
        let used = self.are_used(&missing, receipt.block_number).await;
        for (payment, is_used) in missing.into_iter().zip(used) {
            match is_used {
                Some(false) => {
                    self.suspects.note(payment.payer());
                    // Simulated alone, it says why.
                    tokio::spawn(self.alone(vec![Ticket::new(payment)]));
                }
                Some(true) => {
                    let at = block_number(receipt.block_number);
                    let outcome = self.ask(&payment.handle, &at).await.unwrap_or_else(pending);
                    if matches!(outcome, Outcome::Rejected(_)) {
                        self.suspects.note(payment.payer());
                    }
                    payment.finish(outcome);
                }
                None => payment.finish(pending()),
            }
        }
    }

    /// A payment alone in its transaction, which moved nothing: because somebody else's came
    /// first, or because it cannot work.
    async fn missing_alone(&self, missing: Vec<Payment>, receipt: &Receipt) {
        // Asked at its own block, so that a node that lags behind does not answer from before it.
        let at = block_number(receipt.block_number);
        let hash = receipt.transaction_hash;
        for payment in missing {
            let outcome = self.ask(&payment.handle, &at).await.unwrap_or_else(|| {
                Outcome::Rejected(match receipt.status {
                    1 => refused(
                        Reason::TransferEventMismatch,
                        format!("transaction {hash} moved no money"),
                    ),
                    _ => refused(
                        Reason::TransactionFailed,
                        format!("transaction {hash} was reverted"),
                    ),
                })
            });
            if matches!(outcome, Outcome::Rejected(_)) {
                self.suspects.note(payment.payer());
            }
            payment.finish(outcome);
        }
    }

    /// `authorizationState` of each at a block; `None` where nobody can tell.
    async fn are_used(&self, payments: &[Payment], block: u64) -> Vec<Option<bool>> {
        let at = block_number(block);
        let call = |payment: &Payment| {
            let transfer = &payment.handle.transfer;
            let data = abi::authorization_state(transfer.from, transfer.nonce);
            Call::view(payment.handle.token, &data, &at)
        };
        let calls: Vec<Call> = payments.iter().map(call).collect();
        let Ok(results) = self.rpc.batch(&calls).await else {
            return vec![None; payments.len()];
        };
        let read = |result| {
            let Data(word) = decode(result)?;
            read_bool(&word)
        };
        results
            .into_iter()
            .map(|result| result.and_then(read).ok())
            .collect()
    }

    /// A transfer that would revert: paid by somebody else already, or refused by the token.
    pub(super) async fn would_revert(&self, handle: &EvmHandle, error: &RpcError) -> Outcome {
        if let Some(outcome) = self.ask(handle, "latest").await {
            return outcome;
        }
        match reverted(error) {
            // The estimate knows more than the newest block: a transaction that still waits, ours
            // of before a restart perhaps, uses the authorization. It is not refused.
            Reason::NonceAlreadyUsed => pending(),
            // Our clock found it valid, so the chain's is behind.
            Reason::ValidAfter => Outcome::Rejected(ours(&error)),
            reason => Outcome::Rejected(refused(reason, error.to_string())),
        }
    }

    /// Asks the token; `None` where the authorization was provably unused at the block `at`.
    ///
    /// A settlement by somebody else counts as ours if it came after the claim, because one ledger
    /// serves the payee (law 4). An older one has paid for something else: a payer who is known is
    /// verified from memory, which does not know of it.
    pub(super) async fn ask(&self, handle: &EvmHandle, at: &str) -> Option<Outcome> {
        match is_used_at(&self.rpc, handle, at).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => return Some(pending()),
        }
        // What our own transaction has paid was told by its receipt.
        Some(
            match check::ask(&self.chain, &self.rpc, handle, None).await {
                Ok(Said::So(Finding::Settled {
                    transaction,
                    is_final,
                })) => Outcome::Settled {
                    transaction,
                    is_final,
                    proof: Proof::Chain,
                },
                Ok(Said::So(Finding::NeverWill)) => Outcome::Rejected(refused(
                    Reason::NonceAlreadyUsed,
                    "the authorization was cancelled, or used for something else",
                )),
                Ok(Said::UsedBefore) => Outcome::Rejected(refused(
                    Reason::NonceAlreadyUsed,
                    "the authorization was settled by somebody else before it came here",
                )),
                Ok(Said::So(_)) | Err(_) => pending(),
            },
        )
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
