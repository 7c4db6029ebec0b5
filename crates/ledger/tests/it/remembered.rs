//! What the writer remembers is never older than the file, whoever else writes to it.

use farebox_core::ledger::{Attach, Claimed, LedgerError, PayerMark, PaymentId};
use farebox_core::payment::{Event, Phase};
use farebox_ledger::conformance::Store;
use farebox_ledger::conformance::kit::{
    Ask, NOON_MS, PAYEE, PAYER, claim, funded, reason, sending, settled,
};
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;

use crate::folder::Folder;

const NO_MARK: PayerMark = PayerMark(Amount::ZERO);
/// Leaves room for a thousand in an account.
const VAST: u128 = i128::MAX as u128 - 1000;

#[tokio::test]
async fn two_ledgers_on_one_file_take_turns_on_one_payment_and_its_accounts() {
    let folder = Folder::empty();
    let (one, two) = (folder.open().await, folder.open().await);
    for n in 0..12 {
        let (first, second) = if n % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        let name = format!("pay {n}");
        first.must_claim(claim(&name, 5)).await;
        second.must_take(&name, sending()).await;
        first.must_take(&name, settled()).await;
        second.must_take(&name, Event::Delivered).await;
        let done = first.must_take(&name, Event::Finalised).await;
        assert_eq!(done.sent.len(), 0);
        assert!(done.state.is_final);
        assert_eq!(
            one.balance(&format!("seller/revenue/{PAYEE}")).await,
            5 * (n + 1)
        );
    }
    assert_eq!(two.balance(&format!("seller/held/{PAYER}")).await, 0);
    one.must_add_up().await;
}

#[tokio::test]
async fn a_payment_that_another_process_gave_back_is_not_sent() {
    let folder = Folder::empty();
    let (one, two) = (folder.open().await, folder.open().await);
    one.must_claim(claim("pay", 5)).await;
    two.must_take("pay", Event::Abandoned { reason: reason() })
        .await;
    let late = one.take("pay", sending()).await;
    assert!(matches!(late, Err(LedgerError::Illegal(_))));
    one.must_add_up().await;
}

#[tokio::test]
async fn what_another_process_holds_of_a_payer_is_held() {
    let folder = Folder::empty();
    let (one, two) = (folder.open().await, folder.open().await);
    one.must_claim(funded("first", 5, 10, NO_MARK)).await;
    two.must_claim(funded("second", 5, 10, NO_MARK)).await;
    let third = one.claim(funded("third", 5, 10, NO_MARK)).await;
    let left = match third.expect("a working store") {
        Claimed::Insufficient { left } => left,
        _ => panic!("the payer's last cent was taken twice"),
    };
    assert_eq!(left, Amount::ZERO);
}

#[tokio::test]
async fn what_a_hand_writes_into_the_file_is_seen_by_the_next_event() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    ledger.must_claim(claim("pay", 5)).await;
    let changed = folder
        .raw()
        .execute("UPDATE payments SET receipt = 'by hand'", []);
    assert_eq!(changed.expect("a change"), 1);
    let sent = ledger.must_take("pay", sending()).await;
    assert_eq!(sent.receipt.as_deref(), Some("by hand"));
}

#[tokio::test]
async fn jobs_that_fail_harm_no_other_of_their_transaction() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    ledger.must_claim(claim("sent", 5)).await;
    ledger.must_take("sent", sending()).await;
    ledger
        .must_claim(funded("vast", VAST, u128::MAX, NO_MARK))
        .await;
    // While another process writes, all of these queue up.
    let other = folder.raw();
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut same_name = claim("other", 3);
    same_name.id = PaymentId("good 1".to_owned());
    let mut twin = claim("twin", 3);
    twin.identity = Identity::from_stored("eip3009:good 1");
    let (waits, good_1, illegal, vast, named, good_2, twin, settles, ()) = tokio::join!(
        ledger.claim(claim("waits", 3)),
        ledger.claim(claim("good 1", 3)),
        ledger.take("sent", Event::Abandoned { reason: reason() }),
        ledger.claim(claim("too much", 5000)),
        ledger.claim(same_name),
        ledger.claim(claim("good 2", 3)),
        ledger.claim(twin),
        ledger.take("sent", settled()),
        async { other.execute_batch("COMMIT").expect("an end") },
    );
    for good in [waits, good_1, good_2] {
        assert!(matches!(good, Ok(Claimed::First(_))));
    }
    assert!(matches!(illegal, Err(LedgerError::Illegal(_))));
    assert!(matches!(vast, Err(LedgerError::Overflow)));
    assert!(matches!(named, Err(LedgerError::Store(_))));
    assert!(matches!(twin, Ok(Claimed::Repeat(_))));
    assert_eq!(
        settles.expect("a settlement").payment.state.phase,
        Phase::Settled
    );
    assert_eq!(ledger.balance(&format!("seller/revenue/{PAYEE}")).await, 5);
    ledger.must_add_up().await;
}

#[tokio::test]
async fn an_event_that_is_refused_leaves_the_payment_as_it_was() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    ledger.must_claim(claim("pay", 5)).await;
    // The first would be legal alone; the second is not, so neither counts.
    let events = vec![sending(), Event::Abandoned { reason: reason() }];
    let id = PaymentId("pay".to_owned());
    let refused = ledger.apply_all(&id, events, Attach::default(), NOON_MS);
    assert!(matches!(refused.await, Err(LedgerError::Illegal(_))));
    let given_back = ledger
        .must_take("pay", Event::Abandoned { reason: reason() })
        .await;
    assert_eq!(given_back.state.phase, Phase::Released);
    ledger.must_add_up().await;
}
