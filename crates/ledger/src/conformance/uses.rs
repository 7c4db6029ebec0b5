//! Rules of what was paid by invoice: booked once, used as often as was paid for.

use std::collections::BTreeSet;
use std::sync::Arc;

use farebox_core::ledger::{Ledger, LedgerError, Payment};
use farebox_core::payment::{Delivery, Event, Hold, Phase, Role};
use farebox_core::uses::{Allowance, NewPaid, Told, Used};
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;

use super::kit::{Ask, NOON_MS, PAYEE, Store, paid, terms};

const NODE: &str = "lightning:regtest/02aa";

/// Law 6: one counter for all copies of a token, and the revenue of one payment.
pub async fn a_hundred_parallel_uses_of_seven_give_seven(store: &dyn Store) {
    let ledger = store.open().await;
    let answers = use_all(&ledger, "hash", 100, Allowance::Uses(7)).await;
    let firsts = answers
        .iter()
        .filter(|used| matches!(used, Used::First { is_booked_now, .. } if *is_booked_now));
    assert_eq!(firsts.count(), 1);
    let numbers: BTreeSet<u64> = answers.iter().filter_map(number).collect();
    assert_eq!(numbers, (2..=7).collect());
    let refused = answers.iter().filter(|used| **used == Used::Exhausted);
    assert_eq!(refused.count(), 93);
    let names: BTreeSet<_> = answers.iter().filter_map(payment_of).collect();
    assert_eq!(names.len(), 1, "all are uses of one payment");
    assert_eq!(revenue(&ledger).await, 5);
    ledger.must_add_up().await;
}

/// A use that bought nothing is as if it had not been taken.
pub async fn a_use_that_was_given_back_is_taken_again(store: &dyn Store) {
    let ledger = store.open().await;
    for booked in [true, false] {
        let first = must_use(&ledger, "hash", Allowance::Uses(1)).await;
        assert!(
            matches!(&first, Used::First { is_booked_now, .. } if *is_booked_now == booked),
            "{first:?}"
        );
        let second = must_use(&ledger, "hash", Allowance::Uses(1)).await;
        assert_eq!(second, Used::Exhausted);
        let identity = identity("hash");
        ledger.give_back_use(&identity).await.expect("a store");
    }
    // More than was taken cannot be given back.
    for _ in 0..3 {
        let back = ledger.give_back_use(&identity("hash")).await;
        back.expect("a store");
    }
    let answers = use_all(&ledger, "hash", 3, Allowance::Uses(1)).await;
    let refused = answers.iter().filter(|used| **used == Used::Exhausted);
    assert_eq!(refused.count(), 2);
    assert_eq!(revenue(&ledger).await, 5);
    ledger.must_add_up().await;
}

/// A narrower copy counts on the same counter, against its own limit.
pub async fn copies_with_fewer_uses_share_the_counter(store: &dyn Store) {
    let ledger = store.open().await;
    for _ in 0..2 {
        must_use(&ledger, "hash", Allowance::Uses(5)).await;
    }
    let narrow = must_use(&ledger, "hash", Allowance::Uses(2)).await;
    assert_eq!(narrow, Used::Exhausted);
    let wide = must_use(&ledger, "hash", Allowance::Uses(5)).await;
    assert_eq!(number(&wide), Some(3));
    let none = must_use(&ledger, "other", Allowance::Uses(0)).await;
    assert_eq!(none, Used::Exhausted);
    assert_eq!(revenue(&ledger).await, 5, "nothing is booked by no use");
}

/// The preimage or the node, whoever comes first; and both at once.
pub async fn a_use_and_the_rails_word_book_one_payment(store: &dyn Store) {
    let ledger = store.open().await;
    must_use(&ledger, "shown", Allowance::Uses(1)).await;
    assert_eq!(told(&ledger, 1, &["shown"]).await, 0);
    assert_eq!(told(&ledger, 2, &["silent"]).await, 1);
    assert_eq!(told(&ledger, 2, &["silent"]).await, 0, "told again");
    let late = must_use(&ledger, "silent", Allowance::Uses(1)).await;
    assert!(
        matches!(
            late,
            Used::First {
                is_booked_now: false,
                ..
            }
        ),
        "{late:?}"
    );
    assert_eq!(revenue(&ledger).await, 10);
    for n in 0..20 {
        let name = format!("both {n}");
        let names = [name.as_str()];
        let (used, _) = tokio::join!(
            use_all(&ledger, &name, 3, Allowance::Uses(2)),
            told(&ledger, 3 + n, &names)
        );
        let refused = used.iter().filter(|used| **used == Used::Exhausted);
        assert_eq!(refused.count(), 1);
    }
    assert_eq!(revenue(&ledger).await, 110);
    ledger.must_add_up().await;
}

/// What is booked is settled for good, and nobody asks a rail about it.
pub async fn what_is_booked_is_final_and_undelivered_until_it_is_delivered(store: &dyn Store) {
    let ledger = store.open().await;
    told(&ledger, 1, &["hash"]).await;
    let payment = stored(&ledger, "hash").await;
    assert_eq!(payment.state.phase, Phase::Settled);
    assert_eq!(payment.state.hold, Hold::Spent);
    assert!(payment.state.is_final);
    assert_eq!(payment.state.delivery, Delivery::Undelivered);
    assert_eq!(payment.state.transaction.as_deref(), Some("hash"));
    assert_eq!(payment.handle, None);
    let delivered = ledger.must_take(&payment.id.0, Event::Delivered).await;
    assert_eq!(delivered.state.delivery, Delivery::Delivered);
    ledger.must_add_up().await;
}

