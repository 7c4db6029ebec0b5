//! Which addresses an agent may reach.

use super::*;

fn refused(guard: &Guard, ip: &str) -> bool {
    guard.check("h", ip.parse().unwrap()).is_err()
}

#[test]
fn an_agent_reaches_the_public_internet_only() {
    let guard = Guard::default();
    for private in [
        "0.0.0.0",
        "10.1.2.3",
        "127.0.0.1",
        "127.255.255.255",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "100::1",
        // IPv4 in IPv6's clothes.
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    ] {
        assert!(refused(&guard, private), "{private}");
    }
    for public in [
        "1.1.1.1",
        "100.128.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450::1",
        "64:ff9b::101:101",
        "2002:101:101::1",
        "::ffff:8.8.8.8",
    ] {
        assert!(!refused(&guard, public), "{public}");
    }
}

#[test]
fn what_is_allowed_is_allowed_to_the_bit() {
    let guard = Guard::new(vec![
        "127.0.0.1/32".parse().unwrap(),
        "10.8.0.0/13".parse().unwrap(),
        "fd00::/8".parse().unwrap(),
    ]);
    for open in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "10.8.0.0",
        "10.15.255.255",
        "fd12::1",
    ] {
        assert!(!refused(&guard, open), "{open}");
    }
    for shut in ["127.0.0.2", "10.16.0.0", "10.7.255.255", "fc00::1", "::1"] {
        assert!(refused(&guard, shut), "{shut}");
    }
    let everything = Guard::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
    assert!(!refused(&everything, "10.0.0.1") && !refused(&everything, "fe80::1"));
}

#[test]
fn an_address_in_a_url_is_judged_in_every_spelling() {
    let guard = Guard::default();
    for text in [
        "http://127.0.0.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
    ] {
        assert!(
            guard.check_url(&Url::parse(text).unwrap()).is_err(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let resolve = |guard: Guard| async move { guard.resolve("localhost".parse().unwrap()).await };
    let error = resolve(Guard::default()).await.err().unwrap();
    assert!(error.downcast_ref::<PrivateAddress>().is_some(), "{error}");
    let open = ["127.0.0.0/8", "::1"].map(|block| block.parse().unwrap());
    assert!(resolve(Guard::new(open.to_vec())).await.is_ok());
}
