//! Who is owed an answer that did not leave.

use http_body_util::BodyExt as _;

use super::*;

fn identity() -> Identity {
    Identity::from_stored("a payment")
}

#[test]
fn an_answer_that_did_not_leave_waits_for_the_next_caller() {
    let unheard = Arc::new(Unheard::new(9));
    drop(Owed::new(Arc::clone(&unheard), identity()).into_body(Bytes::new()));
    assert!(unheard.has(&identity()));
    assert!(unheard.take(&identity()));
    assert!(!unheard.take(&identity()), "once");
}

#[tokio::test]
async fn an_answer_that_has_left_waits_for_nobody() {
    let unheard = Arc::new(Unheard::new(9));
    let mut body = Owed::new(Arc::clone(&unheard), identity()).into_body("yes".into());
    let frame = body.frame().await.expect("a frame").expect("bytes");
    assert_eq!(frame.into_data().expect("data"), "yes");
    drop(body);
    assert!(!unheard.has(&identity()));
    assert!(unheard.lock().is_empty());
}

#[test]
fn an_answer_that_a_retry_has_overtaken_is_owed_to_nobody() {
    let unheard = Arc::new(Unheard::new(9));
    let on_the_way = Owed::new(Arc::clone(&unheard), identity()).into_body(Bytes::new());
    unheard.told_again(&identity());
    // Only now the first connection is found to be dead.
    drop(on_the_way);
    assert!(!unheard.has(&identity()));
    // What is told after that is owed as ever.
    drop(Owed::new(Arc::clone(&unheard), identity()));
    assert!(unheard.has(&identity()));
}

#[test]
fn a_stranger_who_asks_meanwhile_takes_nothing_away() {
    let unheard = Arc::new(Unheard::new(9));
    let on_the_way = Owed::new(Arc::clone(&unheard), identity());
    assert!(!unheard.take(&identity()), "it may still arrive");
    drop(on_the_way);
    assert!(unheard.has(&identity()));
}