/// Withdrawn before or after it was paid; what was paid stays earned.
pub async fn what_is_revoked_gives_no_use(store: &dyn Store) {
    let ledger = store.open().await;
    must_use(&ledger, "paid", Allowance::Unlimited).await;
    for name in ["paid", "unpaid"] {
        let identity = identity(name);
        let revoked = ledger.revoke(&identity, NOON_MS).await;
        assert!(revoked.expect("a store"), "{name}");
        let again = ledger.revoke(&identity, NOON_MS + 1).await;
        assert!(!again.expect("a store"), "{name}");
        for allowed in [Allowance::Uses(9), Allowance::Unlimited] {
            let refused = must_use(&ledger, name, allowed).await;
            assert_eq!(refused, Used::Revoked, "{name}");
        }
    }
    assert_eq!(told(&ledger, 1, &["paid", "unpaid"]).await, 1);
    let late = must_use(&ledger, "unpaid", Allowance::Uses(9)).await;
    assert_eq!(late, Used::Revoked);
    assert_eq!(revenue(&ledger).await, 10);
    ledger.must_add_up().await;
}

/// As often as is asked for, and one row.
pub async fn uses_without_a_limit_are_not_counted(store: &dyn Store) {
    let ledger = store.open().await;
    let answers = use_all(&ledger, "hash", 50, Allowance::Unlimited).await;
    let firsts = answers
        .iter()
        .filter(|used| matches!(used, Used::First { .. }));
    assert_eq!(firsts.count(), 1);
    assert!(answers.iter().all(|used| number(used).unwrap_or(1) == 1));
    // A copy that was narrowed to one use comes too late.
    let narrow = must_use(&ledger, "hash", Allowance::Uses(1)).await;
    assert_eq!(narrow, Used::Exhausted);
    assert_eq!(revenue(&ledger).await, 5);
    ledger.must_add_up().await;
}

/// Whatever was answered is there after a restart.
pub async fn uses_and_what_was_told_are_kept(store: &dyn Store) {
    let ledger = store.open().await;
    must_use(&ledger, "hash", Allowance::Uses(3)).await;
    must_use(&ledger, "hash", Allowance::Uses(3)).await;
    told(&ledger, 7, &["silent"]).await;
    drop(ledger);
    let ledger = store.open().await;
    assert_eq!(ledger.told_to(NODE).await.expect("a store"), 7);
    assert_eq!(ledger.told_to("another").await.expect("a store"), 0);
    assert_eq!(told(&ledger, 6, &["silent"]).await, 0);
    let place = ledger.told_to(NODE).await.expect("a store");
    assert_eq!(place, 7, "what was told stays told");
    let answers = use_all(&ledger, "hash", 9, Allowance::Uses(3)).await;
    let refused = answers.iter().filter(|used| **used == Used::Exhausted);
    assert_eq!(refused.count(), 8);
}

/// All of what is told, or none: else the rest would never be told again.
pub async fn a_word_that_does_not_fit_leaves_nothing(store: &dyn Store) {
    const LARGEST: u128 = i128::MAX.unsigned_abs();
    let ledger = store.open().await;
    let huge = NewPaid {
        terms: terms(LARGEST + 1),
        ..paid("huge", 0)
    };
    let told = ledger
        .book_told(Told {
            source: NODE.to_owned(),
            index: 2,
            paid: vec![paid("good", 1), huge],
        })
        .await;
    assert!(matches!(told, Err(LedgerError::Overflow)));
    assert_eq!(ledger.told_to(NODE).await.expect("a store"), 0);
    assert_eq!(revenue(&ledger).await, 0);
    ledger.must_add_up().await;
}

fn identity(name: &str) -> Identity {
    paid(name, 0).identity
}

async fn must_use(ledger: &Arc<dyn Ledger>, name: &str, allowed: Allowance) -> Used {
    // Attempts of one name must differ; the ledger takes the name of one of them.
    let answers = use_all(ledger, name, 1, allowed).await;
    answers.into_iter().next().expect("an answer")
}

async fn use_all(
    ledger: &Arc<dyn Ledger>,
    name: &str,
    count: usize,
    allowed: Allowance,
) -> Vec<Used> {
    let tasks: Vec<_> = (0..count)
        .map(|attempt| {
            let (ledger, paid) = (Arc::clone(ledger), paid(name, attempt));
            tokio::spawn(async move { ledger.take_use(paid, allowed).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("no panic").expect("a working store"));
    }
    answers
}

/// How many were new.
async fn told(ledger: &Arc<dyn Ledger>, index: u64, names: &[&str]) -> usize {
    let told = Told {
        source: NODE.to_owned(),
        index,
        paid: names.iter().map(|name| paid(name, 1000)).collect(),
    };
    let booked = ledger.book_told(told).await;
    booked.expect("a working store").len()
}

async fn stored(ledger: &Arc<dyn Ledger>, name: &str) -> Payment {
    let found = ledger.by_identity(Role::Seller, &identity(name)).await;
    found.expect("a working store").expect("a payment")
}

async fn revenue(ledger: &Arc<dyn Ledger>) -> u128 {
    let earned = ledger.balance(&format!("seller/revenue/{PAYEE}")).await;
    let away = ledger.balance("seller/payers").await;
    assert_eq!(earned, -away, "both sides of every sale");
    Amount::from_atomic(earned.unsigned_abs()).atomic()
}

fn number(used: &Used) -> Option<u64> {
    match used {
        Used::Again { used, .. } => Some(*used),
        _ => None,
    }
}

fn payment_of(used: &Used) -> Option<&String> {
    match used {
        Used::First { payment, .. } | Used::Again { payment, .. } => Some(&payment.0),
        Used::Exhausted | Used::Revoked => None,
    }
}
