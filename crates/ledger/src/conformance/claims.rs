//! Rules of sellers: first wins, and a payer's balance is held.

use std::sync::Arc;

use farebox_core::ledger::{Claimed, Ledger, NewClaim, PayerMark, PaymentId};

use super::kit::{Ask, PAYER, Store, asset, claim, funded};

/// Law 6: one First, and everybody else is told who it was.
pub async fn a_hundred_parallel_claims_of_one_identity_have_one_first(store: &dyn Store) {
    let ledger = store.open().await;
    let claims = (0..100).map(|n| NewClaim {
        id: PaymentId(format!("attempt-{n}")),
        ..claim("same", 5)
    });
    let answers = claim_all(&ledger, claims).await;
    let firsts: Vec<_> = answers.iter().filter_map(first).collect();
    let [winner] = firsts.as_slice() else {
        panic!("{} were first", firsts.len());
    };
    for answer in &answers {
        if let Claimed::Repeat(payment) = answer {
            assert_eq!(&payment.id, winner);
        }
    }
    assert_eq!(ledger.balance("seller/payers").await, -5);
    ledger.must_add_up().await;
}

/// Law 8: a hundred authorizations on a balance for one.
pub async fn a_balance_for_one_payment_is_claimed_once(store: &dyn Store) {
    let ledger = store.open().await;
    let mark = ledger.payer_mark(&asset(), PAYER).await.expect("a mark");
    assert_eq!(mark, PayerMark(farebox_wire::money::Amount::ZERO));
    let claims = (0..100).map(|n| funded(&format!("nonce-{n}"), 1000, 1999, mark));
    let answers = claim_all(&ledger, claims).await;
    assert_eq!(answers.iter().filter_map(first).count(), 1);
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Claimed::Insufficient { left } if left.atomic() == 999));
    assert_eq!(refused.count(), 99);
    ledger.must_add_up().await;
}

async fn claim_all(
    ledger: &Arc<dyn Ledger>,
    claims: impl Iterator<Item = NewClaim>,
) -> Vec<Claimed> {
    let tasks: Vec<_> = claims
        .map(|new| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move { ledger.claim(new).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("no panic").expect("a working store"));
    }
    answers
}

fn first(answer: &Claimed) -> Option<PaymentId> {
    match answer {
        Claimed::First(payment) => Some(payment.id.clone()),
        Claimed::Repeat(_) | Claimed::Insufficient { .. } => None,
    }
}
