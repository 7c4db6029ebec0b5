//! Ledgers that were written by older versions.

use farebox_core::ledger::{Ledger, PaymentId};
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::Store;
use farebox_ledger::conformance::kit::{Ask, limits, sending, settled, spend};

use crate::folder::Folder;

/// What later versions have added.
const BACK_TO_1: &str = "
    DROP TABLE uses;
    DROP TABLE told;
    DROP TABLE tokens;
    ALTER TABLE payments DROP COLUMN method;
    ALTER TABLE payments DROP COLUMN actual_fee;
    ALTER TABLE payments DROP COLUMN actual_cost;
    PRAGMA user_version = 1;";

#[tokio::test]
async fn a_ledger_of_version_1_is_opened_with_everything_in_it() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    let set = ledger.set_budget(None, limits(None, None, Some(100))).await;
    set.expect("a working store");
    for name in ["spent", "held"] {
        ledger.must_reserve(spend(name, 5)).await;
        ledger.must_take(name, sending()).await;
    }
    ledger.must_take("spent", settled()).await;
    drop(ledger);
    folder.raw().execute_batch(BACK_TO_1).expect("an old file");

    let ledger = SqliteLedger::open(&folder.path()).expect("a ledger");
    ledger.verify(true).await.expect("books that add up");
    let id = PaymentId("held".to_owned());
    let held = ledger.payment(&id).await.expect("a working store");
    let buyer = held.and_then(|payment| payment.buyer).expect("a buyer");
    assert_eq!((buyer.method, buyer.actual), (None, None));
    let ledger = folder.open().await;
    ledger.must_take("held", settled()).await;
    ledger.must_add_up().await;
}
