//! What ends at the gate.

use http::header::UPGRADE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::front::client::Client;

use super::{for_client, for_upstream, lists, names_what_is_for_all, strip_trailers};

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

/// Somebody at `peer`; a proxy whose word counts, where it is trusted.
fn client(peer: &str, is_peer_trusted: bool) -> Client {
    let peer: std::net::SocketAddr = peer.parse().unwrap();
    Client {
        peer,
        address: peer.ip(),
        is_peer_trusted,
        is_named: is_peer_trusted,
        is_tls: false,
    }
}

/// What reaches the upstream of the headers of `client`.
fn forwarded(client: &Client, pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = headers(pairs);
    let host = HeaderValue::from_static("127.0.0.1:3000");
    for_upstream(&mut map, Some(client), &host);
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
        ("trailer", "x-sum"),
        ("upgrade", "h2c"),
        ("accept", "*/*"),
    ]);
    for_client(&mut map, false);
    assert_eq!(map, headers(&[("accept", "*/*")]));
}

#[test]
fn what_a_client_says_about_its_address_is_replaced() {
    let said = [
        ("host", "api.example.com"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-user", "root"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("connection", "x-forwarded-proto"),
        ("x-forwarded-proto", "gopher"),
    ];
    let mut stranger = client("[::ffff:192.0.2.1]:9", false);
    for (is_tls, proto) in [(false, "http"), (true, "https")] {
        stranger.is_tls = is_tls;
        let expected = headers(&[
            ("host", "127.0.0.1:3000"),
            ("x-forwarded-host", "api.example.com"),
            ("x-forwarded-proto", proto),
            ("x-forwarded-for", "192.0.2.1"),
        ]);
        assert_eq!(forwarded(&stranger, &said), expected);
    }
}

#[test]
fn what_a_trusted_proxy_says_is_passed_on_with_the_proxy_added() {
    let said = [
        ("host", "gate"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-host", "api.example.com"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-user", "alice"),
        ("forwarded", "for=203.0.113.9;proto=https"),
        ("x-real-ip", "203.0.113.9"),
    ];
    for (peer, hop, element) in [
        ("10.0.0.3:9", "10.0.0.3", "for=10.0.0.3"),
        ("[fd00::3]:9", "fd00::3", "for=\"[fd00::3]\""),
    ] {
        let map = forwarded(&client(peer, true), &said);
        let of = |name: &str| map[name].to_str().unwrap();
        assert_eq!(of("host"), "127.0.0.1:3000");
        assert_eq!(
            of("x-forwarded-for"),
            format!("203.0.113.9, 10.0.0.2, {hop}")
        );
        let elements = format!("for=203.0.113.9;proto=https, {element}");
        assert_eq!(of("forwarded"), elements);
        assert_eq!(of("x-forwarded-host"), "api.example.com");
        assert_eq!(of("x-forwarded-proto"), "https");
        assert_eq!(of("x-forwarded-port"), "8443");
        assert_eq!(of("x-forwarded-user"), "alice");
        assert_eq!(map.len(), 7, "{map:?}");
    }
}

#[test]
fn what_a_trusted_proxy_does_not_say_is_said_by_the_gate() {
    let mut proxy = client("10.0.0.3:9", true);
    proxy.is_tls = true;
    let expected = headers(&[
        ("host", "127.0.0.1:3000"),
        ("x-forwarded-host", "gate"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "10.0.0.3"),
    ]);
    assert_eq!(forwarded(&proxy, &[("host", "gate")]), expected);
}

#[test]
fn lists_that_the_gate_does_not_believe_are_not_passed_on() {
    let mut proxy = client("10.0.0.3:9", true);
    proxy.is_named = false;
    let said = [
        ("host", "gate"),
        ("x-forwarded-for", "203.0.113.9"),
        ("forwarded", "for=1.1.1.1"),
        ("x-forwarded-proto", "https"),
    ];
    let expected = headers(&[
        ("host", "127.0.0.1:3000"),
        ("x-forwarded-host", "gate"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "10.0.0.3"),
    ]);
    assert_eq!(forwarded(&proxy, &said), expected);
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
        "X-Forwarded-User",
        "forwarded",
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

#[test]
fn trailers_are_announced_to_those_who_take_them_and_say_nothing_that_is_a_headers() {
    let mut map = headers(&[(
        "trailer",
        "x-sum, Payment-Response,content-length , grpc-status",
    )]);
    for_client(&mut map, true);
    assert_eq!(map, headers(&[("trailer", "x-sum, grpc-status")]));
    let mut map = headers(&[("trailer", "farebox-x")]);
    for_client(&mut map, true);
    assert!(map.is_empty());
    let mut trailers = headers(&[
        ("x-sum", "1"),
        ("grpc-status", "0"),
        ("payment-response", "evil"),
        ("farebox-x", "evil"),
        ("content-length", "4"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a=b"),
        ("connection", "close"),
    ]);
    strip_trailers(&mut trailers);
    assert_eq!(trailers, headers(&[("x-sum", "1"), ("grpc-status", "0")]));
}
