//! Rails where a credential comes first, and the seller's side moves the money: how they keep the
//! list, and the rules that only they have.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_wire::challenge::Challenge;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;

use super::kit::{Resumed, stored};
use super::rules::{paid, revenue_becomes};
use super::{Fixture, LocalNet, Payment, Recorder, transaction};
use crate::clock::{Clock as _, SystemClock};
use crate::rail::{
    CollectRail, Examined, Finding, Funds, Handle, Journal, Outcome, PayRail, Price, Refusal,
    SellerOffer,
};

/// Longer than any settlement on a local chain takes.
pub const WAIT_MS: u64 = 20_000;
/// Long enough for a transaction to leave, most of the time.
const SHORT_MS: u64 = 500;
/// How long a credential may be on its way within one test, on a machine that has other things to do.
const PATIENCE_S: u64 = 60;
/// For how long a credential is good.
const VALID_S: u64 = 60;

/// A network with a payer who has money, one who has none, and a collector.
#[async_trait]
pub trait SignedNet: LocalNet {
    /// Who pays.
    fn payer(&self) -> &dyn PayRail;

    /// Who has no money, and signs all the same.
    fn pauper(&self) -> &dyn PayRail;

    /// Who is paid.
    fn collector(&self) -> Arc<dyn CollectRail>;

    /// A collector of the same seller that has just started and remembers nothing.
    async fn restarted(&self) -> Arc<dyn CollectRail>;

    /// A credential that its payer cannot pay. A rail whose payers do not sign without money has one
    /// sign that loses it then.
    async fn unfunded(&self) -> (Handle, Examined) {
        signed(self.pauper(), &*self.collector()).await
    }

    /// By which reason it is refused.
    fn unfunded_reason(&self) -> Reason;

    /// By which reason a credential is refused that was used.
    fn used_reason(&self) -> Reason;
}

/// A rail where a credential comes first, as the list sees it.
pub struct Signed<N>(pub N);

/// A payment that was signed for.
pub struct Credited {
    /// The buyer's, as it is stored.
    handle: Handle,
    examined: Examined,
    journal: Arc<Recorder>,
}

impl Credited {
    fn new((handle, examined): (Handle, Examined)) -> Self {
        Self {
            handle: stored(&handle),
            examined,
            journal: Recorder::new(),
        }
    }
}

impl<N: SignedNet> Signed<N> {
    async fn settle(&self, deal: &Credited, wait_ms: u64) -> Payment {
        let collector = self.0.collector();
        let handle = &deal.examined.handle;
        told(
            collector
                .settle(handle, deal.journal.clone(), wait_ms)
                .await,
        )
    }
}

#[async_trait]
impl<N: SignedNet> Fixture for Signed<N> {
    type Deal = Credited;
    type Net = N;

    fn net(&self) -> &N {
        &self.0
    }

    async fn begin(&self) -> Credited {
        Credited::new(signed(self.0.payer(), &*self.0.collector()).await)
    }

    async fn begin_without_money(&self) -> Result<Credited, String> {
        Ok(Credited::new(self.0.unfunded().await))
    }

    fn amount(&self, deal: &Credited) -> u128 {
        deal.examined.terms.amount.atomic()
    }

    async fn pay(&self, deal: &Credited) -> Payment {
        self.settle(deal, WAIT_MS).await
    }

    async fn pay_briefly(&self, deal: &Credited) -> Payment {
        self.settle(deal, SHORT_MS).await
    }

    /// In the same process: what pays for transactions has one owner (law 10).
    async fn pay_beside(&self, deal: &Credited) -> Payment {
        self.settle(deal, WAIT_MS).await
    }

    async fn pay_restarted(&self, deal: &Credited) -> Payment {
        let collector = self.0.restarted().await;
        let journal: Arc<dyn Journal> = Arc::new(Resumed(deal.journal.clone()));
        let handle = stored(&deal.examined.handle);
        told(collector.settle(&handle, journal, WAIT_MS).await)
    }

    async fn buyer_sees(&self, deal: &Credited) -> Finding {
        self.0.payer().check(&deal.handle).await
    }

    async fn seller_sees(&self, deal: &Credited) -> Finding {
        self.0.collector().check(&deal.examined.handle).await
    }

    async fn seller_hears(&self, deal: &Credited) -> Finding {
        self.seller_sees(deal).await
    }

    async fn verify(&self, deal: &Credited) -> Option<Result<(), Refusal>> {
        let verified = self.0.collector().verify(&deal.examined).await;
        Some(verified.map(|funds| match funds {
            Funds::Balance(has) => assert!(has >= deal.examined.terms.amount),
            Funds::EnoughForOne => {}
        }))
    }

