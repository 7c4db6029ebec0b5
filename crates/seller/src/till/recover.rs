//! Resolves what an earlier process has left behind: called once, at start, before the first request.
//! What it leaves open is for the watch (`watch.rs`).
//!
//! Nothing is ever decided without the rail: only it knows whether money has moved (ARCHITECTURE
//! laws 3 and 4).

use farebox_core::ledger::{LedgerError, Stage};
use farebox_core::payment::Phase;
use futures_util::StreamExt;

use super::Till;
use super::claimed::{CLAIMS_MAX, MARGIN_S};
use super::resolve::{
    IfOpen, WRITES_PARALLEL, abandoned, apply, at_once, decide, findings, listed,
};

/// What [`Till::recover`] found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Claims that were given back: nothing had been sent for them.
    pub released: usize,
    /// Payments that turned out to be settled.
    pub settled: usize,
    /// Payments that are still not decided; the watch goes on with them.
    pub undecided: usize,
}

impl Till {
    /// Resolves what an earlier process has left, as far as it can be told now. Call it before
    /// the first request, with the ledger's seller lock held.
    ///
    /// # Errors
    /// Where the ledger cannot be used: nothing may be sold then.
    pub async fn recover(&self) -> Result<Recovered, LedgerError> {
        let till = self;
        till.learn_claims().await?;
        let mut recovered = Recovered::default();
        let mut open = Vec::new();
        for payment in listed(till, Stage::Undecided, None, None).await?.payments {
            if payment.state.phase == Phase::Reserved {
                apply(till, &payment, abandoned()).await?;
                recovered.released += 1;
            } else {
                open.push(payment);
            }
        }
        recovered.undecided = open.len();
        let decided = findings(till, open.iter()).await;
        let decided = decided
            .into_iter()
            .map(|(payment, finding)| decide(till, payment, finding, IfOpen::Leave));
        let mut results = at_once(WRITES_PARALLEL, decided.collect());
        while let Some(phase) = results.next().await {
            match phase? {
                Phase::Settled => recovered.settled += 1,
                Phase::Released => recovered.released += 1,
                _ => continue,
            }
            recovered.undecided = recovered.undecided.saturating_sub(1);
        }
        self.counts.set_undecided(recovered.undecided);
        Ok(recovered)
    }

    /// Learns which identities are claimed. A ledger that cannot tell is an error as everywhere.
    async fn learn_claims(&self) -> Result<(), LedgerError> {
        let now_s = self.clock.now_s();
        let since_s = now_s.saturating_sub(MARGIN_S);
        // One more than fits, so that it is noticed.
        let limit = CLAIMS_MAX.saturating_add(1);
        for claim in self.ledger.claimed(self.role, since_s, limit).await? {
            self.claims
                .add(&claim.identity, claim.valid_before_s, now_s);
        }
        self.claims.loaded();
        Ok(())
    }
}
