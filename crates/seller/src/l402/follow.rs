//! Follows what a node says was paid, so that a payment whose token nobody shows is earned all the
//! same.
//!
//! Started by [`crate::Seller::watch`]. It goes on from the place that the books know. What was paid
//! before this ledger knew the node is not its business; what it has forgotten since, because a
//! process ended, is booked without a route. It also forgets invoices that have ended.

use std::time::Duration;

use farebox_core::invoice::SettledInvoice;
use farebox_core::ledger::{LedgerError, SellerSide};
use farebox_core::uses::{NewPaid, Told};
use farebox_wire::identity::Identity;
use farebox_wire::l402::preimage::PaymentHash;
use farebox_wire::money::Amount;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::offer::Sales;
use crate::till::{Till, new_payment_id};

/// The route of a payment whose invoice was forgotten.
const UNKNOWN_ROUTE: &str = "(unknown)";
/// Payments that are booked in one transaction: a node may tell of years at once.
const BATCH: usize = 500;
/// How long to pause after a failure, at first and at most.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often invoices that have ended are looked for, and how many are taken back at once: the node
/// ends them by itself as well.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const SWEEP_MAX: usize = 500;

/// Until `stop`.
pub(crate) async fn follow(sales: &Sales, till: &Till, stop: &CancellationToken) {
    tokio::join!(
        book_until(sales, till, stop),
        sweep_until(sales, till, stop)
    );
}

async fn sweep_until(sales: &Sales, till: &Till, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        for hash in sales.invoices.forget_ended(till.clock().now_s(), SWEEP_MAX) {
            let Some(cancelled) = stop.run_until_cancelled(sales.rail.cancel(&hash)).await else {
                return;
            };
            if let Err(why) = cancelled {
                tracing::debug!(
                    code = why.code,
                    "an invoice that has ended was not taken back"
                );
            }
        }
    }
}

async fn book_until(sales: &Sales, till: &Till, stop: &CancellationToken) {
    let mut pause = PAUSE;
    loop {
        let following = book_all(sales, till, &mut pause);
        let Some(why) = stop.run_until_cancelled(following).await else {
            return;
        };
        tracing::warn!(why, "what the node was paid is not followed at the moment");
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return;
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

/// Returns with the first failure. Dropping it between two questions loses nothing.
async fn book_all(sales: &Sales, till: &Till, pause: &mut Duration) -> String {
    let source = Source::of(sales);
    let (mut place, since_s) = match source.begin(till).await {
        Ok(begun) => begun,
        Err(error) => return error.to_string(),
    };
    loop {
        let settled = match sales.rail.settlements(place).await {
            Ok(settled) => settled,
            Err(why) => return why.message,
        };
        *pause = PAUSE;
        for some in settled.chunks(BATCH) {
            match source.book(sales, till, some, since_s).await {
                Ok(told) => place = place.max(told),
                Err(why) => return why,
            }
        }
    }
}

/// The node, as the books call it.
struct Source {
    name: String,
}

impl Source {
    fn of(sales: &Sales) -> Self {
        let terms = sales.rail.terms_over(Amount::from_atomic(1));
        Self {
            name: format!("{}/{}", terms.network, terms.payee),
        }
    }

    /// Where to go on, and since when it is followed, in Unix seconds.
    async fn begin(&self, till: &Till) -> Result<(u64, u64), LedgerError> {
        let ledger = till.ledger();
        let place = ledger.told_to(&self.name).await?;
        let since = format!("{} since", self.name);
        match ledger.told_to(&since).await? {
            0 => {
                let now_s = till.clock().now_s();
                let first = Told {
                    source: since,
                    index: now_s,
                    paid: Vec::new(),
                };
                ledger.book_told(first).await?;
                Ok((place, now_s))
            }
            since_s => Ok((place, since_s)),
        }
    }

    /// Books some payments, and gives the last place.
    async fn book(
        &self,
        sales: &Sales,
        till: &Till,
        settled: &[SettledInvoice],
        since_s: u64,
    ) -> Result<u64, String> {
        let mut index = 0;
        let mut paid = Vec::new();
        for invoice in settled {
            index = index.max(invoice.index);
            let open = sales.invoices.find(&invoice.payment_hash);
            if open.is_none() && invoice.settled_s < since_s {
                continue;
            }
            let route = match &open {
                Some(open) => open.product.route.to_string(),
                None => UNKNOWN_ROUTE.to_owned(),
            };
            let now_ms = till.clock().now_ms();
            let hash = PaymentHash(invoice.payment_hash);
            paid.push(NewPaid {
                id: new_payment_id(now_ms).map_err(|_| "there are no random bytes".to_owned())?,
                identity: Identity::l402(&hash),
                side: SellerSide {
                    route,
                    payload_digest: [0; 32],
                    request_digest: [0; 32],
                    body_digest: None,
                },
                terms: sales.rail.terms_over(invoice.amount),
                transaction: hash.to_string(),
                now_ms,
            });
        }
        let names: Vec<_> = paid
            .iter()
            .map(|paid| (paid.id.clone(), paid.side.route.clone(), paid.terms.clone()))
            .collect();
        let told = Told {
            source: self.name.clone(),
            index,
            paid,
        };
        let booked = till.ledger().book_told(told).await;
        let booked = booked.map_err(|error| error.to_string())?;
        for (_, route, terms) in names.iter().filter(|(id, ..)| booked.contains(id)) {
            till.counts().paid(route, terms);
        }
        for invoice in settled {
            sales.invoices.paid(&invoice.payment_hash);
        }
        Ok(index)
    }
}
