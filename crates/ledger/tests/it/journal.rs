//! The journal: what happened to a payment, in order, for ever.

use farebox_core::ledger::Ledger;
use farebox_core::payment::Event;
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::Store;
use farebox_ledger::conformance::kit::{Ask, claim, reason, sending, settled};

use crate::folder::Folder;

/// Every entry: its event and the phases around it.
fn journal(folder: &Folder) -> Vec<String> {
    let raw = folder.raw();
    let mut statement = raw
        .prepare("SELECT event, phase_before, phase_after FROM entries ORDER BY id")
        .expect("a journal");
    let lines = statement
        .query_map([], |row| {
            let (event, before, after): (String, Option<String>, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("{event} {} {after}", before.unwrap_or_default()))
        })
        .expect("entries");
    lines.map(|line| line.expect("an entry")).collect()
}

#[tokio::test]
async fn every_event_leaves_an_entry_with_the_phases_around_it() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    ledger.must_claim(claim("one", 5)).await;
    ledger.must_take("one", sending()).await;
    ledger
        .must_take("one", Event::NoReply { reason: reason() })
        .await;
    ledger.must_take("one", settled()).await;
    ledger.must_take("one", Event::Delivered).await;
    let expected = [
        r#""Claim"  reserved"#,
        r#"{"Sending":{"transaction":null}} reserved sent"#,
        r#"{"NoReply":{"reason":"test"}} sent unknown"#,
        r#"{"Settled":{"transaction":"0x01","is_final":false}} unknown settled"#,
        r#""Delivered" settled settled"#,
    ];
    assert_eq!(journal(&folder), expected);
}

#[tokio::test]
async fn a_watcher_that_repeats_itself_does_not_grow_the_journal() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    ledger.must_claim(claim("one", 5)).await;
    for _ in 0..10 {
        ledger.must_take("one", settled()).await;
    }
    assert_eq!(journal(&folder).len(), 2);
    // What leaves the house is written down each time.
    for _ in 0..3 {
        ledger.must_take("one", sending()).await;
    }
    assert_eq!(journal(&folder).len(), 5);
}

#[tokio::test]
async fn a_refused_event_leaves_no_entry() {
    let folder = Folder::empty();
    let ledger = folder.open().await;
    ledger.must_claim(claim("one", 5)).await;
    let refused = Event::Refused { reason: reason() };
    assert!(ledger.take("one", refused).await.is_err());
    assert_eq!(journal(&folder).len(), 1);
    let reopened = SqliteLedger::open(&folder.path()).expect("a ledger");
    reopened.verify(true).await.expect("books that add up");
}
