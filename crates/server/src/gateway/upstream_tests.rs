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
fn an_upstream_with_tls_is_refused_with_a_sentence() {
    let why = refused("https://127.0.0.1:3000").to_string();
    assert!(why.contains("use http"), "{why}");
}

#[test]
fn a_host_is_the_server_with_the_port_that_is_not_implied() {
    for (text, host) in [
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://API.internal/", "api.internal"),
        ("http://api.internal:80", "api.internal"),
        ("http://[::1]:8080", "[::1]:8080"),
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
