//! What a collector is told: who is paid, who pays the chain's fees, and how much of them.

use std::sync::Arc;

use farebox_wire::svm::SvmAddress;

use crate::key::SolanaKey;

/// What a collector is told.
#[derive(Clone, Default)]
pub struct CollectorOptions {
    /// Who is paid by the offers made here: the account that owns the token accounts, not one of
    /// them. `None` is a facilitator, which makes no offers.
    pub pay_to: Option<SvmAddress>,
    /// The keys that pay fees. Offers name the first; whichever an offer names pays. Without any,
    /// nothing can be offered, examined or settled here, only asked about.
    pub signers: Vec<Arc<SolanaKey>>,
    /// Whether others settle what is offered here, besides whoever holds `signers`. Offers then
    /// leave open who pays the fee, for whoever knows to fill in, and a transaction may name
    /// whomever the offer of ours names that it answers.
    pub others_settle: bool,
    /// How much of fees may be paid in a day.
    pub fees: FeeLimits,
    /// What one transaction may cost.
    pub compute: ComputeLimits,
    /// What every payment of an offer made here must say, at most 256 bytes of UTF-8.
    pub memo: Option<String>,
}

impl CollectorOptions {
    /// A seller's: one payee, one key that pays fees.
    #[must_use]
    pub fn seller(pay_to: SvmAddress, fee_payer: Arc<SolanaKey>) -> Self {
        Self {
            pay_to: Some(pay_to),
            signers: vec![fee_payer],
            ..Self::default()
        }
    }
}

/// What one transaction of a buyer may cost its fee payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeLimits {
    /// Compute units that it may ask for.
    pub units: u32,
    /// Millionths of a lamport that it may pay for each.
    pub microlamports_per_unit: u64,
    /// Lamports for the whole of it, its signatures included.
    pub fee_lamports: u64,
}

/// What buyers' software asks for (20,000 units), twice over: wallets add instructions of their
/// own.
const UNITS_MAX: u32 = 40_000;
/// Five lamports for a unit, as much as the official facilitators pay.
const MICROLAMPORTS_PER_UNIT_MAX: u64 = 5_000_000;
/// What 20,000 units at that price cost, with two signatures: no honest buyer needs more.
const FEE_LAMPORTS_MAX: u64 = 110_000;

impl Default for ComputeLimits {
    fn default() -> Self {
        Self {
            units: UNITS_MAX,
            microlamports_per_unit: MICROLAMPORTS_PER_UNIT_MAX,
            fee_lamports: FEE_LAMPORTS_MAX,
        }
    }
}

/// What our transactions may cost between two midnights (UTC), in lamports. `None` does not limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeLimits {
    /// All together.
    pub per_day_lamports: Option<u64>,
    /// For payments of one payer.
    pub per_payer_day_lamports: Option<u64>,
    /// For payments to one payee.
    pub per_payee_day_lamports: Option<u64>,
}
