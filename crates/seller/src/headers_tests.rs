//! What is taken away and what is added.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{make_private, strip};

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
