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
fn a_request_keeps_its_path_byte_for_byte() {
    let upstream: Upstream = "http://127.0.0.1:3000".parse().expect("an upstream");
    let target = "/z%C3%BCrich/?q=%2f&&".parse().expect("a target");
    let uri = upstream.locate(Some(&target)).expect("a URI");
    assert_eq!(uri, "http://127.0.0.1:3000/z%C3%BCrich/?q=%2f&&");
}