    fn sent(&self, deal: &Credited) -> Option<usize> {
        Some(deal.journal.lines().len())
    }

    fn unfunded(&self) -> String {
        self.0.unfunded_reason().code().to_owned()
    }
}

/// What the list calls an outcome.
fn told(outcome: Outcome) -> Payment {
    match outcome {
        Outcome::Settled { transaction, .. } => Payment::Paid {
            proof: transaction.clone(),
            transaction,
        },
        Outcome::Rejected(refusal) => Payment::Refused {
            code: refusal.reason.code().to_owned(),
            is_ours: refusal.is_ours,
        },
        Outcome::Unknown { reason } => Payment::Unknown { reason },
    }
}

/// The collector's first offer of a tenth of a cent.
///
/// # Panics
/// Where it makes none.
#[must_use]
pub fn offer(collector: &dyn CollectRail) -> SellerOffer {
    let price = Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 60,
        upfront: false,
    };
    let offers = collector.offers(&price).expect("the price is payable");
    offers.into_iter().next().expect("there is an offer")
}

/// The buyer's handle and the seller's examined credential of one new payment.
///
/// # Panics
/// Where either side refuses.
pub async fn signed(payer: &dyn PayRail, collector: &dyn CollectRail) -> (Handle, Examined) {
    signed_for(payer, collector, VALID_S).await
}

/// The same, valid for so many seconds.
///
/// # Panics
/// Where either side refuses, or they do not mean the same.
pub async fn signed_for(
    payer: &dyn PayRail,
    collector: &dyn CollectRail,
    valid_for_s: u64,
) -> (Handle, Examined) {
    let offer = offer(collector);
    let quote = payer.quote(&offer.as_read()).await.expect("it is payable");
    assert_eq!(quote.terms.amount, offer.terms.amount);
    let challenge = Challenge::default();
    let signed = payer.authorise(&quote, &challenge, valid_for_s).await;
    let signed = signed.unwrap_or_else(|why| panic!("not signed: {why}"));
    let credential = signed.credential.expect("a signature");
    let payload: PaymentPayload =
        header::decode(credential.value.as_bytes()).expect("the payer's own header");
    let examined = collector
        .examine(&payload, &offer, SystemClock.now_s())
        .expect("it is what was offered");
    assert_eq!(examined.identity, signed.identity);
    // Where blocks count and not seconds, each side counts from when it saw the credential first,
    // and the seller is the second.
    let later_s = examined.valid_before_s.checked_sub(signed.valid_before_s);
    assert!(later_s.is_some_and(|s| s <= PATIENCE_S), "{later_s:?} s");
    (signed.handle, examined)
}

/// Law 8: before anything is served.
pub async fn a_used_credential_does_not_verify<N: SignedNet>(f: &Arc<Signed<N>>) {
    let before = f.0.revenue();
    let deal = f.begin().await;
    paid(f.pay(&deal).await);
    revenue_becomes(&**f, before + f.amount(&deal)).await;
    let collector = f.0.collector();
    let refusal = collector.verify(&deal.examined).await.expect_err("used");
    assert_eq!(refusal.reason, f.0.used_reason());
    assert!(!refusal.is_ours);
}

/// Law 2: write before you act.
pub async fn without_a_line_in_the_journal_nothing_leaves<N: SignedNet>(f: &Arc<Signed<N>>) {
    let before = f.0.revenue();
    let deal = f.begin().await;
    deal.journal.refuse(true);
    let refused = f.pay(&deal).await;
    assert!(
        matches!(refused, Payment::Refused { is_ours: true, .. }),
        "{refused:?}"
    );
    assert_eq!(f.0.revenue(), before);
    assert_eq!(f.buyer_sees(&deal).await, Finding::Open);
    deal.journal.refuse(false);
    paid(f.pay(&deal).await);
    revenue_becomes(&**f, before + f.amount(&deal)).await;
}

/// Law 4: even one whose books were lost; it sends nothing.
pub async fn a_process_that_knows_nothing_finds_the_first_settlement<N: SignedNet>(
    f: &Arc<Signed<N>>,
) {
    let before = f.0.revenue();
    let deal = f.begin().await;
    let (first, _) = paid(f.pay(&deal).await);
    let after = before + f.amount(&deal);
    revenue_becomes(&**f, after).await;
    let journal = Recorder::new();
    let collector = f.0.restarted().await;
    let handle = stored(&deal.examined.handle);
    let again = collector.settle(&handle, journal.clone(), WAIT_MS).await;
    assert_eq!(transaction(&again), first);
    assert_eq!(journal.lines(), [""; 0]);
    assert_eq!(f.0.revenue(), after);
}
