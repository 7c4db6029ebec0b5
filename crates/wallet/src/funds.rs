//! Whether a wallet has enough to pay an offer, as its rails say.
//!
//! Called to rank offers, never to allow one: a balance is old when it is read, and only the ledger
//! says what may be spent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::rail::{Holding, PayRail, Terms};
use farebox_wire::money::Amount;
use futures_util::future;

/// How long a balance is good enough to rank by, in milliseconds.
const FRESH_MS: u64 = 10_000;
/// A rail that answers no sooner is counted as one that does not say.
const WAIT: Duration = Duration::from_secs(2);

/// What the rails said last.
#[derive(Default)]
pub(crate) struct Funds {
    heard: Mutex<Option<Heard>>,
}

#[derive(Clone)]
struct Heard {
    at_ms: u64,
    holdings: Vec<Holding>,
}

impl Funds {
    /// See [`farebox_core::purse::Purse::covers`].
    pub(crate) async fn cover(
        &self,
        rails: &[Arc<dyn PayRail>],
        clock: &dyn Clock,
        terms: &[&Terms],
    ) -> Vec<Option<bool>> {
        let holdings = match self.remembered(clock.now_ms()) {
            Some(holdings) => holdings,
            None => {
                let holdings = ask(rails).await;
                let at_ms = clock.now_ms();
                let heard = Heard {
                    at_ms,
                    holdings: holdings.clone(),
                };
                *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
                holdings
            }
        };
        terms.iter().map(|terms| covers(&holdings, terms)).collect()
    }

    fn remembered(&self, now_ms: u64) -> Option<Vec<Holding>> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = heard.as_ref()?;
        let is_fresh = now_ms.checked_sub(heard.at_ms)? < FRESH_MS;
        is_fresh.then(|| heard.holdings.clone())
    }
}

async fn ask(rails: &[Arc<dyn PayRail>]) -> Vec<Holding> {
    let asking = rails.iter().map(|rail| async move {
        match tokio::time::timeout(WAIT, rail.balances()).await {
            Ok(balances) => balances.into_iter().filter_map(Result::ok).collect(),
            Err(_) => Vec::new(),
        }
    });
    future::join_all(asking).await.concat()
}

/// Whether one of the holdings is enough for amount and fee; `None` where there is none to look at.
fn covers(holdings: &[Holding], terms: &Terms) -> Option<bool> {
    let needed = terms
        .amount
        .checked_add(terms.fee_max)
        .unwrap_or(Amount::from_atomic(u128::MAX));
    holdings
        .iter()
        .filter(|holding| holding.network == terms.network && holding.asset == terms.asset)
        .map(|holding| holding.amount >= needed)
        .max()
}
