//! What is taken away and what is added.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{make_private, overrides_method, strip, strip_request};

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
