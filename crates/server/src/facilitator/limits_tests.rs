//! Who may cause how much in vain.

use super::*;

/// Stands still.
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> u64 {
        43_200_000
    }
}

const CUSTOMER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 9);

/// How many unfunded payers are looked up for a caller in one moment.
fn lookups(configured: Option<BucketLimits>, token: Option<AccessToken>) -> u32 {
    let limits = Limits::new(configured, Arc::new(Noon));
    let allowance = limits.of(Caller::new(token, CUSTOMER), CUSTOMER);
    let mut lookups = 0;
    while lookups < 1_000 && allowance.may(Cost::FirstSight).is_ok() {
        allowance.charge(Cost::FirstSight);
        lookups += 1;
    }
    lookups
}

#[test]
fn a_token_stands_for_many_buyers() {
    let token = || Some(AccessToken::new(b"seller"));
    assert_eq!(lookups(None, None), 5);
    assert_eq!(lookups(None, token()), 100);
}

#[test]
fn limits_that_are_written_down_count_as_written() {
    let written = BucketLimits {
        first_sight_per_s: 2,
        ..BucketLimits::default()
    };
    assert_eq!(lookups(Some(written), None), 2);
    assert_eq!(lookups(Some(written), Some(AccessToken::new(b"seller"))), 2);
}
