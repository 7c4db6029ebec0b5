//! Rules of sellers: first wins, and a payer's balance is held.

use std::sync::Arc;

use farebox_core::ledger::{
    Attach, Claimed, ClaimedIdentity, Cover, Ledger, LedgerError, NewClaim, PayerMark, PaymentId,
    SellerSide,
};
use farebox_core::payment::{Event, Phase, Role};
use farebox_core::rail::{Handle, Terms};
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;

use super::kit::{
    Ask, NOON_MS, PAYER, Store, asset, claim, funded, reason, sending, settled, terms,
};

/// Nothing was ever settled.
const NO_MARK: PayerMark = PayerMark(Amount::ZERO);

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
    assert_eq!(mark(&ledger).await, NO_MARK);
    let claims = (0..100).map(|n| funded(&format!("nonce-{n}"), 1000, 1999, NO_MARK));
    let answers = claim_all(&ledger, claims).await;
    assert_eq!(answers.iter().filter_map(first).count(), 1);
    let refused = answers.iter().filter(|answer| left(answer) == Some(999));
    assert_eq!(refused.count(), 99);
    assert_eq!(ledger.balance("seller/payers").await, -1000);
    ledger.must_add_up().await;
}

/// What a restarted process must know: every claim whose credential may still be served, and
/// those that are not decided, however old.
pub async fn claims_that_may_still_be_served_are_listed(store: &dyn Store) {
    let ledger = store.open().await;
    let ending = |name: &str, valid_before_s| NewClaim {
        valid_before_s,
        ..claim(name, 5)
    };
    for (name, end) in [("old", 100), ("short", 200), ("long", u64::MAX)] {
        ledger.must_claim(ending(name, end)).await;
    }
    let names = |since_s, limit| {
        let listed = ledger.claimed(Role::Seller, since_s, limit);
        async { identities(listed.await) }
    };
    // Undecided, all of them.
    assert_eq!(names(150, 10).await, ["long", "short", "old"]);
    for name in ["old", "short", "long"] {
        for event in [sending(), settled(), Event::Finalised, Event::Delivered] {
            ledger.must_take(name, event).await;
        }
    }
    assert_eq!(names(150, 10).await, ["long", "short"]);
    assert_eq!(names(100, 10).await, ["long", "short", "old"]);
    assert_eq!(names(100, 1).await, ["long"]);
    let others = ledger.claimed(Role::Facilitator, 0, 10).await;
    assert_eq!(identities(others), Vec::<String>::new());
}

fn identities(listed: Result<Vec<ClaimedIdentity>, LedgerError>) -> Vec<String> {
    let name = |claim: ClaimedIdentity| claim.identity.as_str().replace("eip3009:", "");
    listed.expect("a list").into_iter().map(name).collect()
}

/// A gate and a facilitator in one ledger do not take each other's claims.
pub async fn a_claim_is_found_by_its_identity_in_its_role_only(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(claim("one", 5)).await;
    let identity = claim("one", 5).identity;
    let other = Identity::from_stored("eip3009:other");
    let seller = found(&ledger, Role::Seller, &identity).await;
    assert_eq!(seller, Some(PaymentId("one".to_owned())));
    assert_eq!(found(&ledger, Role::Facilitator, &identity).await, None);
    assert_eq!(found(&ledger, Role::Seller, &other).await, None);
    let facilitator = NewClaim {
        id: PaymentId("two".to_owned()),
        role: Role::Facilitator,
        ..claim("one", 5)
    };
    ledger.must_claim(facilitator).await;
    assert_eq!(ledger.balance("facilitator/payers").await, -5);
    ledger.must_add_up().await;
}

/// Law 6: released is as new, for one of those who come.
pub async fn a_released_claim_comes_again_as_new_and_once(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(claim("one", 5)).await;
    let abandoned = Event::Abandoned { reason: reason() };
    ledger.must_take("one", abandoned).await;
    assert_eq!(ledger.balance("seller/payers").await, 0);
    let again = |n: u8| NewClaim {
        id: PaymentId(format!("again-{n}")),
        side: SellerSide {
            request_digest: [n; 32],
            ..claim("one", 5).side
        },
        terms: terms(7),
        handle: Handle::new(format!("handle {n}")),
        valid_before_s: 1_000_000 + u64::from(n),
        ..claim("one", 5)
    };
    let answers = claim_all(&ledger, (0..20).map(again)).await;
    let mut firsts = answers.iter().filter_map(|answer| match answer {
        Claimed::First(payment) => Some(payment),
        _ => None,
    });
    let payment = firsts.next().expect("one is first");
    assert!(firsts.next().is_none(), "two were first");
    assert_eq!(payment.id.0, "one");
    assert_eq!(payment.state.phase, Phase::Reserved);
    assert_eq!(payment.terms.amount, Amount::from_atomic(7));
    let [n, ..] = payment.seller.as_ref().expect("a seller").request_digest;
    let handle = payment.handle.as_ref().expect("a handle");
    assert_eq!(handle.text(), format!("handle {n}"));
    assert_eq!(payment.valid_before_s, Some(1_000_000 + u64::from(n)));
    assert_eq!(ledger.balance("seller/payers").await, -7);
    ledger.must_add_up().await;
}

/// A settled credential that is shown again is let through although its payer is poor by now.
pub async fn a_repeat_needs_no_balance(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(funded("one", 1000, 1000, NO_MARK)).await;
    ledger.must_take("one", settled()).await;
    let again = ledger.claim(funded("one", 1000, 0, NO_MARK)).await;
    assert!(matches!(again, Ok(Claimed::Repeat(_))));
}

