//! What an upstream may be.

use super::{Upstream, UpstreamError};

fn refused(text: &str) -> UpstreamError {
    text.parse::<Upstream>().expect_err("not an upstream")
}

#[test]
fn an_upstream_is_a_server_without_a_path() {
    for text in [
        "http://127.0.0.1:3000",
        "http://api.internal/",
        "http://[::1]:80",
        "https://api.internal",
        "h2c://127.0.0.1:50051",
    ] {
        assert!(text.parse::<Upstream>().is_ok(), "{text}");
    }
    for text in ["http://a/b", "http://a/?b=c", "http://user@a"] {
        assert!(
            matches!(refused(text), UpstreamError::MoreThanServer(_)),
            "{text}"
        );
    }
    for text in ["", "a", "127.0.0.1:3000", "ftp://a", "/x"] {
        assert!(matches!(refused(text), UpstreamError::Form(_)), "{text}");
    }
}

#[test]
fn whom_to_trust_is_said_of_upstreams_with_tls_in_pem() {
    let upstream = |text: &str| text.parse::<Upstream>().expect("an upstream");
    let why = upstream("http://a").trusting(b"").expect_err("no TLS");
    assert!(matches!(why, UpstreamError::NothingToTrust(_)), "{why}");
    for pem in [
        &b""[..],
        b"junk",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let why = upstream("https://a")
            .trusting(pem)
            .expect_err("no certificate");
        assert!(why.to_string().contains("upstream_ca"), "{why}");
    }
}

#[test]
fn a_host_is_the_server_with_the_port_that_is_not_implied() {
    for (text, host) in [
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://API.internal/", "api.internal"),
        ("http://api.internal:80", "api.internal"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://api.internal:443", "api.internal"),
        ("https://api.internal:80", "api.internal:80"),
        ("h2c://api.internal", "api.internal"),
    ] {
        let upstream: Upstream = text.parse().expect("an upstream");
        assert_eq!(upstream.host(), host, "{text}");
    }
}

#[test]
fn one_server_is_one_upstream_however_it_is_written() {
    let upstream = |text: &str| text.parse::<Upstream>().expect("an upstream");
    assert_eq!(upstream("http://a"), upstream("http://A/"));
    assert_ne!(upstream("http://a"), upstream("http://a:8080"));
}
