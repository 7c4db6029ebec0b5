//! How URLs become the places that tokens are kept by.

use farebox_core::rail::Credential;
use farebox_wire::l402::macaroon::Macaroon;

use super::{Limits, Place, literal};

#[test]
fn a_url_is_an_origin_with_its_port_and_a_path_without_its_query() {
    for (url, origin, path) in [
        ("https://a.example/x?q=1", "https://a.example:443", "/x"),
        ("http://127.0.0.1:8402/", "http://127.0.0.1:8402", "/"),
        ("http://[::1]/x/y", "http://[::1]:80", "/x/y"),
        ("http://[::1]:81/x", "http://[::1]:81", "/x"),
        ("https://a.example?q", "https://a.example:443", "/"),
        ("https://a.example", "https://a.example:443", "/"),
    ] {
        let place = Place::of(url).unwrap();
        assert_eq!((place.origin.as_str(), place.path), (origin, path), "{url}");
    }
    assert!(Place::of("ftp://a.example/x").is_none());
    assert!(Place::of("a.example/x").is_none());
}

#[test]
fn a_path_with_a_star_makes_no_token_that_is_good_for_more() {
    assert_eq!(literal("/x").as_deref(), Some("/x"));
    assert_eq!(literal("/x*"), None);
}

#[test]
fn what_a_token_says_of_its_own_end_is_read_and_anything_else_is_opaque() {
    let of = |token: &str| {
        Limits::of(&Credential {
            header: "authorization".to_owned(),
            value: format!("L402 {token}:{}", "01".repeat(32)),
        })
    };
    let mut macaroon = Macaroon::mint(&[7; 32], "farebox", b"id");
    for caveat in [
        "services=x:0",
        "x_valid_until=2000000000",
        "x_valid_until=1900000000",
        "farebox_uses=5",
        "farebox_uses=3",
    ] {
        macaroon = macaroon.add_first_party_caveat(caveat.as_bytes()).unwrap();
    }
    let limits = of(&macaroon.to_base64());
    assert_eq!(
        (limits.expires_s, limits.uses_left),
        (Some(1_900_000_000), Some(3))
    );
    let unlimited = Macaroon::mint(&[7; 32], "farebox", b"id");
    let unlimited = unlimited.add_first_party_caveat(b"farebox_uses=unlimited");
    for token in [
        unlimited.unwrap().to_base64().as_str(),
        "t1",
        "eyJoYXNoIjoiIn0",
    ] {
        let limits = of(token);
        assert_eq!(
            (limits.expires_s, limits.uses_left),
            (None, None),
            "{token}"
        );
    }
}
