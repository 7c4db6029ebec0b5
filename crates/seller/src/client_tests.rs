//! Which addresses are one client, and which are none.

use super::*;

fn prefix(text: &str) -> Prefix {
    Prefix::of(text.parse().unwrap())
}

#[test]
fn an_ipv4_address_is_one_client_however_it_is_written() {
    assert_eq!(prefix("192.0.2.1"), prefix("::ffff:192.0.2.1"));
    assert_ne!(prefix("192.0.2.1"), prefix("192.0.2.2"));
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_client() {
    assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff::9"));
    assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
}

#[test]
fn loopback_is_spared_unless_it_is_not() {
    for (even_loopback, is_limited) in [(false, false), (true, true)] {
        let guard = Guard::new(ClientLimits {
            even_loopback,
            ..ClientLimits::default()
        });
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let client = ClientAddress(loopback.parse().unwrap());
            assert_eq!(guard.prefix(Some(client)).is_some(), is_limited);
        }
        let stranger = ClientAddress("192.0.2.1".parse().unwrap());
        assert!(guard.prefix(Some(stranger)).is_some());
        assert!(guard.prefix(None).is_none());
    }
}
