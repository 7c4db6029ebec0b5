//! Payments by what became of them, what they earned, and how long settling took.
//!
//! A change is read off a payment's states before and after it: whoever writes to the books says
//! both, so that a repeat of what had its effect counts nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use farebox_core::ledger::Payment;
use farebox_core::payment::{Hold, Phase, State};
use farebox_core::rail::Terms;
use farebox_wire::caip::{AssetId, ChainId};

use super::histogram::{Histogram, Observed};

/// Names of one kind that are told apart; the configuration has fewer, and the books of years may
/// have more. What comes later is counted under [`OTHER`].
const NAMES_MAX: usize = 1_000;
/// Stands for every route beyond [`NAMES_MAX`].
const OTHER: &str = "(other)";

/// How many payments have come to each state since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Claimed: a good credential came for the first time.
    pub claimed: u64,
    /// The money has moved.
    pub settled: u64,
    /// Counted as settled, because what was sent has expired and nobody can be asked.
    pub unproven: u64,
    /// It will not move.
    pub rejected: u64,
    /// Given back: nothing had left.
    pub released: u64,
    /// Sent, and nobody knew the outcome in time.
    pub unknown: u64,
    /// Settled, and undone by the chain; held again or written off.
    pub undone: u64,
}

/// One route on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentLine {
    /// The route's name; a facilitator has one.
    pub route: String,
    /// How the money moves.
    pub rail: String,
    /// Where it moves.
    pub network: ChainId,
    /// What became of the payments.
    pub states: States,
}

/// What came in of one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevenueLine {
    /// The asset.
    pub asset: AssetId,
    /// Its symbol, of our table or configuration.
    pub symbol: String,
    /// What was settled, in atomic units.
    pub settled: u128,
    /// What of it the chain has undone, in atomic units.
    pub undone: u128,
    /// What was settled, in millionths of a dollar.
    pub settled_usd_micros: u128,
    /// What of it the chain has undone, in millionths of a dollar.
    pub undone_usd_micros: u128,
}

/// How long settling takes on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementLine {
    /// How the money moves.
    pub rail: String,
    /// Where it moves.
    pub network: ChainId,
    /// From the word to the rail to its own.
    pub took: Observed,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoneyCounts {
    /// By route and network.
    pub payments: Vec<PaymentLine>,
    /// By asset.
    pub revenue: Vec<RevenueLine>,
    /// By network.
    pub settlements: Vec<SettlementLine>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    payments: BTreeMap<String, BTreeMap<ChainId, (String, States)>>,
    revenue: BTreeMap<AssetId, RevenueLine>,
    settlements: BTreeMap<ChainId, (String, Arc<Histogram>)>,
}

impl Book {
    pub(super) fn claimed(&mut self, payment: &Payment) {
        if let Some(states) = self.states(payment) {
            states.claimed = states.claimed.saturating_add(1);
        }
    }

    pub(super) fn paid(&mut self, route: &str, terms: &Terms) {
        if let Some(states) = self.states_of(route, terms) {
            states.claimed = states.claimed.saturating_add(1);
            states.settled = states.settled.saturating_add(1);
        }
        self.earn(Hold::Held, Hold::Spent, terms);
    }

    pub(super) fn moved(&mut self, before: &State, after: &Payment) {
        let now = &after.state;
        let is_new = before.phase != now.phase;
        let Some(states) = self.states(after) else {
            return;
        };
        let counter = match (before.hold, now.hold) {
            (Hold::Held | Hold::Returned, Hold::Spent) if now.phase == Phase::Unknown => {
                &mut states.unproven
            }
            (Hold::Held | Hold::Returned, Hold::Spent) => &mut states.settled,
            (Hold::Spent, Hold::Held | Hold::Returned) => &mut states.undone,
            (_, Hold::Returned) if is_new && now.phase == Phase::Rejected => &mut states.rejected,
            (_, Hold::Returned) if is_new => &mut states.released,
            (Hold::Held, Hold::Held) if is_new && now.phase == Phase::Unknown => {
                &mut states.unknown
            }
            _ => return,
        };
        *counter = counter.saturating_add(1);
        self.earn(before.hold, now.hold, &after.terms);
    }

    /// What a payment does to what was earned.
    fn earn(&mut self, before: Hold, now: Hold, terms: &Terms) {
        if (before == Hold::Spent) == (now == Hold::Spent) {
            return;
        }
        if self.revenue.len() >= NAMES_MAX && !self.revenue.contains_key(&terms.asset) {
            return;
        }
        let new = || RevenueLine {
            asset: terms.asset.clone(),
            symbol: terms.symbol.clone(),
            settled: 0,
            undone: 0,
            settled_usd_micros: 0,
            undone_usd_micros: 0,
        };
        let line = self.revenue.entry(terms.asset.clone()).or_insert_with(new);
        let (atomic, usd) = match now {
            Hold::Spent => (&mut line.settled, &mut line.settled_usd_micros),
            _ => (&mut line.undone, &mut line.undone_usd_micros),
        };
        *atomic = atomic.saturating_add(terms.amount.atomic());
        *usd = usd.saturating_add(terms.cost.0);
    }

    /// The line of a payment; `None` where there are too many names, even for [`OTHER`].
    fn states(&mut self, payment: &Payment) -> Option<&mut States> {
        let route = payment.seller.as_ref().map(|side| side.route.as_str())?;
        self.states_of(route, &payment.terms)
    }

    fn states_of(&mut self, route: &str, terms: &Terms) -> Option<&mut States> {
        let is_known = self.payments.contains_key(route);
        let route = match is_known || self.payments.len() < NAMES_MAX {
            true => route,
            false => OTHER,
        };
        if !self.payments.contains_key(route) {
            self.payments.insert(route.to_owned(), BTreeMap::new());
        }
        let networks = self.payments.get_mut(route)?;
        let network = &terms.network;
        if !networks.contains_key(network) {
            if networks.len() >= NAMES_MAX {
                return None;
            }
            let rail = terms.rail.clone();
            networks.insert(network.clone(), (rail, States::default()));
        }
        networks.get_mut(network).map(|(_, states)| states)
    }

    /// How long settling takes where these terms are settled.
    pub(super) fn times(&mut self, terms: &Terms) -> Arc<Histogram> {
        if let Some((_, times)) = self.settlements.get(&terms.network) {
            return Arc::clone(times);
        }
        let times = Arc::<Histogram>::default();
        if self.settlements.len() < NAMES_MAX {
            let entry = (terms.rail.clone(), Arc::clone(&times));
            self.settlements.insert(terms.network.clone(), entry);
        }
        times
    }

    pub(super) fn read(&self) -> MoneyCounts {
        let lines = self.payments.iter().flat_map(|(route, networks)| {
            networks
                .iter()
                .map(|(network, (rail, states))| PaymentLine {
                    route: route.clone(),
                    rail: rail.clone(),
                    network: network.clone(),
                    states: *states,
                })
        });
        let settlements = self.settlements.iter();
        let settlements = settlements.map(|(network, (rail, times))| SettlementLine {
            rail: rail.clone(),
            network: network.clone(),
            took: times.read(),
        });
        MoneyCounts {
            payments: lines.collect(),
            revenue: self.revenue.values().cloned().collect(),
            settlements: settlements.collect(),
        }
    }
}
