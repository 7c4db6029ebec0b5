//! The rules that all kinds of rails have. Each function's name is the rule that it guards.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::rail::Finding;

use super::{Fixture, LocalNet as _, Payment};

/// Longer than anything on a local network takes, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// The whole way, seen from everywhere.
pub async fn what_is_offered_can_be_paid_and_both_sides_see_it<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    assert_eq!(f.buyer_sees(&deal).await, Finding::Open);
    assert_eq!(f.seller_sees(&deal).await, Finding::Open);
    if let Some(verified) = f.verify(&deal).await {
        assert_eq!(verified, Ok(()));
    }
    let (transaction, _) = paid(f.pay(&deal).await);
    let earned = before + f.amount(&deal);
    assert!(earned > before, "something is paid");
    revenue_becomes(&**f, earned).await;
    settled_as(&transaction, &f.buyer_sees(&deal).await);
    settled_as(&transaction, &f.seller_hears(&deal).await);
    sent_at_most_once(&**f, &deal);
}

/// Law 3: who asks again, or starts again, finds the first payment.
pub async fn paying_again_gives_the_same_proof_and_moves_nothing<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    let first = paid(f.pay(&deal).await);
    let earned = before + f.amount(&deal);
    revenue_becomes(&**f, earned).await;
    assert_eq!(paid(f.pay(&deal).await), first);
    assert_eq!(paid(f.pay_restarted(&deal).await), first);
    revenue_becomes(&**f, earned).await;
    sent_at_most_once(&**f, &deal);
}

/// One payment has one mover, however many callers.
pub async fn paying_three_times_at_once_pays_once<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    let (one, two, three) = tokio::join!(f.pay(&deal), f.pay(&deal), f.pay_beside(&deal));
    let one = paid(one);
    assert_eq!(paid(two), one);
    assert_eq!(paid(three), one);
    revenue_becomes(&**f, before + f.amount(&deal)).await;
    sent_at_most_once(&**f, &deal);
}

/// Nobody takes another's place.
pub async fn many_are_paid_at_once<F: Fixture>(f: &Arc<F>) {
    let mut expected = f.net().revenue();
    let mut payments = Vec::new();
    for _ in 0..f.net().many() {
        let deal = f.begin().await;
        expected += f.amount(&deal);
        let f = Arc::clone(f);
        payments.push(tokio::spawn(async move { paid(f.pay(&deal).await) }));
    }
    assert!(!payments.is_empty());
    let mut seen = HashSet::new();
    for payment in payments {
        let (transaction, proof) = payment.await.expect("paying does not panic");
        assert!(seen.insert((transaction, proof)), "each is one of its own");
    }
    revenue_becomes(&**f, expected).await;
}

/// Law 8: it is told before anything moves, by the buyer's own side or by the seller's.
pub async fn a_payer_without_money_pays_nothing<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let unfunded = f.unfunded();
    match f.begin_without_money().await {
        Err(code) => assert_eq!(code, unfunded),
        Ok(deal) => {
            if let Some(verified) = f.verify(&deal).await {
                let refusal = verified.expect_err("there is no money");
                assert_eq!(refusal.reason.code(), unfunded);
                assert!(!refusal.is_ours, "{refusal}");
            }
            let refused = Payment::Refused {
                code: unfunded,
                is_ours: false,
            };
            assert_eq!(f.pay(&deal).await, refused);
            assert!(matches!(f.sent(&deal), None | Some(0)));
        }
    }
    assert_eq!(f.net().revenue(), before);
}

/// Law 3: a lost reply is Unknown at worst, and whoever comes next finds the payment.
pub async fn a_lost_reply_is_asked_for_and_not_paid_again<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    f.net().lose_reply();
    let first = f.pay(&deal).await;
    assert!(!matches!(first, Payment::Refused { .. }), "{first:?}");
    let after = paid(f.pay_restarted(&deal).await);
    if let Payment::Paid { transaction, proof } = first {
        assert_eq!((transaction, proof), after);
    }
    revenue_becomes(&**f, before + f.amount(&deal)).await;
    sent_at_most_once(&**f, &deal);
}

