//! Asks the chain what a transaction would do, before anybody serves or signs it: one request,
//! which also tells what the payer has.
//!
//! Called by `verify` and, before the fee payer signs, by `settle`. What was found a moment ago is
//! not asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use farebox_core::rail::Refusal;
use farebox_wire::svm::SvmSignature;
use farebox_wire::x402::reason::Reason;

use crate::account::TokenAccount;
use crate::failure::Failure;
use crate::handle;
use crate::rpc::{Account, At, Call, Rpc, RpcError, Simulated};
use crate::rules::{Transfer, refusal};

/// How long a simulation is believed: about five slots.
const FRESH: Duration = Duration::from_secs(2);
/// Simulations that are remembered, a megabyte.
const REMEMBERED_MAX: usize = 10_000;

/// What a transaction would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreseen {
    /// It would pay; the payer has so many atomic units.
    Pays(u64),
    /// It has run already.
    HasRun,
}

/// Why it is not known that a transaction would pay.
pub(crate) enum Doubt {
    /// The chain says no.
    Refused(Refusal),
    /// The chain could not be asked, which says nothing about the transaction.
    Unanswered(RpcError),
}

/// What was simulated a moment ago, by the digest of its message.
#[derive(Default)]
pub(crate) struct Simulations {
    known: Mutex<HashMap<[u8; 32], (Instant, u64)>>,
}

impl Simulations {
    /// Asks what the transfer would do.
    pub(crate) async fn foresee(&self, rpc: &Rpc, transfer: &Transfer) -> Result<Foreseen, Doubt> {
        let digest = transfer.digest();
        if let Some(units) = self.fresh(&digest) {
            return Ok(Foreseen::Pays(units));
        }
        let foreseen = ask(rpc, transfer).await?;
        if let Foreseen::Pays(units) = foreseen {
            self.remember(digest, units);
        }
        Ok(foreseen)
    }

    /// What was known of this message no longer holds: it is about to be sent.
    pub(crate) fn forget(&self, digest: &[u8; 32]) {
        self.lock().remove(digest);
    }

    fn fresh(&self, digest: &[u8; 32]) -> Option<u64> {
        let known = self.lock();
        let (at, units) = known.get(digest)?;
        (at.elapsed() < FRESH).then_some(*units)
    }

    fn remember(&self, digest: [u8; 32], units: u64) {
        let mut known = self.lock();
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if known.len() < REMEMBERED_MAX {
            known.insert(digest, (Instant::now(), units));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, u64)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(rpc: &Rpc, transfer: &Transfer) -> Result<Foreseen, Doubt> {
    let said = raw(rpc, transfer).await.map_err(Doubt::Unanswered)?;
    if said.failure == Some(Failure::AlreadyProcessed) {
        return Ok(Foreseen::HasRun);
    }
    // A plainer word than the simulation's, and true where that tripped over something else first.
    if said.units < transfer.amount() {
        return Err(Doubt::Refused(refusal(
            Reason::InsufficientBalance,
            format!(
                "the payer has {} atomic units, not {}",
                said.units,
                transfer.amount()
            ),
        )));
    }
    match said.failure {
        None => Ok(Foreseen::Pays(said.units)),
        Some(failure) => Err(Doubt::Refused(failure.foreseen())),
    }
}

/// What the node says of a transfer.
pub(crate) struct Said {
    /// Why it would do nothing.
    pub(crate) failure: Option<Failure>,
    /// What the payer's token account has, in atomic units.
    units: u64,
}

/// Simulates the transfer as it came, and reads the payer's token account, in one request.
pub(crate) async fn raw(rpc: &Rpc, transfer: &Transfer) -> Result<Said, RpcError> {
    // The fee payer's place stays empty: nothing of ours leaves before the answer is yes.
    let signatures = [SvmSignature::ZERO, transfer.payer_signature()];
    let unsigned = handle::join(&signatures, transfer.message())
        .ok_or_else(|| RpcError::garbage("the transaction is too long to be asked about"))?;
    let (simulated, accounts): (At<Simulated>, At<Vec<Option<Account>>>) = {
        let source = Call::newest_accounts(&[transfer.source()]);
        rpc.two(Call::simulate(&unsigned), source).await?
    };
    let account = accounts.value.into_iter().next().flatten();
    Ok(Said {
        failure: simulated.value.err.as_ref().map(Failure::of),
        units: account
            .and_then(|account| TokenAccount::read(&account.data))
            .map_or(0, |account| account.amount),
    })
}
