//! Rails where the money moves first, and its proof is the credential: how they keep the list, and the
//! rules that only they have.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_wire::challenge::{Challenge, L402Offer, Offer};
use farebox_wire::l402::Scheme;
use farebox_wire::money::UsdMicros;
use sha2::{Digest as _, Sha256};

use super::kit::stored;
use super::rules::revenue_becomes;
use super::{Fixture, LocalNet, Payment};
use crate::invoice::{Invoice, InvoiceRail, InvoiceState};
use crate::rail::{Finding, Handle, Paid, PayRail, Price, Refusal, Terms};

/// Longer than any payment on a local network takes.
const WAIT_MS: u64 = 60_000;
/// Long enough for the payer's node to hear of the payment.
const SHORT_MS: u64 = 3_000;
/// For how long an invoice is good: longer than a rule takes on a machine that has other things to do.
const VALID_S: u64 = 300;
/// Six tenths of a cent.
const PRICE: UsdMicros = UsdMicros(6_000);
/// More than anybody has on a local network.
const TOO_MUCH: UsdMicros = UsdMicros(12_000_000_000);

/// A network with a buyer who has money and a seller.
pub trait PrepaidNet: LocalNet {
    /// Who pays.
    fn payer(&self) -> Arc<dyn PayRail>;

    /// A payer of the same money that has just started and remembers nothing.
    fn restarted(&self) -> Arc<dyn PayRail>;

    /// Who is paid.
    fn collector(&self) -> Arc<dyn InvoiceRail>;

    /// From now on payments that settle are told without their proof.
    fn withhold_proofs(&self);
}

/// A rail where the money moves first, as the list sees it.
pub struct Prepaid<N>(pub N);

/// A payment by an invoice.
pub struct Invoiced {
    /// As it is stored.
    handle: Handle,
    invoice: Invoice,
    terms: Terms,
}

impl<N: PrepaidNet> Prepaid<N> {
    /// An invoice over a price, and how a buyer reads its offer.
    async fn offered(&self, usd: UsdMicros) -> (Invoice, Terms, Offer) {
        let price = Price {
            usd,
            max_timeout_s: 60,
            upfront: false,
        };
        let collector = self.0.collector();
        let terms = collector.terms(&price).expect("the price has an amount");
        let invoice = collector.invoice(&terms, "conformance", VALID_S).await;
        let invoice = invoice.expect("an invoice");
        let offer = Offer::L402(L402Offer {
            scheme: Scheme::L402,
            token: "AgE".to_owned(),
            invoice: invoice.text.clone(),
            is_versioned: true,
        });
        (invoice, terms, offer)
    }
}

impl Invoiced {
    async fn pay(&self, payer: &dyn PayRail, wait_ms: u64) -> Payment {
        match payer.pay(&self.handle, wait_ms).await {
            Paid::Settled {
                credential,
                transaction,
                fee,
                ..
            } => {
                assert!(fee <= self.terms.fee_max, "more than was held for it");
                assert_eq!(transaction, hex::encode(self.invoice.payment_hash));
                let (_, preimage) = credential.value.rsplit_once(':').expect("token:preimage");
                let preimage = hex::decode(preimage).expect("in hexadecimal");
                let hash: [u8; 32] = Sha256::digest(preimage).into();
                assert_eq!(hash, self.invoice.payment_hash, "a proof of this payment");
                let proof = hex::encode(Sha256::digest(&credential.value));
                Payment::Paid { transaction, proof }
            }
            Paid::Failed { reason, .. } => Payment::Refused {
                code: reason,
                is_ours: false,
            },
            Paid::Unknown { reason } => Payment::Unknown { reason },
        }
    }
}

#[async_trait]
impl<N: PrepaidNet> Fixture for Prepaid<N> {
    type Deal = Invoiced;
    type Net = N;

    fn net(&self) -> &N {
        &self.0
    }

    async fn begin(&self) -> Invoiced {
        let (invoice, asked, offer) = self.offered(PRICE).await;
        let payer = self.0.payer();
        let quote = payer.quote(&offer).await.expect("it is payable");
        assert_eq!(quote.terms.amount, asked.amount);
        assert_eq!(quote.terms.payee, asked.payee);
        let signed = payer.authorise(&quote, &Challenge::default(), 60).await;
        let signed = signed.unwrap_or_else(|why| panic!("not authorised: {why}"));
        assert!(signed.credential.is_none(), "the money moves first");
        Invoiced {
            handle: stored(&signed.handle),
            invoice,
            terms: quote.terms,
        }
    }

