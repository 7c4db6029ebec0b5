//! Lanes: the keys that pay for gas, each with nonces of its own, so that transactions of one do
//! not wait for those of another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_core::rail::Refusal;
use farebox_wire::caip::ChainId;
use farebox_wire::evm::EvmAddress;
use serde_json::json;

use super::alarm::Alarm;
use super::gas::DAY_S;
use super::nonces::{Epoch, Lease, Nonces};
use super::ours;
use crate::key::EvmKey;
use crate::rpc::{Call, Quantity, Rpc, RpcError, decode};

/// One key on one chain.
pub(crate) struct Lane {
    pub(super) key: Arc<EvmKey>,
    pub(super) nonces: Arc<Nonces>,
    /// That its account runs dry.
    pub(super) alarm: Alarm,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the account had when it was last asked about.
    money_wei: Option<u128>,
    /// What transactions that are not at their end may still take of it.
    staked_wei: u128,
    day: u64,
    spent_wei: u128,
}

/// What a transaction may take of its lane's money, until its end.
pub(super) struct Stake {
    lane: Arc<Lane>,
    wei: u128,
}

impl Stake {
    /// A dearer version may take this much.
    pub(super) fn raise(&mut self, wei: u128) {
        let more = wei.saturating_sub(self.wei);
        let mut state = self.lane.lock();
        state.staked_wei = state.staked_wei.saturating_add(more);
        self.wei = self.wei.saturating_add(more);
    }
}

impl Drop for Stake {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.staked_wei = state.staked_wei.saturating_sub(self.wei);
    }
}

impl Lane {
    fn new(key: Arc<EvmKey>) -> Arc<Self> {
        Arc::new(Self {
            key,
            nonces: Arc::default(),
            alarm: Alarm::default(),
            state: Mutex::default(),
        })
    }

    pub(crate) fn address(&self) -> EvmAddress {
        self.key.address()
    }

    /// Transactions that are signed and not at their end.
    pub(crate) fn in_flight(&self) -> usize {
        self.nonces.in_flight()
    }

    pub(super) fn money_wei(&self) -> Option<u128> {
        self.lock().money_wei
    }

    pub(super) fn has(&self, money_wei: u128) {
        self.lock().money_wei = Some(money_wei);
    }

    /// Whether the account can pay this much beside what is under way, as far as is known.
    fn covers(&self, most_wei: u128) -> bool {
        let state = self.lock();
        let wanted = state.staked_wei.saturating_add(most_wei);
        state.money_wei.is_none_or(|wei| wei >= wanted)
    }

    /// Sets money aside for a transaction, whether or not there is enough.
    pub(super) fn stake(self: &Arc<Self>, most_wei: u128) -> Stake {
        let mut stake = Stake {
            lane: Arc::clone(self),
            wei: 0,
        };
        stake.raise(most_wei);
        stake
    }

    /// One of its transactions has cost this much.
    pub(super) fn paid(&self, cost_wei: u128, now_s: u64) {
        let mut state = self.lock();
        let day = now_s / DAY_S;
        if state.day != day {
            (state.day, state.spent_wei) = (day, 0);
        }
        state.spent_wei = state.spent_wei.saturating_add(cost_wei);
        state.money_wei = state.money_wei.map(|wei| wei.saturating_sub(cost_wei));
    }

    /// What its transactions have cost since midnight (UTC), or since the start.
    pub(crate) fn spent_today_wei(&self, now_s: u64) -> u128 {
        let state = self.lock();
        if state.day == now_s / DAY_S {
            state.spent_wei
        } else {
            0
        }
    }

    /// Takes note of the chain's count of transactions.
    pub(super) fn observe(&self, count: Quantity, asked: Epoch) {
        if let Ok(count) = u64::try_from(count.0) {
            self.nonces.observe(count, asked);
        }
    }

    pub(super) fn count_call(&self) -> Call {
        let call = json!([self.address(), "pending"]);
        Call::new("eth_getTransactionCount", call)
    }

    /// Asks how many of its transactions are in blocks.
    pub(super) fn mined_call(&self) -> Call {
        let call = json!([self.address(), "latest"]);
        Call::new("eth_getTransactionCount", call)
    }

    pub(super) fn money_call(&self) -> Call {
        Call::new("eth_getBalance", json!([self.address(), "latest"]))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes of one chain; at least one.
pub(crate) struct Lanes {
    chain: ChainId,
    lanes: Vec<Arc<Lane>>,
}

impl Lanes {
    pub(super) fn new(chain: ChainId, keys: &[Arc<EvmKey>]) -> Self {
        let lanes = keys.iter().map(|key| Lane::new(Arc::clone(key)));
        Self {
            chain,
            lanes: lanes.collect(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter()
    }

    /// The lane with the least in flight.
    pub(super) fn freest(&self) -> Option<&Arc<Lane>> {
        self.lanes.iter().min_by_key(|lane| lane.in_flight())
    }

    /// A nonce of the lane with the least in flight among those that can pay `most_wei`.
    pub(super) fn lease(&self, most_wei: u128) -> Result<(Arc<Lane>, Lease, Stake), Refusal> {
        let mut able: Vec<&Arc<Lane>> = self.lanes.iter().filter(|l| l.covers(most_wei)).collect();
        able.sort_by_key(|lane| lane.in_flight());
        if able.is_empty() {
            return Err(self.unfunded());
        }
        able.into_iter()
            .find_map(|lane| {
                let lease = lane.nonces.lease()?;
                Some((Arc::clone(lane), lease, lane.stake(most_wei)))
            })
            .ok_or_else(|| ours(&"no transaction nonce is known"))
    }

    /// Whether any gas key can pay this much beside what is under way.
    pub(super) fn cover(&self, most_wei: u128) -> bool {
        self.lanes.iter().any(|lane| lane.covers(most_wei))
    }

    /// What to say where no gas key can pay.
    pub(super) fn unfunded(&self) -> Refusal {
        let address = self.freest().map(|lane| lane.address().to_string());
        ours(&format!(
            "the gas key's account {} on {} cannot pay for gas; send it some of the chain's own coin",
            address.unwrap_or_default(),
            self.chain
        ))
    }

    /// Asks where every lane stands: its nonces and its money.
    pub(super) async fn look(&self, rpc: &Rpc) -> Result<(), RpcError> {
        let asked: Vec<Epoch> = self.lanes.iter().map(|lane| lane.nonces.epoch()).collect();
        let calls: Vec<Call> = self
            .lanes
            .iter()
            .flat_map(|lane| [lane.count_call(), lane.money_call()])
            .collect();
        let mut results = rpc.batch(&calls).await?.into_iter();
        for (lane, asked) in self.lanes.iter().zip(asked) {
            let (Some(count), Some(money)) = (results.next(), results.next()) else {
                return Err(RpcError::garbage("the node left answers out"));
            };
            // A balance that cannot be read stops nothing: the node refuses what is not covered.
            if let Ok(Quantity(wei)) = money.and_then(decode::<Quantity>) {
                lane.has(wei);
            }
            lane.observe(decode(count?)?, asked);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
