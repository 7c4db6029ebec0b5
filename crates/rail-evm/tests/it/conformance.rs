//! What every rail must do, whatever its chain: one list, generic over a fixture, so that the next
//! rail only brings a fixture. Each function's name is the rule that it guards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{
    CollectRail, Examined, Finding, Funds, Handle, Journal, Outcome, PayRail, Price, RailError,
    SellerOffer, SentTransaction,
};
use farebox_wire::challenge::Challenge;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;

/// Longer than any settlement on a local chain takes.
pub(crate) const WAIT_MS: u64 = 20_000;

/// A local network with a payer who has money, a payer who has none, and a collector.
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    fn payer(&self) -> &dyn PayRail;
    fn pauper(&self) -> &dyn PayRail;
    fn collector(&self) -> Arc<dyn CollectRail>;
    /// A collector that has just started and remembers nothing.
    async fn restarted(&self) -> Arc<dyn CollectRail>;
    /// What the payee has, in atomic units.
    fn revenue(&self) -> u128;
    /// Moves the chain past the expiry of everything that was signed so far.
    fn expire(&self);
    /// Makes the chain unreachable, or reachable again.
    fn cut_off(&self, is_cut: bool);
}

/// A journal that keeps its lines, and refuses to when told.
#[derive(Default)]
pub(crate) struct Recorder {
    sent: Mutex<Vec<SentTransaction>>,
    refuses: AtomicBool,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The hashes.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.hash).collect()
    }

    pub(crate) fn sent(&self) -> Vec<SentTransaction> {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }
}

#[async_trait]
impl Journal for Recorder {
    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(RailError {
                code: "disk_full",
                message: "no room".into(),
            });
        }
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(transaction.clone());
        Ok(())
    }

    async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
        panic!("this rail settles by itself")
    }
}

pub(crate) fn offer(collector: &dyn CollectRail) -> SellerOffer {
    let price = Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 60,
        upfront: false,
    };
    collector.offers(&price).unwrap().remove(0)
}

/// The buyer's handle and the seller's examined credential of one new payment.
pub(crate) async fn signed(payer: &dyn PayRail, collector: &dyn CollectRail) -> (Handle, Examined) {
    signed_for(payer, collector, 60).await
}

/// The same, valid for so many seconds.
pub(crate) async fn signed_for(
    payer: &dyn PayRail,
    collector: &dyn CollectRail,
    valid_for_s: u64,
) -> (Handle, Examined) {
    let offer = offer(collector);
    let read = offer.as_read();
    let quote = payer.quote(&read).await.unwrap();
    assert_eq!(quote.terms.amount, offer.terms.amount);
    let signed = payer
        .authorise(&quote, &Challenge::default(), valid_for_s)
        .await
        .unwrap();
    let payload: PaymentPayload = header::decode(
        signed
            .credential
            .as_ref()
            .expect("a signature")
            .value
            .as_bytes(),
    )
    .unwrap();
    let now_s = SystemClock.now_s();
    let examined = collector.examine(&payload, &offer, now_s).unwrap();
    assert_eq!(examined.identity, signed.identity);
    assert_eq!(examined.valid_before_s, signed.valid_before_s);
    (signed.handle, examined)
}

pub(crate) fn transaction(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Settled { transaction, .. } => transaction.clone(),
        other => panic!("not settled: {other:?}"),
    }
}

pub(crate) async fn what_is_offered_can_be_paid_and_both_sides_see_it(f: &impl Fixture) {
    let collector = f.collector();
    let before = f.revenue();
    let (handle, examined) = signed(f.payer(), &*collector).await;
    assert_eq!(f.payer().check(&handle).await, Finding::Open);
    let funds = collector.verify(&examined).await.unwrap();
    let enough = examined.terms.amount;
    assert!(matches!(funds, Funds::Balance(has) if has >= enough));

    let journal = Recorder::new();
    let outcome = collector
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    let hash = transaction(&outcome);
    assert_eq!(journal.lines(), std::slice::from_ref(&hash));
    assert_eq!(f.revenue() - before, examined.terms.amount.atomic());
    for finding in [
        f.payer().check(&handle).await,
        collector.check(&examined.handle).await,
    ] {
        assert!(
            matches!(&finding, Finding::Settled { transaction, .. } if *transaction == hash),
            "{finding:?}"
        );
    }
}

pub(crate) async fn settling_again_finds_the_first_settlement_and_sends_nothing(f: &impl Fixture) {
    let (_, examined) = signed(f.payer(), &*f.collector()).await;
    let journal = Recorder::new();
    let first = f
        .collector()
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    let after = f.revenue();
    let again = f
        .collector()
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    let restarted = f.restarted().await;
    let later = restarted
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    assert_eq!(transaction(&again), transaction(&first));
    assert_eq!(transaction(&later), transaction(&first));
    assert_eq!(journal.lines().len(), 1);
    assert_eq!(f.revenue(), after);
}

