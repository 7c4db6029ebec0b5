//! What requests of HTTP/2 become, and which of them could be read in two ways.

use http::{Method, Version};

use super::*;

fn made(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    make(&mut request);
    request
}

fn fault(uri: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
    let request = made(uri, headers);
    request.extensions().get::<Fault>().map(|fault| fault.code)
}

#[test]
fn the_authority_becomes_the_host_and_the_path_stays_byte_for_byte() {
    let request = made(
        "https://API.example:8443/a%2Cb?q=%2F&r",
        &[("cookie", "a=1"), ("cookie", "b=2")],
    );
    assert!(request.extensions().get::<Fault>().is_none());
    assert_eq!(request.uri().to_string(), "/a%2Cb?q=%2F&r");
    assert_eq!(request.headers()[HOST], "API.example:8443");
    assert_eq!(request.headers().get_all(COOKIE).iter().count(), 1);
    assert_eq!(request.headers()[COOKIE], "a=1; b=2");
    assert_eq!(made("/x", &[("host", "a")]).headers()[HOST], "a");
}

#[test]
fn a_host_that_is_said_twice_is_the_same_or_refused() {
    assert_eq!(fault("http://a.example/", &[("host", "A.example")]), None);
    for (uri, headers) in [
        ("http://a.example/", &[("host", "b.example")][..]),
        ("http://a.example/", &[("host", "a.example:80")]),
        (
            "http://a.example/",
            &[("host", "a.example"), ("host", "a.example")],
        ),
        ("http://user@a.example/", &[]),
        ("/", &[("host", "a"), ("host", "b")]),
        ("/", &[]),
    ] {
        assert_eq!(
            fault(uri, headers),
            Some("ambiguous_host"),
            "{uri} {headers:?}"
        );
    }
}

#[test]
fn other_schemes_and_targets_without_a_path_are_refused() {
    assert_eq!(fault("ftp://a/", &[]), Some("absolute_form"));
    let mut connect = Request::builder()
        .method(Method::CONNECT)
        .uri("a:443")
        .body(())
        .unwrap();
    make(&mut connect);
    let found = connect.extensions().get::<Fault>().unwrap();
    assert_eq!(found.code, "absolute_form");
}

#[test]
fn lengths_twice_and_padded_values_are_refused() {
    let twice = [("content-length", "1"), ("content-length", "1")];
    assert_eq!(fault("http://a/", &twice), Some("ambiguous_framing"));
    for value in [" a", "a ", "\ta"] {
        assert_eq!(
            fault("http://a/", &[("x", value)]),
            Some("malformed_header")
        );
    }
    assert_eq!(fault("http://a/", &[("x", "a b"), ("y", "")]), None);
}

#[test]
fn more_headers_than_http_1_may_have_are_refused() {
    let many = vec![("x", "1"); HEADERS_MAX + 1];
    assert_eq!(fault("http://a/", &many), Some("too_many_headers"));
    assert_eq!(fault("http://a/", &many[1..]), None);
}
