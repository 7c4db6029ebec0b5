//! Sends payments together, and takes apart what does not go together: halves of it are estimated
//! before they are sent, which costs nothing, down to one payment that goes alone.

use std::sync::Arc;

use farebox_core::rail::Refusal;
use farebox_wire::evm::EvmAddress;

use super::contracts::Contract;
use super::pack::{Record, Shared};
use super::{GAS_MAX, Underway};
use crate::rpc::{Quantity, RpcError};
use crate::settle::payment::Ticket;
use crate::settle::trip::Way;
use crate::settle::{Settler, Working, ours};

/// Room over an estimate, in hundredths.
const ROOM_PERCENT: u128 = 125;
/// How many times more than planned payments may need together: past it one of them burns the
/// others' gas, or the token is dearer than was known, which one alone will tell.
const SURPRISE_MAX: u64 = 2;

/// Whether payments go together.
enum Estimate {
    /// With this gas limit.
    Together(u64),
    /// They revert, or need too much.
    Apart,
}

impl Settler {
    /// Sends payments of one token in as few transactions as they fit into. Those that are
    /// `suspected` have reverted together, and are estimated first.
    pub(in crate::settle) fn share(
        self: &Arc<Self>,
        tickets: Vec<Arc<Ticket>>,
        is_suspected: bool,
        underway: Option<Arc<Underway>>,
    ) -> Working {
        let settler = Arc::clone(self);
        Box::pin(async move {
            let Some(token) = tickets.first().map(|ticket| ticket.token()) else {
                return;
            };
            let contract = match settler.contracts.best(&settler.rpc).await {
                Ok(contract) => contract,
                Err(error) => return refuse(&tickets, &ours(&error)),
            };
            let gas = settler.costs.of(token);
            let loads_of = contract.map_or(1, |_| gas.payments_max());
            for tickets in tickets.chunks(loads_of) {
                let contract = match contract {
                    Some(contract) if tickets.len() > 1 => contract,
                    _ => Contract::Token(token),
                };
                let shared = Shared {
                    contract,
                    token,
                    gas,
                    gas_estimated: 0,
                };
                let underway = underway.clone();
                let tickets = tickets.to_vec();
                let settler = Arc::clone(&settler);
                if gas.is_seen && !is_suspected {
                    let way = Way::Shared(shared);
                    tokio::spawn(settler.launch(tickets, way, underway));
                } else {
                    tokio::spawn(settler.share_estimated(tickets, shared, underway));
                }
            }
        })
    }

    fn share_estimated(
        self: &Arc<Self>,
        mut tickets: Vec<Arc<Ticket>>,
        shared: Shared,
        underway: Option<Arc<Underway>>,
    ) -> Working {
        let settler = Arc::clone(self);
        Box::pin(async move {
            if tickets.len() == 1 {
                return settler.alone(tickets).await;
            }
            match settler.estimate(&tickets, shared).await {
                Ok(Estimate::Together(gas_estimated)) => {
                    let way = Way::Shared(Shared {
                        gas_estimated,
                        ..shared
                    });
                    settler.launch(tickets, way, underway).await;
                }
                Ok(Estimate::Apart) => {
                    let rest = tickets.split_off(tickets.len() / 2);
                    for half in [tickets, rest] {
                        tokio::spawn(settler.share_estimated(half, shared, underway.clone()));
                    }
                }
                Err(error) => refuse(&tickets, &ours(&error)),
            }
        })
    }

    async fn estimate(
        &self,
        tickets: &[Arc<Ticket>],
        shared: Shared,
    ) -> Result<Estimate, RpcError> {
        let records: Vec<Record> = tickets.iter().filter_map(|t| t.record()).collect();
        let from = self.lanes.freest().map(|lane| lane.address());
        let call = shared.estimate_call(from.unwrap_or(EvmAddress::ZERO), &records);
        match self.rpc.one::<Quantity>(call).await {
            Ok(Quantity(gas)) => {
                let limit = gas.saturating_mul(ROOM_PERCENT) / 100;
                let limit = u64::try_from(limit).unwrap_or(u64::MAX);
                let planned = shared.gas_limit(records.len());
                let most = planned.saturating_mul(SURPRISE_MAX).min(GAS_MAX);
                Ok(match limit <= most && planned <= GAS_MAX {
                    true => Estimate::Together(limit),
                    false => Estimate::Apart,
                })
            }
            Err(error) if error.is_revert() => Ok(Estimate::Apart),
            // Nodes say in many words that no gas limit is enough; asking about less is harmless.
            Err(RpcError::Refused { .. }) => Ok(Estimate::Apart),
            Err(error) => Err(error),
        }
    }
}

fn refuse(tickets: &[Arc<Ticket>], refusal: &Refusal) {
    for ticket in tickets {
        ticket.refuse(refusal.clone());
    }
}
