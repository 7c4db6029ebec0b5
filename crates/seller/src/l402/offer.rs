//! What a route sells over L402, and the lines of its challenge.
//!
//! Called by the layer for requests that have to wait for a challenge. It never waits longer than
//! [`INVOICE_WAIT`] for a node, and an invoice that comes later is for the next who asks.

use std::sync::Arc;
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::invoice::InvoiceRail;
use farebox_core::rail::{Price, RailError, Terms};
use farebox_wire::l402::challenge;
use farebox_wire::l402::preimage::PaymentHash;
use farebox_wire::money::{Amount, UsdMicros};
use http::HeaderValue;
use tokio::time::timeout;

use super::invoices::{Invoices, Look, Making, Open};
use super::known::Known;
use super::token::{self, Paying};
use super::{
    INVOICE_LIFE_S, InvoiceLimits, L402, L402Error, MasterKey, Passes, TokenTerms, Uses,
    VALID_FOR_S,
};
use crate::client::Prefix;
use crate::counts::Counts;

/// How long a challenge waits for an invoice: less than the second that a buyer may wait at most.
const INVOICE_WAIT: Duration = Duration::from_millis(700);
/// After this a node is not waited for any more: what it makes then nobody is shown, and it ends by
/// itself.
const MAKING_TIME: Duration = Duration::from_secs(10);

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Dollars, at the rate of the moment.
    Usd(UsdMicros),
    /// The rail's own atomic units.
    Native(Amount),
}

/// What one token of a route buys. Where two are equal, their invoices are interchangeable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) route: Arc<str>,
    pub(crate) asking: Asking,
    pub(crate) terms: TokenTerms,
}

/// A route's way to be paid over L402.
pub(crate) struct Offering {
    pub(crate) product: Arc<Product>,
    pub(crate) sales: Arc<Sales>,
}

/// What all routes of a seller share, and a reloaded seller with the one before.
pub(crate) struct Sales {
    pub(crate) rail: Arc<dyn InvoiceRail>,
    pub(crate) key: MasterKey,
    pub(crate) invoices: Arc<Invoices>,
    pub(crate) passes: Passes,
    /// Of its own key.
    pub(crate) known: Known,
    clock: Arc<dyn Clock>,
}

impl Sales {
    pub(crate) fn new(
        l402: L402,
        limits: InvoiceLimits,
        clock: Arc<dyn Clock>,
        counts: &Counts,
    ) -> Arc<Self> {
        Arc::new(Self {
            rail: l402.rail,
            key: l402.master_key,
            invoices: Invoices::new(limits, counts.invoice_gauge()),
            passes: Passes::default(),
            known: Known::default(),
            clock,
        })
    }
}

impl Product {
    /// Checks what a route says about its tokens.
    ///
    /// # Errors
    /// Where no token can be made of it.
    pub(crate) fn new(route: &str, asking: Asking, terms: TokenTerms) -> Result<Self, L402Error> {
        match (terms.uses, terms.valid_for_s) {
            (Uses::Times(0), _) => return Err(L402Error::NoUses),
            (_, Some(0)) => return Err(L402Error::NoTime),
            (Uses::Unlimited, None) => return Err(L402Error::NoEnd),
            _ => {}
        }
        Ok(Self {
            route: route.into(),
            asking,
            terms,
        })
    }

    /// What it costs now.
    pub(crate) fn price(&self, rail: &dyn InvoiceRail) -> Result<Terms, RailError> {
        match self.asking {
            Asking::Native(amount) => Ok(rail.terms_over(amount)),
            Asking::Usd(usd) => rail.terms(&Price {
                usd,
                max_timeout_s: INVOICE_LIFE_S,
                upfront: true,
            }),
        }
    }
}

impl Offering {
    /// Makes sure that it can be sold: a token is written once, and thrown away. A rate that is missing
    /// now may be there later.
    ///
    /// # Errors
    /// What the first buyer would have met.
    pub(crate) fn new(
        product: Product,
        sales: &Arc<Sales>,
        origin: &str,
    ) -> Result<Self, L402Error> {
        check(&product, &sales.key, origin)?;
        Ok(Self {
            product: Arc::new(product),
            sales: Arc::clone(sales),
        })
    }

    /// The two lines of a challenge; `None` where there is no invoice to be had in time.
    pub(crate) async fn lines(
        &self,
        prefix: Option<Prefix>,
        origin: &str,
    ) -> Option<[HeaderValue; 2]> {
        let open = self.invoice(prefix).await?;
        write(self, &open, origin)
    }

