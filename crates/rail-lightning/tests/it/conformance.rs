//! What every rail must do, for one where money moves before the credential exists: the list of the
//! EVM rail (`crates/rail-evm/tests/it/conformance.rs`), rule by rule, over any pair of nodes that a
//! fixture brings.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::invoice::{Invoice, InvoiceRail, InvoiceState, SettledInvoice};
use farebox_core::rail::{Finding, Handle, NotPayable, Paid, PayRail, Price};
use farebox_wire::challenge::{Challenge, L402Offer, Offer};
use farebox_wire::l402::Scheme;
use farebox_wire::money::UsdMicros;

/// Longer than any payment on a local network takes.
pub(crate) const WAIT_MS: u64 = 60_000;
/// Long enough for the payer's node to hear of the payment.
const SHORT_MS: u64 = 3_000;

/// A local network with a buyer who has money and a seller.
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    fn payer(&self) -> Arc<dyn PayRail>;
    /// A payer that has just started and remembers nothing.
    fn restarted(&self) -> Arc<dyn PayRail>;
    fn collector(&self) -> Arc<dyn InvoiceRail>;
    /// What the seller has, in millisatoshis.
    fn revenue(&self) -> u64;
    /// Makes the payer's node unreachable, or reachable again.
    fn cut_off(&self, is_cut: bool);
    /// The next answer to a payment gets lost, though the payment is made.
    fn lose_reply(&self);
    /// Payments that arrive stay in flight from now on, or are let through.
    fn hold(&self, is_held: bool);
    /// Payments that settle are told without their preimage from now on.
    fn withhold_preimages(&self);
}

pub(crate) async fn invoice(f: &impl Fixture) -> Invoice {
    invoice_over(f, UsdMicros(6_000)).await
}

async fn invoice_over(f: &impl Fixture, usd: UsdMicros) -> Invoice {
    let price = Price {
        usd,
        max_timeout_s: 60,
        upfront: false,
    };
    let collector = f.collector();
    let terms = collector.terms(&price).unwrap();
    collector.invoice(&terms, "conformance", 300).await.unwrap()
}

/// A new payment, authorised.
pub(crate) async fn authorised(payer: &dyn PayRail, f: &impl Fixture) -> (Handle, Invoice) {
    let invoice = invoice(f).await;
    let quote = payer.quote(&offer(&invoice)).await.unwrap();
    let signed = payer.authorise(&quote, &Challenge::default(), 60).await;
    let handle = signed.unwrap_or_else(|why| panic!("{why}")).handle;
    (Handle::new(handle.text().to_owned()), invoice)
}

fn offer(invoice: &Invoice) -> Offer {
    Offer::L402(L402Offer {
        scheme: Scheme::L402,
        token: "AgE".to_owned(),
        invoice: invoice.text.clone(),
        is_versioned: true,
    })
}

/// The credential of a payment that was made.
fn credential(paid: Paid) -> String {
    match paid {
        Paid::Settled { credential, .. } => credential.value,
        Paid::Failed { reason, message } => panic!("failed: {reason}: {message}"),
        Paid::Unknown { reason } => panic!("unknown: {reason}"),
    }
}

