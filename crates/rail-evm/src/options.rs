//! What a collector is told: who is paid, who pays for gas, and how much of it.

use std::sync::Arc;

use farebox_wire::evm::EvmAddress;

use crate::key::EvmKey;

/// What a collector is told.
#[derive(Clone, Default)]
pub struct CollectorOptions {
    /// Who is paid by the offers made here; `None` is a facilitator, which makes none.
    pub pay_to: Option<EvmAddress>,
    /// The keys that pay for gas, each a lane of its own. Without any, nothing can be settled
    /// here, only examined and asked about.
    pub signers: Vec<Arc<EvmKey>>,
    /// How much gas may be paid for.
    pub gas: GasLimits,
    /// Contracts that may deploy a payer's wallet before it pays (ERC-6492). Any other is refused.
    pub factories: Vec<EvmAddress>,
}

impl CollectorOptions {
    /// A seller's: one payee, one key that pays for gas.
    #[must_use]
    pub fn seller(pay_to: EvmAddress, gas_key: Arc<EvmKey>) -> Self {
        Self {
            pay_to: Some(pay_to),
            signers: vec![gas_key],
            ..Self::default()
        }
    }
}

/// What our transactions may cost between two midnights (UTC), in wei of each chain's own coin.
/// `None` does not limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GasLimits {
    /// All together.
    pub per_day_wei: Option<u128>,
    /// For payments of one payer.
    pub per_payer_day_wei: Option<u128>,
    /// For payments to one payee.
    pub per_payee_day_wei: Option<u128>,
}