pub(crate) async fn settling_twice_at_once_sends_once(f: &impl Fixture) {
    let collector = f.collector();
    let (_, examined) = signed(f.payer(), &*collector).await;
    let before = f.revenue();
    let journal = Recorder::new();
    let (one, two, three) = tokio::join!(
        collector.settle(&examined.handle, journal.clone(), WAIT_MS),
        collector.settle(&examined.handle, journal.clone(), WAIT_MS),
        collector.settle(&examined.handle, journal.clone(), WAIT_MS),
    );
    assert_eq!(transaction(&one), transaction(&two));
    assert_eq!(transaction(&one), transaction(&three));
    assert_eq!(journal.lines().len(), 1);
    assert_eq!(f.revenue() - before, examined.terms.amount.atomic());
}

pub(crate) async fn a_used_credential_does_not_verify(f: &impl Fixture) {
    let collector = f.collector();
    let (_, examined) = signed(f.payer(), &*collector).await;
    let outcome = collector
        .settle(&examined.handle, Recorder::new(), WAIT_MS)
        .await;
    transaction(&outcome);
    let refusal = collector.verify(&examined).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::NonceAlreadyUsed);
    assert!(!refusal.is_ours);
}

pub(crate) async fn a_payer_without_money_does_not_verify_nor_settle(f: &impl Fixture) {
    let collector = f.collector();
    let (_, examined) = signed(f.pauper(), &*collector).await;
    let refusal = collector.verify(&examined).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::InsufficientBalance);
    let journal = Recorder::new();
    let outcome = collector
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.reason == Reason::InsufficientBalance && !r.is_ours),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
}

pub(crate) async fn without_a_line_in_the_journal_nothing_leaves(f: &impl Fixture) {
    let collector = f.collector();
    let (handle, examined) = signed(f.payer(), &*collector).await;
    let before = f.revenue();
    let journal = Recorder::new();
    journal.refuse(true);
    let outcome = collector
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert_eq!(f.revenue(), before);
    assert_eq!(f.payer().check(&handle).await, Finding::Open);
    journal.refuse(false);
    transaction(
        &collector
            .settle(&examined.handle, journal.clone(), WAIT_MS)
            .await,
    );
    assert_eq!(f.revenue() - before, examined.terms.amount.atomic());
}

pub(crate) async fn what_expired_unused_never_will_settle(f: &impl Fixture) {
    let collector = f.collector();
    let (handle, examined) = signed(f.payer(), &*collector).await;
    f.expire();
    assert_eq!(f.payer().check(&handle).await, Finding::NeverWill);
    assert_eq!(collector.check(&examined.handle).await, Finding::NeverWill);
}

pub(crate) async fn a_settlement_outlives_its_credentials_expiry(f: &impl Fixture) {
    let collector = f.collector();
    let (handle, examined) = signed(f.payer(), &*collector).await;
    let outcome = collector
        .settle(&examined.handle, Recorder::new(), WAIT_MS)
        .await;
    let hash = transaction(&outcome);
    f.expire();
    let finding = f.payer().check(&handle).await;
    assert!(matches!(&finding, Finding::Settled { transaction, .. } if *transaction == hash));
}

pub(crate) async fn a_rail_that_cannot_be_asked_tells_and_refuses_nothing_final(f: &impl Fixture) {
    let collector = f.collector();
    let (handle, examined) = signed(f.payer(), &*collector).await;
    f.cut_off(true);
    assert!(matches!(
        f.payer().check(&handle).await,
        Finding::Unanswered { .. }
    ));
    let refusal = collector.verify(&examined).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::UnexpectedVerify);
    assert!(refusal.is_ours);
    f.cut_off(false);
    assert_eq!(f.payer().check(&handle).await, Finding::Open);
    collector.verify(&examined).await.unwrap();
}

pub(crate) async fn many_settle_at_once(f: &impl Fixture, count: usize) {
    let collector = f.collector();
    let before = f.revenue();
    let mut settlements = Vec::new();
    let mut total = 0;
    for _ in 0..count {
        let (_, examined) = signed(f.payer(), &*collector).await;
        total += examined.terms.amount.atomic();
        let collector = Arc::clone(&collector);
        settlements.push(tokio::spawn(async move {
            let journal = Recorder::new();
            collector
                .settle(&examined.handle, journal.clone(), WAIT_MS)
                .await
        }));
    }
    let mut hashes = std::collections::HashSet::new();
    for settlement in settlements {
        assert!(hashes.insert(transaction(&settlement.await.unwrap())));
    }
    assert_eq!(f.revenue() - before, total);
}

/// Expands the list into one test for each rule.
macro_rules! rail_conformance {
    ($make:expr) => {
        rail_conformance!(@rules $make,
            what_is_offered_can_be_paid_and_both_sides_see_it,
            settling_again_finds_the_first_settlement_and_sends_nothing,
            settling_twice_at_once_sends_once,
            a_used_credential_does_not_verify,
            a_payer_without_money_does_not_verify_nor_settle,
            without_a_line_in_the_journal_nothing_leaves,
            what_expired_unused_never_will_settle,
            a_settlement_outlives_its_credentials_expiry,
            a_rail_that_cannot_be_asked_tells_and_refuses_nothing_final,
        );

        #[tokio::test(flavor = "multi_thread")]
        async fn fifty_settle_at_once() {
            $crate::conformance::many_settle_at_once(&$make().await, 50).await;
        }
    };
    (@rules $make:expr, $($rule:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                $crate::conformance::$rule(&$make().await).await;
            }
        )+
    };
}
pub(crate) use rail_conformance;
