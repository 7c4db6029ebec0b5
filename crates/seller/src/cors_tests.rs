//! Which pages may read, and what is said once.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{Cors, NoOrigin, expose, preflight_answer};

const PAGE: &str = "https://app.example";
const OTHER: &str = "https://other.example";

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

fn listed(with_cookies: bool) -> Cors {
    Cors::listed(&[PAGE], with_cookies).expect("an origin")
}

/// What a page at `PAGE` is told about an answer with these headers.
fn told(policy: &Cors, answer: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = headers(answer);
    expose(policy, Some(&HeaderValue::from_static(PAGE)), &mut map);
    map
}

fn origin_of(map: &HeaderMap) -> Option<&str> {
    let mut all = map.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter();
    let first = all.next();
    assert!(all.next().is_none(), "said twice: {map:?}");
    first.map(|value| value.to_str().expect("text"))
}

#[test]
fn an_origin_is_written_as_browsers_write_it() {
    for good in [
        PAGE,
        "http://localhost:3000",
        "https://[::1]:8443",
        "http://127.0.0.1",
    ] {
        assert!(Cors::listed(&[good], false).is_ok(), "{good}");
    }
    for bad in [
        "",
        "*",
        "null",
        "app.example",
        "https://app.example/",
        "https://app.example/x",
        "https://user@app.example",
        "https://App.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://app.example:0443",
        "ftp://app.example",
        "https://app.example?x",
        "https://a b",
    ] {
        let refused = Cors::listed(&[bad], false);
        assert_eq!(refused, Err(NoOrigin(bad.to_owned())), "{bad}");
    }
}

#[test]
fn by_default_any_page_may_read_and_brings_no_cookies() {
    let map = told(&Cors::AnyOrigin, &[]);
    assert_eq!(origin_of(&map), Some("*"));
    assert!(!map.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
}

#[test]
fn the_upstreams_own_word_is_never_widened_and_never_doubled() {
    let origin = "access-control-allow-origin";
    for (theirs, told_origin) in [
        (vec![(origin, "*")], Some("*")),
        (vec![(origin, PAGE)], Some(PAGE)),
        (vec![(origin, OTHER)], Some(OTHER)),
        (vec![(origin, PAGE), (origin, PAGE)], Some(PAGE)),
        (vec![(origin, OTHER), (origin, PAGE)], Some(PAGE)),
        (
            vec![(origin, OTHER), (origin, "https://third.example")],
            None,
        ),
    ] {
        let map = told(&Cors::AnyOrigin, &theirs);
        assert_eq!(origin_of(&map), told_origin, "{theirs:?}");
    }
}

#[test]
fn a_star_never_comes_with_cookies() {
    let theirs = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
    ];
    let map = told(&Cors::AnyOrigin, &theirs);
    assert_eq!(origin_of(&map), Some("*"));
    assert!(!map.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    // A page that the upstream names may bring them.
    let theirs = [
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-credentials", "true"),
    ];
    let map = told(&Cors::AnyOrigin, &theirs);
    assert_eq!(map[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
}

#[test]
fn listed_pages_alone_may_read_whatever_the_upstream_says() {
    let star = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
    ];
    let map = told(&listed(false), &star);
    assert_eq!(origin_of(&map), Some(PAGE));
    assert!(!map.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    let map = told(&listed(true), &star);
    assert_eq!(map[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    let mut map = headers(&star);
    let stranger = HeaderValue::from_static(OTHER);
    expose(&listed(true), Some(&stranger), &mut map);
    assert_eq!(origin_of(&map), None);
    assert!(!map.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    assert_eq!(map[VARY], "origin");
}

#[test]
fn payment_headers_are_exposed_beside_the_upstreams_own_once() {
    let theirs = [
        ("access-control-expose-headers", "ETag, payment-response"),
        ("access-control-expose-headers", "x-total, etag"),
    ];
    let map = told(&Cors::AnyOrigin, &theirs);
    let mut all = map.get_all(ACCESS_CONTROL_EXPOSE_HEADERS).iter();
    let exposed = "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, WWW-Authenticate, Retry-After, ETag, x-total";
    assert_eq!(all.next().expect("said"), exposed);
    assert!(all.next().is_none());
}

#[test]
fn answers_vary_by_page_and_say_so_once() {
    let map = told(&Cors::AnyOrigin, &[("vary", "Accept, Origin")]);
    assert_eq!(map.get_all(VARY).iter().count(), 1);
    let map = told(&Cors::AnyOrigin, &[("vary", "*")]);
    assert_eq!(map[VARY], "*");
    // A browser keeps an answer that it got for no page, and may want it for one later.
    let mut map = headers(&[("vary", "Accept")]);
    expose(&Cors::AnyOrigin, None, &mut map);
    let said: Vec<_> = map.get_all(VARY).iter().collect();
    assert_eq!(said, ["Accept", "origin"]);
    assert_eq!(map.keys_len(), 1);
}

#[test]
fn a_preflight_allows_the_payment_headers_and_those_asked_for_once() {
    let asked = headers(&[
        ("origin", PAGE),
        (
            "access-control-request-headers",
            "payment-signature, authorization, x-a",
        ),
    ]);
    for (policy, origin, cookies) in [
        (Cors::AnyOrigin, "*", None),
        (listed(false), PAGE, None),
        (listed(true), PAGE, Some("true")),
    ] {
        let answer = preflight_answer(&policy, &Method::POST, &asked);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let map = answer.headers();
        assert_eq!(map["access-control-allow-origin"], origin);
        assert_eq!(map["access-control-allow-methods"], "POST");
        assert_eq!(
            map["access-control-allow-headers"],
            "PAYMENT-SIGNATURE, X-PAYMENT, authorization, x-a"
        );
        let allows = map.get(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        assert_eq!(allows.map(|value| value.to_str().expect("text")), cookies);
        assert_eq!(map.get_all(VARY).iter().count(), 3);
    }
}

#[test]
fn a_preflight_of_a_page_that_is_not_listed_is_refused() {
    let asked = headers(&[("origin", OTHER)]);
    let answer = preflight_answer(&listed(true), &Method::GET, &asked);
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    assert_eq!(answer.headers()[VARY], "origin");
}
