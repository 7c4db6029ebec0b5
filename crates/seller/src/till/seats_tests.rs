//! One seat for each identity.

use std::sync::Arc;

use farebox_wire::identity::Identity;

use super::{Fingerprint, InFlight, Taken};

fn fingerprint(n: u8) -> Fingerprint {
    Fingerprint {
        payload: [n; 32],
        request: [n; 32],
    }
}

#[tokio::test]
async fn one_identity_has_one_seat() {
    let seats = Arc::new(InFlight::default());
    let name = Identity::from_stored("a");
    let seat = seats.enter(&name, fingerprint(1)).await.ok();
    assert!(seat.is_some());
    let same = seats.enter(&name, fingerprint(1)).await.err();
    assert_eq!(same, Some(Taken::BySameRequest));
    let other = seats.enter(&name, fingerprint(2)).await.err();
    assert_eq!(other, Some(Taken::ByAnother));
    drop(seat);
    assert!(!seats.contains(&name));
    assert!(seats.enter(&name, fingerprint(2)).await.is_ok());
}

#[tokio::test]
async fn whoever_comes_while_the_record_is_written_waits_for_it() {
    let seats = Arc::new(InFlight::default());
    let name = Identity::from_stored("a");
    let Ok(seat) = seats.enter(&name, fingerprint(1)).await else {
        panic!("it is free");
    };
    seat.close();
    let next = seats.enter(&name, fingerprint(2));
    tokio::pin!(next);
    let early = futures_util::poll!(&mut next);
    assert!(early.is_pending());
    drop(seat);
    assert!(next.await.is_ok());
}