    /// Here it is the price that is too high, since a network has one buyer.
    async fn begin_without_money(&self) -> Result<Invoiced, String> {
        let (_, _, offer) = self.offered(TOO_MUCH).await;
        match self.0.payer().quote(&offer).await {
            Ok(_) => panic!("nobody has that much"),
            Err(why) => Err(why.code.to_owned()),
        }
    }

    fn amount(&self, deal: &Invoiced) -> u128 {
        deal.terms.amount.atomic()
    }

    async fn pay(&self, deal: &Invoiced) -> Payment {
        deal.pay(&*self.0.payer(), WAIT_MS).await
    }

    async fn pay_briefly(&self, deal: &Invoiced) -> Payment {
        deal.pay(&*self.0.payer(), SHORT_MS).await
    }

    async fn pay_beside(&self, deal: &Invoiced) -> Payment {
        deal.pay(&*self.0.restarted(), WAIT_MS).await
    }

    async fn pay_restarted(&self, deal: &Invoiced) -> Payment {
        deal.pay(&*self.0.restarted(), WAIT_MS).await
    }

    /// A payer that has paid nothing itself must know as much as one that has.
    async fn buyer_sees(&self, deal: &Invoiced) -> Finding {
        let finding = self.0.payer().check(&deal.handle).await;
        let restarted = self.0.restarted().check(&deal.handle).await;
        match finding {
            Finding::Unanswered { .. } => assert!(matches!(restarted, Finding::Unanswered { .. })),
            _ => assert_eq!(restarted, finding),
        }
        finding
    }

    async fn seller_sees(&self, deal: &Invoiced) -> Finding {
        match self.0.collector().look_up(&deal.invoice.payment_hash).await {
            Ok(InvoiceState::Open) => Finding::Open,
            Ok(InvoiceState::Settled(settled)) => {
                assert_eq!(settled.payment_hash, deal.invoice.payment_hash);
                assert!(settled.amount >= deal.terms.amount);
                Finding::Settled {
                    transaction: hex::encode(settled.payment_hash),
                    is_final: true,
                }
            }
            Ok(InvoiceState::Dead) => Finding::NeverWill,
            Err(why) => Finding::Unanswered { why: why.message },
        }
    }

    async fn seller_hears(&self, deal: &Invoiced) -> Finding {
        let collector = self.0.collector();
        let mut after = 0;
        loop {
            let told = collector.settlements(after).await;
            for settled in told.expect("the seller's node is there") {
                after = settled.index;
                if settled.payment_hash == deal.invoice.payment_hash {
                    let known = collector.look_up(&settled.payment_hash).await;
                    assert_eq!(known, Ok(InvoiceState::Settled(settled)));
                    return self.seller_sees(deal).await;
                }
            }
        }
    }

    async fn verify(&self, _: &Invoiced) -> Option<Result<(), Refusal>> {
        None
    }

    fn sent(&self, _: &Invoiced) -> Option<usize> {
        None
    }

    fn unfunded(&self) -> String {
        "insufficient_balance".to_owned()
    }
}

/// Then the buyer has lost nothing, and knows it.
pub async fn what_the_seller_withdrew_is_not_paid<N: PrepaidNet>(f: &Arc<Prepaid<N>>) {
    let before = f.0.revenue();
    let deal = f.begin().await;
    let withdrawn = f.0.collector().cancel(&deal.invoice.payment_hash).await;
    withdrawn.expect("the seller's node is there");
    let paid = f.pay(&deal).await;
    assert!(matches!(paid, Payment::Refused { .. }), "{paid:?}");
    assert_eq!(f.buyer_sees(&deal).await, Finding::NeverWill);
    assert_eq!(f.seller_sees(&deal).await, Finding::NeverWill);
    revenue_becomes(&**f, before).await;
}

/// The money is gone and nothing shows it: that is neither settled nor failed.
pub async fn success_without_a_proof_stays_unknown<N: PrepaidNet>(f: &Arc<Prepaid<N>>) {
    let before = f.0.revenue();
    let deal = f.begin().await;
    f.0.withhold_proofs();
    let paid = f.pay(&deal).await;
    let unproven = Payment::Unknown {
        reason: "preimage_unavailable".to_owned(),
    };
    assert_eq!(paid, unproven);
    let finding = f.buyer_sees(&deal).await;
    assert!(matches!(finding, Finding::Unanswered { .. }), "{finding:?}");
    revenue_becomes(&**f, before + deal.terms.amount.atomic()).await;
}
