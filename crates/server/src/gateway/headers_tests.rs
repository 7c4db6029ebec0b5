//! What ends at the gate.

use std::net::{IpAddr, Ipv4Addr};

use http::header::UPGRADE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{for_upstream, lists, names_what_is_for_all, strip_hop_by_hop};

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
fn lists_are_read_in_any_case_and_across_lines() {
    let map = headers(&[("upgrade", "h2c"), ("upgrade", "x , WebSocket")]);
    assert!(lists(&map, &UPGRADE, "websocket"));
    assert!(!lists(&map, &UPGRADE, "web"));
    assert!(!lists(&HeaderMap::new(), &UPGRADE, "websocket"));
}

#[test]
fn connection_names_no_header_that_is_for_all() {
    for named in [
        "payment-signature",
        "close, Payment-Response",
        "X-Payment",
        "farebox-x",
        "host",
        "Content-Length",
        "authorization",
        "cookie",
        "x-forwarded-for",
        "sec-websocket-key",
        "upgrade,content-type",
    ] {
        assert!(
            names_what_is_for_all(&headers(&[("connection", "x-a"), ("connection", named)])),
            "{named}"
        );
    }
    for named in [
        "close",
        "keep-alive, Upgrade",
        "te",
        "HTTP2-Settings, upgrade",
        "x-own",
        "",
    ] {
        assert!(
            !names_what_is_for_all(&headers(&[("connection", named)])),
            "{named}"
        );
    }
    assert!(!names_what_is_for_all(&HeaderMap::new()));
}
