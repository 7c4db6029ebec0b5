//! Who is believed, behind which proxies.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn front() -> FrontDoor {
    FrontDoor {
        trusted_proxies: ["10.0.0.0/8", "fd00::/8"]
            .map(|block| block.parse().unwrap())
            .into(),
        ..FrontDoor::default()
    }
}

/// The address that is believed when `peer` sends these headers.
fn address(peer: &str, headers: &[(&str, &str)]) -> String {
    client(peer, headers).address.to_string()
}

fn client(peer: &str, headers: &[(&str, &str)]) -> Client {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    let front = front();
    let peer: IpAddr = peer.parse().unwrap();
    let arrival = Arrival {
        peer: SocketAddr::new(peer, 4711),
        is_peer_trusted: front.trusts(peer),
        is_tls: false,
    };
    arrival.client(&map, &front)
}

#[test]
fn a_stranger_is_who_it_is_whatever_it_says() {
    for name in ["forwarded", "x-forwarded-for"] {
        let header = [(name, "for=198.51.100.9")];
        assert_eq!(address("192.0.2.1", &header), "192.0.2.1");
    }
    assert_eq!(
        address("192.0.2.1", &[("x-forwarded-for", "198.51.100.9")]),
        "192.0.2.1"
    );
}

#[test]
fn the_last_address_that_is_no_proxys_is_the_client() {
    for (value, believed) in [
        ("198.51.100.9", "198.51.100.9"),
        ("1.1.1.1, 198.51.100.9", "198.51.100.9"),
        ("1.1.1.1, 198.51.100.9, 10.9.9.9", "198.51.100.9"),
        ("1.1.1.1,198.51.100.9:8080 , 10.9.9.9:1", "198.51.100.9"),
        ("junk, 2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        ("::ffff:198.51.100.9", "198.51.100.9"),
        // Proxies alone: the furthest of them asks for itself.
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        // What cannot be read hides what is behind it.
        ("198.51.100.9, unknown", "10.0.0.1"),
        ("198.51.100.9, junk, 10.2.2.2", "10.2.2.2"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(
            address("10.0.0.1", &[("x-forwarded-for", value)]),
            believed,
            "{value}"
        );
    }
    let lines = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "198.51.100.9"),
    ];
    assert_eq!(address("10.0.0.1", &lines), "198.51.100.9");
}

#[test]
fn the_standard_header_is_read_by_its_grammar() {
    for (value, believed) in [
        ("for=198.51.100.9", "198.51.100.9"),
        (
            "For=\"198.51.100.9:80\";proto=https;by=10.0.0.1",
            "198.51.100.9",
        ),
        ("proto=http;for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        (
            "for=1.1.1.1, for=198.51.100.9, for=10.3.3.3",
            "198.51.100.9",
        ),
        (
            "for=\"1.1.1.1, for=2.2.2.2\", for=198.51.100.9",
            "198.51.100.9",
        ),
        // Hidden, or nameless.
        ("for=198.51.100.9, for=_hidden", "10.0.0.1"),
        ("for=198.51.100.9, proto=https", "10.0.0.1"),
        // Not the grammar, so nothing of it is believed.
        ("for=\"1.1.1.1, for=198.51.100.9", "10.0.0.1"),
        ("for=\"1.1.1.1, for=\"198.51.100.9\"", "10.0.0.1"),
        ("for=1.1.1.1;for=198.51.100.9", "10.0.0.1"),
        ("for 198.51.100.9", "10.0.0.1"),
    ] {
        assert_eq!(
            address("10.0.0.1", &[("forwarded", value)]),
            believed,
            "{value}"
        );
    }
}

#[test]
fn two_headers_that_differ_are_both_disbelieved() {
    let same = [
        ("forwarded", "for=198.51.100.9"),
        ("x-forwarded-for", "198.51.100.9"),
    ];
    assert_eq!(address("10.0.0.1", &same), "198.51.100.9");
    let differ = [
        ("forwarded", "for=1.1.1.1"),
        ("x-forwarded-for", "198.51.100.9"),
    ];
    assert_eq!(address("10.0.0.1", &differ), "10.0.0.1");
    assert!(client("10.0.0.1", &same).is_named && !client("10.0.0.1", &differ).is_named);
    assert!(!client("192.0.2.1", &same).is_named);
}

proptest! {
    /// Whatever a client sends, what an honest proxy appends is what is believed, or nothing is.
    #[test]
    fn a_client_never_chooses_its_address(says in "[ -~]{0,60}") {
        let usual = format!("{says}, 198.51.100.9");
        prop_assert_eq!(address("10.0.0.1", &[("x-forwarded-for", &usual)]), "198.51.100.9");
        let standard = format!("{says}, for=198.51.100.9");
        let believed = address("10.0.0.1", &[("forwarded", &standard)]);
        prop_assert!(["198.51.100.9", "10.0.0.1"].contains(&believed.as_str()), "{}", believed);
        let quoted = format!("{says}, for=\"198.51.100.9\"");
        let believed = address("10.0.0.1", &[("forwarded", &quoted)]);
        prop_assert!(["198.51.100.9", "10.0.0.1"].contains(&believed.as_str()), "{}", believed);
    }
}