/// Both nodes agree on a payment a little later than the payer has its proof.
async fn revenue_becomes(f: &impl Fixture, expected: u64) {
    let reached = async {
        while f.revenue() != expected {
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_millis(WAIT_MS), reached).await;
    assert!(reached.is_ok(), "{} instead of {expected}", f.revenue());
}

/// Waits until the seller's node has told of it, which may be after the payer's has.
async fn paid_here(f: &impl Fixture, invoice: &Invoice) -> SettledInvoice {
    let collector = f.collector();
    let mut after = 0;
    loop {
        for settled in collector.settlements(after).await.unwrap() {
            after = settled.index;
            if settled.payment_hash == invoice.payment_hash {
                return settled;
            }
        }
    }
}

pub(crate) async fn what_is_offered_can_be_paid_and_both_sides_see_it(f: &impl Fixture) {
    let before = f.revenue();
    let payer = f.payer();
    let (handle, invoice) = authorised(&*payer, f).await;
    assert_eq!(payer.check(&handle).await, Finding::Open);
    let Paid::Settled {
        credential,
        fee,
        transaction,
        ..
    } = payer.pay(&handle, WAIT_MS).await
    else {
        panic!("not settled");
    };
    assert_eq!(fee.atomic(), 0, "the nodes are neighbours");
    assert_eq!(transaction, hex::encode(invoice.payment_hash));
    let (_, preimage) = credential.value.rsplit_once(':').unwrap();
    let preimage: [u8; 32] = hex::decode(preimage).unwrap().try_into().unwrap();
    assert_eq!(crate::invoices::hash_of(&preimage), invoice.payment_hash);
    let settled = paid_here(f, &invoice).await;
    assert_eq!(settled.amount.atomic(), 10_000);
    let state = f.collector().look_up(&invoice.payment_hash).await.unwrap();
    assert_eq!(state, InvoiceState::Settled(settled));
    revenue_becomes(f, before + 10_000).await;
    let finding = payer.check(&handle).await;
    assert_eq!(
        finding,
        Finding::Settled {
            transaction,
            is_final: true
        }
    );
}

pub(crate) async fn paying_again_gives_the_same_credential_and_moves_nothing(f: &impl Fixture) {
    let payer = f.payer();
    let before = f.revenue();
    let (handle, _) = authorised(&*payer, f).await;
    let first = credential(payer.pay(&handle, WAIT_MS).await);
    let after = before + 10_000;
    revenue_becomes(f, after).await;
    assert_eq!(credential(payer.pay(&handle, WAIT_MS).await), first);
    assert_eq!(credential(f.restarted().pay(&handle, WAIT_MS).await), first);
    revenue_becomes(f, after).await;
}

pub(crate) async fn paying_three_times_at_once_pays_once(f: &impl Fixture) {
    let payer = f.payer();
    let before = f.revenue();
    let (handle, _) = authorised(&*payer, f).await;
    let other = f.restarted();
    let (one, two, three) = tokio::join!(
        payer.pay(&handle, WAIT_MS),
        payer.pay(&handle, WAIT_MS),
        other.pay(&handle, WAIT_MS),
    );
    let one = credential(one);
    assert_eq!(credential(two), one);
    assert_eq!(credential(three), one);
    revenue_becomes(f, before + 10_000).await;
}

pub(crate) async fn a_lost_reply_is_asked_for_and_not_paid_again(f: &impl Fixture) {
    let payer = f.payer();
    let before = f.revenue();
    let (handle, _) = authorised(&*payer, f).await;
    f.lose_reply();
    let _ = payer.pay(&handle, WAIT_MS).await;
    // Whoever comes next, in whatever process, has it.
    credential(f.restarted().pay(&handle, WAIT_MS).await);
    revenue_becomes(f, before + 10_000).await;
}

pub(crate) async fn what_is_in_flight_stays_open_and_settles_late(f: &impl Fixture) {
    let payer = f.payer();
    let before = f.revenue();
    let (handle, invoice) = authorised(&*payer, f).await;
    f.hold(true);
    let Paid::Unknown { reason } = payer.pay(&handle, SHORT_MS).await else {
        panic!("nobody knows yet");
    };
    assert_eq!(reason, "payment_in_flight");
    assert_eq!(f.restarted().check(&handle).await, Finding::Open);
    f.hold(false);
    credential(f.restarted().pay(&handle, WAIT_MS).await);
    paid_here(f, &invoice).await;
    revenue_becomes(f, before + 10_000).await;
}

pub(crate) async fn what_the_seller_withdrew_is_not_paid(f: &impl Fixture) {
    let payer = f.payer();
    let before = f.revenue();
    let (handle, invoice) = authorised(&*payer, f).await;
    f.collector().cancel(&invoice.payment_hash).await.unwrap();
    let paid = payer.pay(&handle, WAIT_MS).await;
    assert!(matches!(paid, Paid::Failed { .. }), "refused by the payee");
    assert_eq!(payer.check(&handle).await, Finding::NeverWill);
    revenue_becomes(f, before).await;
}

pub(crate) async fn a_payer_without_money_is_told_before_anything_is_held(f: &impl Fixture) {
    let before = f.revenue();
    // A fifth of a bitcoin, which no channel here has on one side.
    let invoice = invoice_over(f, UsdMicros(12_000_000_000)).await;
    let quoted = f.payer().quote(&offer(&invoice)).await;
    let Err(NotPayable { code, .. }) = quoted else {
        panic!("there is not enough");
    };
    assert_eq!(code, "insufficient_balance");
    revenue_becomes(f, before).await;
}

pub(crate) async fn thirty_are_paid_at_once(f: &impl Fixture) {
    const COUNT: u64 = 30;
    let before = f.revenue();
    let mut payments = Vec::new();
    for _ in 0..COUNT {
        let payer = f.payer();
        let (handle, _) = authorised(&*payer, f).await;
        payments.push(tokio::spawn(async move {
            credential(payer.pay(&handle, WAIT_MS).await)
        }));
    }
    let mut credentials = std::collections::HashSet::new();
    for payment in payments {
        assert!(credentials.insert(payment.await.unwrap()));
    }
    revenue_becomes(f, before + COUNT * 10_000).await;
}

pub(crate) async fn success_without_a_preimage_stays_unknown(f: &impl Fixture) {
    let payer = f.payer();
    let before = f.revenue();
    let (handle, _) = authorised(&*payer, f).await;
    f.withhold_preimages();
    let Paid::Unknown { reason } = payer.pay(&handle, WAIT_MS).await else {
        panic!("there is no proof");
    };
    assert_eq!(reason, "preimage_unavailable");
    let finding = payer.check(&handle).await;
    assert!(matches!(finding, Finding::Unanswered { .. }), "{finding:?}");
    revenue_becomes(f, before + 10_000).await;
}

pub(crate) async fn a_rail_that_cannot_be_asked_tells_nothing_final(f: &impl Fixture) {
    let payer = f.payer();
    let before = f.revenue();
    let (handle, _) = authorised(&*payer, f).await;
    f.cut_off(true);
    let finding = payer.check(&handle).await;
    assert!(matches!(finding, Finding::Unanswered { .. }), "{finding:?}");
    f.cut_off(false);
    assert_eq!(payer.check(&handle).await, Finding::Open);
    credential(payer.pay(&handle, WAIT_MS).await);
    revenue_becomes(f, before + 10_000).await;
}

/// Expands the list into one test for each rule, and begins the network once for all.
macro_rules! rail_conformance {
    ($make:expr) => {
        rail_conformance!(@rules $make,
            what_is_offered_can_be_paid_and_both_sides_see_it,
            paying_again_gives_the_same_credential_and_moves_nothing,
            paying_three_times_at_once_pays_once,
            a_lost_reply_is_asked_for_and_not_paid_again,
            what_is_in_flight_stays_open_and_settles_late,
            what_the_seller_withdrew_is_not_paid,
            a_payer_without_money_is_told_before_anything_is_held,
            thirty_are_paid_at_once,
            success_without_a_preimage_stays_unknown,
            a_rail_that_cannot_be_asked_tells_nothing_final,
        );
    };
    (@rules $make:expr, $($rule:ident),+ $(,)?) => {
        /// One network for the whole list: it takes seconds to begin.
        #[tokio::test(flavor = "multi_thread")]
        async fn every_rule_holds_on_lightning() {
            let fixture = $make().await;
            $(
                eprintln!("rule: {}", stringify!($rule));
                $crate::conformance::$rule(&fixture).await;
                fixture.clear();
            )+
        }
    };
}
pub(crate) use rail_conformance;
