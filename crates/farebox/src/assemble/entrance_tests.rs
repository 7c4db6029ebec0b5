//! What proxies in front change.

use super::*;

#[test]
fn nobody_is_spared_behind_a_proxy_and_clients_of_this_machine_are_where_there_is_none() {
    let alone = Entrance::default();
    assert_eq!(alone.in_vain(None), None);
    let behind = Entrance {
        trusted_proxies: vec!["127.0.0.1/32".to_owned()],
        ..Entrance::default()
    };
    let usual = BucketLimits::default();
    assert_eq!(behind.in_vain(None), Some(usual));
    let own = BucketLimits {
        simulations_per_s: usual.simulations_per_s + 1,
        ..usual
    };
    assert_eq!(behind.in_vain(Some(own)), Some(own));
    assert_eq!(alone.in_vain(Some(own)), Some(own));
}
