//! What ends at the gate.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{for_upstream, strip_hop_by_hop, wants_websocket};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    map
}

#[test]
fn headers_of_one_connection_end_at_the_gate() {
    let mut map = headers(&[
        ("connection", "keep-alive, X-Secret"),
        ("connection", "x-other"),
        ("keep-alive", "timeout=5"),
        ("x-secret", "1"),
        ("x-other", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("accept", "*/*"),
    ]);
    strip_hop_by_hop(&mut map);
    assert_eq!(map, headers(&[("accept", "*/*")]));
}

#[test]
fn what_a_client_says_about_its_address_is_replaced() {
    let mut map = headers(&[
        ("host", "api.example.com"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "evil"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("connection", "x-forwarded-proto"),
        ("x-forwarded-proto", "https"),
    ]);
    let host = HeaderValue::from_static("127.0.0.1:3000");
    for_upstream(&mut map, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), &host);
    assert_eq!(
        map,
        headers(&[
            ("host", "127.0.0.1:3000"),
            ("x-forwarded-host", "api.example.com"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "127.0.0.1"),
        ])
    );
}

#[test]
fn only_websockets_are_upgrades_that_cannot_be_ignored() {
    assert!(wants_websocket(&headers(&[("upgrade", "h2c, WebSocket")])));
    assert!(!wants_websocket(&headers(&[("upgrade", "h2c")])));
}