/// Law 3: what takes too long is Unknown and still open, and settles when it does.
pub async fn what_is_in_flight_stays_open_and_settles_late<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    f.net().hold(true);
    let is_under_way = async {
        loop {
            match f.pay_briefly(&deal).await {
                Payment::Unknown { .. } => break,
                // Nothing had left when the time was over.
                Payment::Refused { is_ours: true, .. } => {}
                other => panic!("nobody can know yet: {other:?}"),
            }
        }
    };
    within(is_under_way, "it is under way").await;
    assert_eq!(f.buyer_sees(&deal).await, Finding::Open);
    assert_eq!(f.net().revenue(), before);
    f.net().hold(false);
    let (transaction, _) = paid(f.pay_restarted(&deal).await);
    settled_as(&transaction, &f.seller_hears(&deal).await);
    settled_as(&transaction, &f.buyer_sees(&deal).await);
    revenue_becomes(&**f, before + f.amount(&deal)).await;
}

/// Law 3: only then is what was held given back.
pub async fn what_expired_unused_never_will_settle<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    f.net().expire();
    assert_eq!(f.buyer_sees(&deal).await, Finding::NeverWill);
    assert_eq!(f.seller_sees(&deal).await, Finding::NeverWill);
    let late = f.pay(&deal).await;
    assert!(!matches!(late, Payment::Paid { .. }), "{late:?}");
    assert_eq!(f.net().revenue(), before);
}

/// What was paid in time stays paid, though its credential or invoice is over.
pub async fn a_settlement_outlives_its_expiry<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    let first = paid(f.pay(&deal).await);
    // Whatever comes next must not find it on its way.
    revenue_becomes(&**f, before + f.amount(&deal)).await;
    settled_as(&first.0, &f.seller_hears(&deal).await);
    f.net().expire();
    settled_as(&first.0, &f.buyer_sees(&deal).await);
    settled_as(&first.0, &f.seller_sees(&deal).await);
    assert_eq!(paid(f.pay_restarted(&deal).await), first);
}

/// Law 14: not to know is neither yes nor no.
pub async fn a_rail_that_cannot_be_asked_tells_and_refuses_nothing_final<F: Fixture>(f: &Arc<F>) {
    let before = f.net().revenue();
    let deal = f.begin().await;
    f.net().cut_off(true);
    for finding in [f.buyer_sees(&deal).await, f.seller_sees(&deal).await] {
        assert!(matches!(finding, Finding::Unanswered { .. }), "{finding:?}");
    }
    if let Some(verified) = f.verify(&deal).await {
        let refusal = verified.expect_err("nobody can say that it is good");
        assert!(refusal.is_ours, "{refusal}");
    }
    f.net().cut_off(false);
    assert_eq!(f.buyer_sees(&deal).await, Finding::Open);
    if let Some(verified) = f.verify(&deal).await {
        assert_eq!(verified, Ok(()));
    }
    paid(f.pay(&deal).await);
    revenue_becomes(&**f, before + f.amount(&deal)).await;
}

/// Transaction and proof of what was paid.
pub(super) fn paid(payment: Payment) -> (String, String) {
    match payment {
        Payment::Paid { transaction, proof } => (transaction, proof),
        other => panic!("not paid: {other:?}"),
    }
}

/// Both sides agree on a payment a little later than one of them has its proof.
pub(super) async fn revenue_becomes<F: Fixture>(f: &F, expected: u128) {
    let reached = async {
        while f.net().revenue() != expected {
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    let has = f.net().revenue();
    assert!(
        reached.is_ok(),
        "the seller has {has} after {PATIENCE:?}, not {expected}"
    );
}

fn settled_as(expected: &str, finding: &Finding) {
    assert!(
        matches!(finding, Finding::Settled { transaction, .. } if transaction == expected),
        "{finding:?} instead of {expected}"
    );
}

fn sent_at_most_once<F: Fixture>(f: &F, deal: &F::Deal) {
    assert!(matches!(f.sent(deal), None | Some(1)));
}

async fn within(future: impl Future<Output = ()>, what: &str) {
    let reached = tokio::time::timeout(PATIENCE, future).await;
    assert!(reached.is_ok(), "within {PATIENCE:?}: {what}");
}
