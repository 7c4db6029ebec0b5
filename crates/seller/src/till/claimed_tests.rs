//! Never a "no" of what is claimed, and never more than fits.

use super::*;

const NOW_S: u64 = 1_800_000_000;

fn identity(number: usize) -> Identity {
    Identity::from_stored(&format!("eip3009:{number}"))
}

fn loaded() -> Claims {
    let claims = Claims::default();
    claims.loaded();
    claims
}

#[test]
fn until_the_ledger_is_read_everything_may_be_claimed() {
    let claims = Claims::default();
    assert!(claims.may_have(&identity(1), NOW_S));
    claims.loaded();
    assert!(!claims.may_have(&identity(1), NOW_S));
}

#[test]
fn what_is_claimed_is_never_denied_while_its_credential_may_be_served() {
    let claims = loaded();
    for number in 0..1_000 {
        claims.add(&identity(number), NOW_S + 60, NOW_S);
        assert!(claims.may_have(&identity(number), NOW_S));
    }
    for number in 0..1_000 {
        assert!(claims.may_have(&identity(number), NOW_S + 60 + MARGIN_S));
    }
    let denied = (1_000..2_000).filter(|n| !claims.may_have(&identity(*n), NOW_S));
    assert_eq!(denied.count(), 1_000);
}

#[test]
fn beyond_its_bounds_it_denies_nothing_until_room_is_made() {
    let claims = loaded();
    for number in 0..CLAIMS_MAX {
        claims.add(&identity(number), NOW_S + 60, NOW_S);
    }
    let stranger = identity(usize::MAX);
    assert!(!claims.may_have(&stranger, NOW_S));
    claims.add(&identity(CLAIMS_MAX), NOW_S + 90, NOW_S);
    assert_eq!(claims.known().ends.len(), CLAIMS_MAX);
    let last = NOW_S + 90 + MARGIN_S;
    assert!(claims.may_have(&stranger, last));
    assert!(claims.may_have(&identity(CLAIMS_MAX), last));
    assert!(!claims.may_have(&stranger, last + 1));
    // A claim after that time finds room, and what is over is let go.
    claims.add(&stranger, last + 100, last + 1);
    assert!(claims.may_have(&stranger, last + 1));
    assert_eq!(claims.known().ends.len(), 1);
}

#[test]
fn a_second_claim_of_an_identity_counts_as_long_as_the_longer_one() {
    let claims = loaded();
    claims.add(&identity(0), NOW_S + 5_000, NOW_S);
    claims.add(&identity(0), NOW_S, NOW_S);
    for number in 1..=CLAIMS_MAX {
        claims.add(&identity(number), NOW_S, NOW_S);
    }
    let later = NOW_S + MARGIN_S + 1;
    claims.add(&identity(usize::MAX), later, later);
    assert_eq!(claims.known().ends.len(), 2);
    assert!(claims.may_have(&identity(0), later));
}
