//! How the networks of a rail do: for `/health`, for the log, and for people.
//!
//! Filled in by rails, shown by gate and facilitator. Public addresses and sums only.

use farebox_wire::caip::ChainId;
use farebox_wire::money::Amount;
use serde::Serialize;

/// How a network does, for `/health` and for the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkHealth {
    /// The chain.
    pub network: ChainId,
    /// Whether it answered just now, with the right identity.
    pub is_reachable: bool,
    /// The newest block.
    pub head: Option<u64>,
    /// Who pays for the settlements.
    pub signers: Vec<SignerHealth>,
    /// What a person should look at, one sentence each; empty is healthy.
    pub complaints: Vec<String>,
}

/// How a key that pays for settlements does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignerHealth {
    /// Its address.
    pub address: String,
    /// What it has, in the smallest units of the chain's own coin; `None` where it is not known.
    pub gas_money: Option<Amount>,
    /// About how many settlements that pays for at today's fees.
    pub settlements_left: Option<u64>,
    /// Its transactions that are in no block yet.
    pub in_flight: u64,
    /// What its transactions cost today (UTC), in the same units.
    pub gas_spent_today: Amount,
}
