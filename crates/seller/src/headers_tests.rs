//! What is taken away and what is added.

use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

use super::{leave_buffer, make_private, overrides_method, strip, strip_request};

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
fn payment_headers_and_our_own_never_pass_through() {
    let mut map = headers(&[
        ("payment-signature", "a"),
        ("payment-response", "a"),
        ("payment-required", "a"),
        ("x-payment", "a"),
        ("x-payment-response", "a"),
        ("settlement-overrides", "a"),
        ("farebox-anything", "a"),
        ("accept", "a"),
    ]);
    strip(&mut map);
    assert_eq!(map, headers(&[("accept", "a")]));
}

#[test]
fn a_paid_answer_is_private_and_keeps_its_other_directives() {
    for (before, after) in [
        (None, "private"),
        (Some("max-age=60"), "max-age=60, private"),
        (
            Some("public, max-age=60, s-maxage=600"),
            "max-age=60, private",
        ),
        (Some("no-store"), "no-store, private"),
        (Some("private"), "private"),
    ] {
        let mut map = HeaderMap::new();
        if let Some(before) = before {
            map.insert(CACHE_CONTROL, HeaderValue::from_static(before));
        }
        make_private(&mut map);
        assert_eq!(map.get(CACHE_CONTROL).expect("set"), after);
    }
}

#[test]
fn no_header_for_shared_caches_outranks_private() {
    let mut map = headers(&[
        ("cdn-cache-control", "max-age=600"),
        ("cloudflare-cdn-cache-control", "max-age=600"),
        ("surrogate-control", "max-age=600"),
        ("x-accel-expires", "600"),
        ("etag", "a"),
    ]);
    make_private(&mut map);
    assert_eq!(map, headers(&[("etag", "a"), ("cache-control", "private")]));
}

#[test]
fn no_header_names_another_path_to_what_is_behind_the_price() {
    for name in [
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-forwarded-prefix",
        "payment-signature",
        "farebox-x",
    ] {
        let mut map = headers(&[(name, "/dear"), ("accept", "a")]);
        strip_request(&mut map);
        assert_eq!(map, headers(&[("accept", "a")]), "{name}");
    }
}

/// `_` and `-` are one behind CGI, WSGI and PHP.
#[test]
fn no_name_with_underscores_passes_for_one_that_means_something() {
    for name in [
        "x_original_url",
        "payment_signature",
        "farebox_x",
        "x_forwarded_for",
        "x_real_ip",
        "content_length",
        "transfer_encoding",
    ] {
        let mut map = headers(&[(name, "a"), ("x_own", "a"), ("x-forwarded-for", "a")]);
        strip_request(&mut map);
        let left = headers(&[("x_own", "a"), ("x-forwarded-for", "a")]);
        assert_eq!(map, left, "{name}");
    }
    assert!(overrides_method(&headers(&[(
        "x_http_method_override",
        "PUT"
    )])));
}

#[test]
fn a_header_that_replaces_the_method_is_seen() {
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        assert!(overrides_method(&headers(&[
            ("accept", "a"),
            (name, "PUT")
        ])));
    }
    assert!(!overrides_method(&headers(&[("accept", "a")])));
}

#[test]
fn a_request_leaves_the_buffer_that_it_came_in_and_says_the_same() {
    let buffer = Bytes::from(b"/a%20b?c=%2f&d secret \xe4\xf6".to_vec());
    let part = |range: Range<usize>| buffer.slice(range);
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_maybe_shared(part(0..14)).expect("a target");
    let mut secret = HeaderValue::from_maybe_shared(part(15..21)).expect("a value");
    secret.set_sensitive(true);
    let opaque = HeaderValue::from_maybe_shared(part(22..24)).expect("a value");
    let headers = request.headers_mut();
    headers.append("a", secret.clone());
    headers.append("b", HeaderValue::from_static(""));
    headers.append("a", opaque.clone());
    let (target, said) = (request.uri().to_string(), request.headers().clone());
    drop((secret, opaque));
    assert!(!buffer.is_unique());
    leave_buffer(&mut request);
    assert_eq!(request.uri().to_string(), target);
    assert_eq!(request.uri().query(), Some("c=%2f&d"));
    assert_eq!(request.headers(), &said);
    let sensitive: Vec<bool> = request
        .headers()
        .get_all("a")
        .iter()
        .map(HeaderValue::is_sensitive)
        .collect();
    assert_eq!(sensitive, [true, false]);
    drop(said);
    assert!(buffer.is_unique());
}