/// The mark is read before the balance, so that nothing is counted as still there.
pub async fn what_settles_after_the_mark_is_gone_from_the_balance(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(funded("one", 1000, 1500, NO_MARK)).await;
    ledger.must_take("one", settled()).await;
    let late = ledger.claim(funded("two", 1000, 1500, NO_MARK)).await;
    assert_eq!(left(&late.expect("a working store")), Some(500));
    let now = mark(&ledger).await;
    assert_eq!(now, PayerMark(Amount::from_atomic(1000)));
    ledger.must_claim(funded("three", 1000, 1000, now)).await;
    ledger.must_add_up().await;
}

/// A balance that was read after a reorg has the undone amount in it already.
pub async fn a_reorg_never_makes_a_payer_look_richer(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(funded("one", 1000, 2000, NO_MARK)).await;
    ledger.must_take("one", settled()).await;
    let before = mark(&ledger).await;
    // Here the chain undoes the settlement, the balance is read, and only then do we hear of it.
    let undone = Event::Undone { resendable: false };
    ledger.must_take("one", undone).await;
    assert!(mark(&ledger).await.0 >= before.0);
    let greedy = ledger.claim(funded("two", 2001, 2000, before)).await;
    assert_eq!(left(&greedy.expect("a working store")), Some(2000));
    ledger.must_claim(funded("three", 2000, 2000, before)).await;
    ledger.must_add_up().await;
}

/// What one payer has promised does not bind another.
pub async fn payers_do_not_share_a_balance(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(funded("one", 1000, 1000, NO_MARK)).await;
    let other = Terms {
        payer: Some("0x00000000000000000000000000000000000000cc".to_owned()),
        ..terms(1000)
    };
    let theirs = NewClaim {
        terms: other,
        ..funded("two", 1000, 1000, NO_MARK)
    };
    ledger.must_claim(theirs).await;
    ledger.must_add_up().await;
}

/// A defect of a caller must not write a row that nobody can read.
pub async fn a_buyer_cannot_claim(store: &dyn Store) {
    let ledger = store.open().await;
    let wrong = NewClaim {
        role: Role::Buyer,
        ..claim("one", 5)
    };
    assert!(ledger.claim(wrong).await.is_err());
    assert!(
        ledger
            .list(Default::default())
            .await
            .expect("a list")
            .is_empty()
    );
}

/// Law 1: larger is refused; neither the payment nor a part of its entry stays.
pub async fn an_amount_beyond_the_books_is_refused_and_leaves_nothing(store: &dyn Store) {
    const LARGEST: u128 = i128::MAX.unsigned_abs();
    let ledger = store.open().await;
    let huge = ledger.claim(claim("huge", LARGEST + 1)).await;
    assert!(matches!(huge, Err(LedgerError::Overflow)));
    ledger.must_claim(claim("largest", LARGEST)).await;
    let sum = ledger.claim(claim("one more", 1)).await;
    assert!(matches!(sum, Err(LedgerError::Overflow)));
    let payments = ledger.list(Default::default()).await.expect("a list");
    assert_eq!(payments.len(), 1);
    ledger.must_add_up().await;
    let id = PaymentId("largest".to_owned());
    let paid = ledger
        .apply(&id, settled(), Attach::default(), NOON_MS)
        .await;
    assert!(paid.is_ok());
    ledger.must_add_up().await;
}

/// Where nobody knows how much a payer has, one of its claims is open at a time; it closes by
/// settling or by being given back.
pub async fn without_a_balance_one_claim_at_a_time(store: &dyn Store) {
    let ledger = store.open().await;
    let blind = |name: &str, mark| NewClaim {
        cover: Cover::OneAtATime(mark),
        ..claim(name, 10)
    };
    let answers = claim_all(&ledger, (0..20).map(|i| blind(&format!("c{i}"), NO_MARK))).await;
    let firsts: Vec<_> = answers.iter().filter_map(first).collect();
    let [winner] = firsts.as_slice() else {
        panic!("{} of twenty are open at once", firsts.len());
    };
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Claimed::OneAtATime))
        .count();
    assert_eq!(refused, 19);

    ledger.must_take(&winner.0, sending()).await;
    ledger.must_take(&winner.0, settled()).await;
    let stale = ledger.claim(blind("stale", NO_MARK)).await;
    assert!(
        matches!(stale, Ok(Claimed::OneAtATime)),
        "what was known before the first one settled may not be true any more"
    );
    let mark = mark(&ledger).await;
    let next = ledger
        .claim(blind("next", mark))
        .await
        .expect("a working store");
    let next = first(&next).expect("the first one is settled");
    let abandoned = Event::Abandoned { reason: reason() };
    ledger.must_take(&next.0, abandoned).await;
    let last = ledger
        .claim(blind("last", mark))
        .await
        .expect("a working store");
    assert!(first(&last).is_some(), "the second one was given back");
    ledger.must_add_up().await;
}

async fn mark(ledger: &Arc<dyn Ledger>) -> PayerMark {
    ledger.payer_mark(&asset(), PAYER).await.expect("a mark")
}

async fn found(ledger: &Arc<dyn Ledger>, role: Role, identity: &Identity) -> Option<PaymentId> {
    let found = ledger.by_identity(role, identity).await;
    found.expect("a working store").map(|payment| payment.id)
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
        Claimed::Repeat(_) | Claimed::Insufficient { .. } | Claimed::OneAtATime => None,
    }
}

fn left(answer: &Claimed) -> Option<u128> {
    match answer {
        Claimed::Insufficient { left } => Some(left.atomic()),
        Claimed::First(_) | Claimed::Repeat(_) | Claimed::OneAtATime => None,
    }
}
