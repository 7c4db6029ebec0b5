//! A trip: one transaction nonce, the payments that its transaction carries, and what is reserved
//! for it. Exists from the moment at which payments are taken to the end of the transaction.

use std::sync::Arc;
use std::time::Instant;

use farebox_wire::evm::EvmAddress;

use super::batch::{Record, Shared, Underway};
use super::fees::Fee;
use super::follow::Stuck;
use super::gas::{Hold, Party};
use super::lanes::{Lane, Stake};
use super::nonces::Lease;
use super::payment::Payment;
use super::tx::Action;

/// How the payments are carried.
#[derive(Clone)]
pub(super) enum Way {
    /// One payment, as it was simulated.
    Alone(Action),
    /// Many payments of one token, not simulated.
    Shared(Shared),
    /// Nothing to ourselves, with this gas limit: only the nonce is used up.
    Nothing(u64),
}

/// See the module.
pub(super) struct Trip {
    pub(super) lane: Arc<Lane>,
    pub(super) lease: Lease,
    /// What it may take of the lane's money.
    pub(super) stake: Stake,
    pub(super) payments: Vec<Payment>,
    pub(super) way: Way,
    pub(super) hold: Hold,
    /// Of the version that was sent last.
    pub(super) fee: Fee,
    /// When that was.
    pub(super) sent_at: Instant,
    pub(super) underway: Option<Arc<Underway>>,
    /// Present while blocks pass it by.
    pub(super) stuck: Option<Stuck>,
}

impl Way {
    pub(super) fn gas_limit(&self, payments: usize) -> u64 {
        match self {
            Self::Alone(action) => action.gas_limit,
            Self::Shared(shared) => shared.gas_limit(payments),
            Self::Nothing(gas_limit) => *gas_limit,
        }
    }

    pub(super) const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }

    /// What the transaction with so many payments may cost at most, in wei.
    pub(super) fn most(&self, payments: usize, fee: Fee) -> u128 {
        fee.max.saturating_mul(self.gas_limit(payments).into())
    }

    /// What each of so many payments may cost at most, in wei.
    pub(super) fn most_each(&self, payments: usize, fee: Fee) -> u128 {
        let most = self.most(payments, fee);
        most.div_ceil(u128::try_from(payments.max(1)).unwrap_or(u128::MAX))
    }
}

impl Trip {
    /// What its transaction does now.
    pub(super) fn action(&self) -> Action {
        match &self.way {
            Way::Alone(action) => action.clone(),
            Way::Shared(shared) => {
                let records = self.payments.iter().filter_map(Payment::record);
                shared.action(&records.collect::<Vec<Record>>())
            }
            Way::Nothing(gas_limit) => Action {
                to: self.own(),
                data: Vec::new(),
                gas_limit: *gas_limit,
            },
        }
    }

    pub(super) fn own(&self) -> EvmAddress {
        self.lane.address()
    }

    /// Unix seconds until which it is worth sending.
    pub(super) fn expires_s(&self) -> u64 {
        let expiries = self.payments.iter().map(|p| p.handle.transfer.valid_before);
        expiries.max().unwrap_or(u64::MAX)
    }
}

/// Who is charged for a payment's gas.
pub(super) fn party(payment: &Payment) -> Party {
    Party {
        payer: payment.handle.transfer.from,
        payee: payment.handle.transfer.to,
    }
}