    /// A common one; where some are on their way, the first of them.
    async fn common(&self, now_s: u64) -> Option<Arc<Open>> {
        let invoices = &self.sales.invoices;
        let waiting = async {
            loop {
                let made = invoices.next_made();
                let common = invoices.common(&self.product, now_s);
                if common.is_some() || !invoices.is_making_common(&self.product.route) {
                    return common;
                }
                made.await;
            }
        };
        timeout(INVOICE_WAIT, waiting).await.ok().flatten()
    }

    async fn invoice(&self, prefix: Option<Prefix>) -> Option<Arc<Open>> {
        let Sales { invoices, .. } = &*self.sales;
        let now_s = self.sales.clock.now_s();
        let mut coming = match invoices.look(&self.product, prefix, now_s) {
            Look::Open(open) => return Some(open),
            Look::Full => return self.common(now_s).await,
            Look::Coming(coming) => coming,
            Look::Make(making) => {
                let coming = making.coming();
                let sales = Arc::clone(&self.sales);
                let product = Arc::clone(&self.product);
                // Nobody's payment hangs on it, so no stop waits for it.
                tokio::spawn(async move { make(&sales, &product, making).await });
                coming
            }
        };
        let came = timeout(INVOICE_WAIT, coming.wait_for(Option::is_some)).await;
        match came {
            Ok(Ok(open)) => open.clone(),
            // The node fails or takes its time.
            Ok(Err(_)) | Err(_) => invoices.common(&self.product, now_s),
        }
    }
}

/// Refuses what no token can say.
pub(crate) fn check(product: &Product, key: &MasterKey, origin: &str) -> Result<(), L402Error> {
    let paying = Paying {
        payment_hash: PaymentHash([0; 32]),
        price_msat: 1,
        valid_until_s: u64::MAX,
    };
    let minted = token::mint(key, origin, product, &paying, [0; 32]);
    minted
        .map(drop)
        .map_err(|why| L402Error::Token(why.to_string()))
}

fn write(offering: &Offering, open: &Open, origin: &str) -> Option<[HeaderValue; 2]> {
    let mut token_id = [0; 32];
    if let Err(error) = getrandom::fill(&mut token_id) {
        tracing::error!(%error, "there are no random bytes for a token");
        return None;
    }
    let key = &offering.sales.key;
    let token = token::mint(key, origin, &offering.product, &open.paying, token_id);
    let lines = token
        .map_err(|why| why.to_string())
        .and_then(|token| challenge::write(&token, &open.text).map_err(|why| why.to_string()));
    match lines {
        Ok([l402, lsat]) => Some([
            HeaderValue::try_from(l402).ok()?,
            HeaderValue::try_from(lsat).ok()?,
        ]),
        Err(why) => {
            tracing::error!(route = %offering.product.route, why, "a challenge cannot be written");
            None
        }
    }
}

/// Has the node make one invoice. What fails is for the log: the buyer is offered something else.
async fn make(sales: &Sales, product: &Product, making: Making) {
    let asked = timeout(MAKING_TIME, ask(sales, product)).await;
    let asked = asked.unwrap_or_else(|_| {
        Err(RailError {
            code: "node_silent",
            message: "the node has not answered in time".to_owned(),
        })
    });
    match asked {
        Ok((invoice, paying)) => making.done(invoice.text, paying, invoice.expires_s),
        Err(why) => tracing::warn!(
            route = %product.route,
            code = why.code,
            why = why.message,
            "there is no invoice for a challenge"
        ),
    }
}

async fn ask(
    sales: &Sales,
    product: &Product,
) -> Result<(farebox_core::invoice::Invoice, Paying), RailError> {
    let terms = product.price(sales.rail.as_ref())?;
    let price_msat = u64::try_from(terms.amount.atomic()).map_err(|_| RailError {
        code: "price_too_large",
        message: "the price is more than there is in millisatoshi".to_owned(),
    })?;
    let invoice = sales
        .rail
        .invoice(&terms, &product.route, INVOICE_LIFE_S)
        .await?;
    // Whoever pays in the last second still has all of the time.
    let valid_for_s = product.terms.valid_for_s.unwrap_or(VALID_FOR_S);
    let paying = Paying {
        payment_hash: PaymentHash(invoice.payment_hash),
        price_msat,
        valid_until_s: invoice.expires_s.saturating_add(valid_for_s),
    };
    Ok((invoice, paying))
}
